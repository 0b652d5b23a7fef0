// SPDX-License-Identifier: BSD-3-Clause
/// A node that says whatever it likes, well formed and biased to what hurts: our own addresses,
/// LANs and keys, the neighbours of their edges, default routes, other tables' prefixes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "agent/model/config.h"
#include "agent/model/kernel_state.h"
#include "agent/model/node_object.h"

namespace sallyport {

/// A gateway with two LANs, a WAN, configured peers and a ceiling, for the node to attack.
struct Victim {
  Config config;
  std::vector<Device> devices;
  PublicKey own_key;

  Victim() {
    own_key = key(200);
    config.node.addresses = {prefix("10.9.0.1/24"), prefix("fd09::1/64")};
    config.node.wg_port = 50007;
    config.peers = {peer("named", 1, {"10.9.0.2"}, "vpn.example:51820"),
                    peer("literal", 2, {"10.9.0.3", "172.20.0.0/16"}, "192.0.2.9:51820"),
                    peer("roaming", 3, {"10.9.0.4", "0.0.0.0/0"}, "")};
    config.lans = {LanConfig{"office", prefix("10.1.0.0/16"), "lan0", true, {}},
                   LanConfig{"far", prefix("10.2.0.0/16"), "lan0", true, {}}};
    config.exit = ExitConfig{};
    devices = {device("lo", {"127.0.0.1/8", "::1/128"}, false),
               device("wan0", {"198.51.100.2/24", "2001:db8:1::2/64"}, true),
               device("lan0", {"10.1.0.1/16", "fd01::1/64"}, false),
               device("sallyport0", {"10.9.0.1/24", "fd09::1/64"}, false)};
    devices[0].loopback = true;
    devices[3].wireguard = true;
    devices[3].ethernet = false;
  }

  static PublicKey key(uint8_t n) {
    PublicKey out;
    out.bytes.fill(n);
    return out;
  }
  static Prefix prefix(const char* text) { return Prefix::parse(text).value(); }
  static PeerConfig peer(const char* name, uint8_t n, const std::vector<const char*>& allowed,
                         const char* endpoint) {
    PeerConfig out{name, key(n), {}, endpoint, {}, 0, {}};
    for (const char* text : allowed) out.allowed_ips.push_back(prefix(text));
    return out;
  }
  static Device device(const char* name, const std::vector<const char*>& addresses, bool wan) {
    Device out;
    out.name = name;
    out.ethernet = true;
    out.up = true;
    out.default_route = wan;
    for (const char* text : addresses) out.addresses.push_back(prefix(text));
    return out;
  }
};

/// Draws numbers from a source (a random engine, or a fuzzer's bytes) and makes objects of them.
class HostileNode {
 public:
  /// `draw(n)`: 0 ... n-1.
  explicit HostileNode(std::function<uint32_t(uint32_t)> draw) : draw_(std::move(draw)) {}

  IpAddress address() {
    static const std::vector<const char*> kHot = {"10.1.0.1",
                                                  "10.1.0.0",
                                                  "10.1.255.255",
                                                  "10.0.255.255",
                                                  "10.2.0.0",
                                                  "10.2.3.4",
                                                  "10.9.0.1",
                                                  "10.9.0.2",
                                                  "10.9.0.3",
                                                  "10.9.0.77",
                                                  "172.20.1.1",
                                                  "198.51.100.2",
                                                  "198.51.100.9",
                                                  "127.0.0.1",
                                                  "127.1.2.3",
                                                  "0.0.0.0",
                                                  "255.255.255.255",
                                                  "224.0.0.1",
                                                  "169.254.169.254",
                                                  "128.0.0.0",
                                                  "192.0.2.9",
                                                  "203.0.113.5",
                                                  "100.64.0.1",
                                                  "100.64.0.2",
                                                  "100.100.100.100",
                                                  "::",
                                                  "::1",
                                                  "fd01::1",
                                                  "fd09::1",
                                                  "2001:db8:1::2",
                                                  "ff02::1",
                                                  "fe80::1",
                                                  "fd7a:115c:a1e0::1",
                                                  "8000::",
                                                  "2001:db8:77::1"};
    if (draw_(8) == 0) return IpAddress::v4(draw_(0xffffffffU));
    const IpAddress hot = *IpAddress::parse(kHot[draw_(static_cast<uint32_t>(kHot.size()))]);
    switch (draw_(6)) {
      case 0:
        return hot.next().value_or(hot);
      case 1:
        return hot.previous().value_or(hot);
      default:
        return hot;
    }
  }
  Prefix prefix() {
    const IpAddress base = address();
    if (draw_(2) == 0) return Prefix::host(base);
    const Prefix out{base, static_cast<uint8_t>(draw_(base.bits() + 1))};
    return draw_(16) == 0 ? out : out.masked();
  }
  IpRange range() {
    if (draw_(2) == 0) return prefix().range();
    IpAddress a = address();
    IpAddress b = address();
    if (a.is_v4() != b.is_v4()) return {a, a};
    return {std::min(a, b), std::max(a, b)};
  }
  PublicKey key() {
    static const std::vector<uint8_t> kHot = {0, 1, 2, 3, 200, 11, 12, 13, 14, 15};
    return Victim::key(kHot[draw_(static_cast<uint32_t>(kHot.size()))]);
  }
  Endpoint endpoint() {
    static const std::vector<uint16_t> kPorts = {0, 51820, 50007, 53, 41641};
    return {address(), kPorts[draw_(static_cast<uint32_t>(kPorts.size()))]};
  }

  NodeObject object() {
    switch (draw_(9)) {
      case 8:
        return ServedRoute{prefix(), draw_(2) == 0};
      case 0:
        return PeerEndpoint{draw_(2) == 0 ? Victim::key(1) : key(), endpoint()};
      case 1:
        return OwnAddress{prefix()};
      case 2:
        return draw_(2) == 0 ? ClockTrust::kCredible : ClockTrust::kUnknown;
      case 3:
      case 4:
        return NodeRule{static_cast<uint16_t>(draw_(6)), rule()};
      default:
        return tailnet_peer();
    }
  }
  /// Of a port that somebody renumbers.
  Prefix port_address() {
    const IpAddress at = address();
    return {at, static_cast<uint8_t>(at.is_v4() ? 24 : 64)};
  }
  ObjectId id() { return id_of(object()); }

 private:
  TailnetPeer tailnet_peer() {
    TailnetPeer peer;
    peer.node_key = key();
    peer.name = "stranger";
    for (uint32_t n = draw_(3); n-- > 0;) peer.allowed_ips.push_back(prefix());
    std::ranges::sort(peer.allowed_ips);
    const auto rest = std::ranges::unique(peer.allowed_ips);
    peer.allowed_ips.erase(rest.begin(), rest.end());
    if (draw_(3) == 0) peer.endpoint = endpoint();
    peer.keepalive_s = static_cast<uint16_t>(draw_(3) * 25);
    peer.wireguard_only = draw_(8) == 0;
    if (const IpAddress alias = address(); draw_(8) == 0)
      (alias.is_v4() ? peer.masquerade_v4 : peer.masquerade_v6) = alias;
    return peer;
  }
  Rule rule() {
    Rule rule;
    rule.id = "rule";
    for (uint32_t n = draw_(3); n-- > 0;) rule.from.push_back(range());
    for (uint32_t n = draw_(3); n-- > 0;) rule.to.push_back(range());
    if (draw_(3) == 0) rule.from.push_back(all_v4());
    if (draw_(3) == 0) rule.to.push_back(all_v4());
    rule.from = normalise(rule.from);
    rule.to = normalise(rule.to);
    if (draw_(4) == 0) rule.protos = {IpProto::kTcp};
    if (draw_(4) == 0) rule.ports = {PortRange{22, 443}};
    return rule;
  }

  std::function<uint32_t(uint32_t)> draw_;
};

}  // namespace sallyport
