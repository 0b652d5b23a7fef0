// SPDX-License-Identifier: BSD-3-Clause
/// What the privileged side agrees to, whatever the node says. All that a hostile node could gain
/// ends here.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "agent/model/config.h"
#include "agent/model/kernel_state.h"
#include "agent/model/keys.h"
#include "agent/model/node_object.h"
#include "agent/model/path_step.h"

namespace sallyport {

/// Ten times what our figures are measured with.
constexpr size_t kMaxTailnetPeers = 10000;
constexpr size_t kMaxTailnetPrefixes = 65536;  // of all peers together
constexpr size_t kMaxOwnAddresses = 16;        // a tailnet gives two
constexpr size_t kMaxServedRoutes = 256;
/// A prefix that a tailnet peer carries is at least this long: a few short ones together would be
/// the default route that it may not have. Private space is small enough to be had whole.
constexpr uint8_t kShortestPrivateV4 = 8;
constexpr uint8_t kShortestPublicV4 = 16;
constexpr uint8_t kShortestPrivateV6 = 7;  // fc00::/7
constexpr uint8_t kShortestPublicV6 = 32;  // an operator's allocation
/// Complaints about one state: enough to see what is wrong.
constexpr size_t kMaxRefusals = 64;

struct BoundsFacts {
  PublicKey own_key;            // the gateway's own; a joined node may name another one
  std::vector<Device> devices;  // all of them, ours included
  uint16_t relay_port = 0;      // 0: no tailnet is joined
};

/// Empty: all of the state is within bounds. A state is taken whole or not at all.
/// - An endpoint only for a configured peer whose endpoint is a name, at its configured port; never
///   a loopback, multicast, reserved or own address.
/// - A tailnet peer that is parked has an address of its own in 127.0.0.0/8, outside of
/// 127.0.0.0/16,
///   where services listen; its endpoint may be that, at the relay's port, and no other loopback
///   one.
/// - A tailnet peer has a key of its own, and no prefix over a network that we are connected to,
///   over a configured LAN, over an own address, over what a configured peer has, or one that
///   another tailnet peer has too. No default route.
/// - Own addresses are single ones, on no network of ours. What a peer calls us is no address of
///   ours either.
/// - A served route is a LAN or the whole of a family: not where no host is, not what a configured
///   peer has.
/// - Rules have sources, destinations and well-formed windows; ceiling and confine() bound what
///   they open.
std::vector<Refused> check_bounds(const NodeState& state, const Config& config,
                                  const BoundsFacts& facts);

/// Why the steps are not to be done; nothing: they may be. Only a tailnet peer that is parked is
/// moved, to where an endpoint may be, and pinned to an address of ours on the port that has it.
std::optional<Refusal> check_steps(const PathSteps& path, const NodeState& state,
                                   const Config& config, const BoundsFacts& facts);

/// What is left of a state that was within bounds before the configuration or the host's networks
/// changed, and what had to go.
struct WithinBounds {
  NodeState state;
  std::vector<Refused> dropped;
};
WithinBounds keep_within_bounds(NodeState state, const Config& config, const BoundsFacts& facts);

/// Names to look up, by peer: what the node is told, and the only endpoints it may set.
struct NamedPeer {
  PublicKey peer;
  std::string host;
  uint16_t port = 0;
  friend bool operator==(const NamedPeer&, const NamedPeer&) = default;
};
std::vector<NamedPeer> named_peers(const Config& config);

}  // namespace sallyport
