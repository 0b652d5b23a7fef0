// SPDX-License-Identifier: BSD-3-Clause
/// A small office for the tests of this folder, and the short way from it to a verdict.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/policy/compile.h"
#include "agent/policy/counters.h"
#include "agent/policy/explain.h"
#include "agent/policy/resolve.h"

namespace sallyport::policy_tests {

inline Prefix prefix(std::string_view text) { return *Prefix::parse(text); }
inline IpRange range(std::string_view text) { return *IpRange::parse(text); }
inline IpAddress address(std::string_view text) { return *IpAddress::parse(text); }

inline std::vector<Name> names(const std::vector<std::string>& texts) {
  std::vector<Name> out;
  for (const std::string& text : texts) {
    out.push_back({text, {"config.yaml", 7, static_cast<unsigned>(out.size() + 1)}});
  }
  return out;
}

inline RuleConfig rule(std::string id, const std::vector<std::string>& from,
                       const std::vector<std::string>& to, std::vector<IpProto> protos = {},
                       std::vector<PortRange> ports = {}) {
  RuleConfig out;
  out.id = std::move(id);
  out.from = names(from);
  out.to = names(to);
  out.protos = std::move(protos);
  out.ports = std::move(ports);
  out.where = {"config.yaml", 5, 3};
  return out;
}

/// Peers ann (10.8.0.2, fd00:8::2), bob (10.8.0.3, fd00:8::3) and the site hub (10.8.0.4,
/// 10.20.0.0/16, 0.0.0.0/0); LANs office (192.168.1.0/24) and lab (fd00:1::/64); an exit by IPv4.
inline Config office() {
  Config out;
  out.node.addresses = {prefix("10.8.0.1/24"), prefix("fd00:8::1/64")};
  const auto peer = [&](const char* name, const std::vector<std::string>& addresses) {
    PeerConfig& added = out.peers.emplace_back();
    added.name = name;
    for (const std::string& text : addresses) added.allowed_ips.push_back(prefix(text));
  };
  peer("ann", {"10.8.0.2/32", "fd00:8::2/128"});
  peer("bob", {"10.8.0.3/32", "fd00:8::3/128"});
  peer("hub", {"10.8.0.4/32", "10.20.0.0/16", "0.0.0.0/0"});
  out.groups["staff"] = names({"ann", "bob"});
  out.lans.resize(2);
  out.lans[0].name = "office";
  out.lans[0].prefix = prefix("192.168.1.0/24");
  out.lans[1].name = "lab";
  out.lans[1].prefix = prefix("fd00:1::/64");
  out.exit = ExitConfig{};
  return out;
}

inline Surroundings surroundings() {
  return {{prefix("192.168.1.1/24"), prefix("203.0.113.5/24")}, {prefix("203.0.113.0/24")}};
}

inline std::vector<PeerAddresses> peers_of(const Config& config) {
  std::vector<PeerAddresses> out;
  for (const PeerConfig& peer : config.peers) {
    out.push_back({static_cast<uint32_t>(out.size() + 1), peer.allowed_ips});
  }
  return out;
}

inline PolicyNames names_of(const Config& config) {
  PolicyNames out;
  for (const PeerConfig& peer : config.peers) {
    out.peers.push_back({static_cast<uint32_t>(out.peers.size() + 1), peer.name, ""});
  }
  for (const LanConfig& lan : config.lans) out.lans.push_back({lan.name, lan.prefix});
  return out;
}

/// Resolved, counted and active at `at`.
inline PolicyInput input_of(const Config& config, WallTime at = {},
                            ClockTrust trust = ClockTrust::kCredible) {
  ResolvedPolicy policy = resolve(config, surroundings()).value();
  RuleCounters counters;
  counters.assign(policy.rules).value();
  return policy_at(policy, peers_of(config), at, trust);
}

}  // namespace sallyport::policy_tests
