// SPDX-License-Identifier: BSD-3-Clause
/// A small tailnet for tests: us, and peers numbered from 2.
#pragma once

#include <string>

#include "agent/model/netmap.h"

namespace sallyport {

inline NodeKey example_key(uint8_t n) {
  NodeKey key;
  key.bytes.fill(n);
  return key;
}
inline Prefix prefix(const std::string& text) { return *Prefix::parse(text); }
inline std::vector<IpRange> ranges(const std::vector<std::string>& texts) {
  std::vector<IpRange> out;
  for (const std::string& text : texts) out.push_back(*IpRange::parse(text));
  return normalise(out);
}

/// Node n: 100.64.0.n, key nn..., disco, home 1; user 7.
inline NetmapNode example_node(uint8_t n) {
  NetmapNode node;
  node.id = NodeId{n};
  node.stable_id = "s" + std::to_string(n);
  node.name = "node" + std::to_string(n) + ".tail.example.";
  node.user = UserId{7};
  node.node_key = example_key(n);
  node.disco_key.bytes.fill(n);
  node.addresses = {prefix("100.64.0." + std::to_string(n)),
                    prefix("fd7a:115c:a1e0::" + std::to_string(n))};
  node.home_derp = 1;
  node.machine_authorized = true;
  return node;
}

inline FilterRule filter_rule(std::vector<std::string> from, std::vector<NetPortRange> to,
                              std::vector<int32_t> protos = {}) {
  FilterRule rule;
  rule.src_ips = std::move(from);
  rule.dst_ports = std::move(to);
  rule.ip_proto = std::move(protos);
  return rule;
}
inline NetPortRange to(std::string ip, uint16_t first = 0, uint16_t last = 65535) {
  return {std::move(ip), {}, {first, last}};
}

/// We are node 1.
inline Netmap example_netmap(std::vector<uint8_t> peers) {
  Netmap netmap;
  netmap.self = example_node(1);
  for (const uint8_t n : peers) {
    netmap.peers[NodeId{n}] = example_node(n);
    netmap.peers[NodeId{n}].allowed_ips = netmap.peers[NodeId{n}].addresses;
  }
  netmap.users[UserId{7}] = {.id = UserId{7},
                             .login_name = "alice@example.com",
                             .display_name = "Alice",
                             .profile_pic_url = {},
                             .groups = {}};
  netmap.filters["base"] = {filter_rule({"*"}, {to("*")})};
  return netmap;
}

}  // namespace sallyport
