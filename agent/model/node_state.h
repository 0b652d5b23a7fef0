// SPDX-License-Identifier: BSD-3-Clause
/// What the unprivileged node asks the agent for. The agent trusts none of it: guard/bounds
/// decides.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/model/endpoint.h"
#include "agent/model/ip.h"
#include "agent/model/keys.h"
#include "agent/model/rule.h"

namespace sallyport {

/// A peer that came by a netmap.
struct TailnetPeer {
  PublicKey node_key;
  std::string name;
  std::string user;
  std::vector<Prefix> allowed_ips;  // sorted
  std::optional<Endpoint> endpoint;
  uint16_t keepalive_s = 0;
  bool jailed = false;          // no rule lets it in; it may be reached
  bool wireguard_only = false;  // neither disco nor DERP: `endpoint` is all there is
  /// What we are called towards this peer, instead of our own addresses: source and destination
  /// are to be translated.
  std::optional<IpAddress> masquerade_v4 = {};
  std::optional<IpAddress> masquerade_v6 = {};
  /// Its own address in 127.0.0.0/8: at it and the relay socket's port it is found by a relay.
  std::optional<IpAddress> parking = {};
  /// A handshake of its that crosses ours is dropped. Not between two gateways of our kind, but at
  /// the one with the lower key: with both, none would ever arrive.
  bool yields = true;
  friend bool operator==(const TailnetPeer&, const TailnetPeer&) = default;
};

/// A LAN that we serve to the tailnet; 0.0.0.0/0 and ::/0: the way to the internet.
struct ServedRoute {
  Prefix prefix;
  bool snat = true;  // its hosts see our address, not the peer's
  friend auto operator<=>(const ServedRoute&, const ServedRoute&) = default;
};

/// May rules with a time window be open? Source: saved clock, NTP, authenticated control time.
enum class ClockTrust : uint8_t { kUnknown, kCredible };

struct NodeState {
  /// Addresses that were looked up for the endpoints of configured peers.
  std::map<PublicKey, Endpoint> endpoints;
  std::map<PublicKey, TailnetPeer> peers;
  std::vector<Prefix> addresses;   // of ours in the tailnet
  std::map<uint16_t, Rule> rules;  // the netmap's filter, by position
  std::map<Prefix, bool> routes;   // served, and whether with SNAT
  ClockTrust clock = ClockTrust::kUnknown;
  std::optional<PrivateKey> key;  // WireGuard's in the tailnet; nothing: the gateway's own
  friend bool operator==(const NodeState&, const NodeState&) = default;
};

}  // namespace sallyport
