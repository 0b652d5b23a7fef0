// SPDX-License-Identifier: BSD-3-Clause
/// A node of a tailnet as its control server describes it.
/// Source: tailscale tailcfg Node.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/clock.h"
#include "agent/model/dns_config.h"
#include "agent/model/endpoint.h"
#include "agent/model/hostinfo.h"
#include "agent/model/ip.h"
#include "agent/model/raw_json.h"
#include "agent/model/tailnet_keys.h"

namespace sallyport {

/// The server's numbers, 0 ... 2^53 - 1; 0: none.
enum class NodeId : int64_t {};
enum class UserId : int64_t {};

struct NetmapNode {
  NodeId id{};
  std::string stable_id;
  std::string name;  // fully qualified, with the dot at its end
  UserId user{};
  UserId sharer{};
  NodeKey node_key;
  std::optional<WallTime> key_expiry;  // absent: never
  Bytes key_signature;
  MachineKey machine_key;
  DiscoKey disco_key;
  std::vector<Prefix> addresses;
  /// Absent: the same as `addresses`. A NetmapState's nodes always have it.
  std::optional<std::vector<Prefix>> allowed_ips;
  std::vector<Endpoint> endpoints;
  uint16_t home_derp = 0;  // 0: none
  std::optional<Hostinfo> hostinfo;
  std::optional<WallTime> created;
  uint32_t cap = 0;  // the node's own capability version; 0: not known
  std::vector<std::string> tags;
  std::vector<Prefix> primary_routes;
  std::optional<WallTime> last_seen;
  std::optional<bool> online;
  bool machine_authorized = false;
  std::vector<std::string> capabilities;  // the old form of cap_map
  CapMap cap_map;
  bool unsigned_peerapi_only = false;
  bool expired = false;
  /// What we are called towards this peer, instead of our own addresses.
  std::optional<IpAddress> masquerade_v4;
  std::optional<IpAddress> masquerade_v6;
  bool wireguard_only = false;  // no disco, no DERP
  bool jailed = false;          // may be reached, may not reach us
  std::vector<DnsResolver> exit_node_resolvers;

  [[nodiscard]] bool has_cap(const std::string& cap_name) const;
  friend bool operator==(const NetmapNode&, const NetmapNode&) = default;
};

}  // namespace sallyport
