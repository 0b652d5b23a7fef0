// SPDX-License-Identifier: BSD-3-Clause
/// The members of NodeState one by one, as they pass from the node to the agent, and why the agent
/// may refuse one.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "agent/model/node_state.h"
#include "agent/model/path_step.h"

namespace sallyport {

/// Where the name in a configured peer's endpoint was found.
struct PeerEndpoint {
  PublicKey peer;
  Endpoint endpoint;
  friend bool operator==(const PeerEndpoint&, const PeerEndpoint&) = default;
};
/// One of our addresses in the tailnet.
struct OwnAddress {
  Prefix address;
  friend bool operator==(const OwnAddress&, const OwnAddress&) = default;
};
/// A rule of the netmap. What has more ranges than one object holds is sent as several: a rule is
/// the union of the rules that its halves make.
struct NodeRule {
  uint16_t position = 0;
  Rule rule;
  friend bool operator==(const NodeRule&, const NodeRule&) = default;
};

/// What WireGuard calls itself towards the tailnet.
struct WireguardKey {
  PrivateKey key;
  friend bool operator==(const WireguardKey&, const WireguardKey&) = default;
};

using NodeObject = std::variant<PeerEndpoint, TailnetPeer, OwnAddress, NodeRule, ClockTrust,
                                ServedRoute, WireguardKey>;

enum class ObjectKind : uint8_t { kEndpoint = 1, kPeer, kAddress, kRule, kClock, kRoute, kKey };

/// Names an object. Members that the kind does not use are zero.
struct ObjectId {
  ObjectKind kind = ObjectKind::kClock;
  PublicKey peer;         // kEndpoint, kPeer
  Prefix address;         // kAddress, kRoute
  uint16_t position = 0;  // kRule

  /// "peer BASE64", "rule 7".
  [[nodiscard]] std::string text() const;
  friend auto operator<=>(const ObjectId&, const ObjectId&) = default;
};
ObjectId id_of(const NodeObject& object);

/// What PathSteps leave behind: the peer's endpoint and keepalive are those of the last PointAt.
void move_peer(NodeState& state, const PathSteps& path, uint16_t relay_port);

/// Nothing: the state has no such object; a clock it always has.
std::optional<NodeObject> find(const NodeState& state, const ObjectId& id);
void put(NodeState& state, const NodeObject& object);
/// What is not there is deleted already. A deleted clock is kUnknown.
void erase(NodeState& state, const ObjectId& id);

/// Why the agent did not take an object; kSequence and kTooLate are about the whole epoch.
#define SALLYPORT_REFUSALS(X)                                                        \
  X(kSequence, "sequence", "the epoch's messages are out of order")                  \
  X(kTooLate, "too_late", "the epoch was not committed in time")                     \
  X(kTooMany, "too_many", "more objects of this kind than may be")                   \
  X(kUnknownPeer, "unknown_peer", "no configured peer has a name to look up")        \
  X(kBadEndpoint, "bad_endpoint", "no peer can have this endpoint")                  \
  X(kZeroKey, "zero_key", "the key is zero")                                         \
  X(kOwnKey, "own_key", "the key is our own")                                        \
  X(kConfiguredKey, "configured_key", "the configuration has a peer with this key")  \
  X(kBadPrefix, "bad_prefix", "the prefix is none that a peer can have")             \
  X(kDefaultRoute, "default_route", "a default route is not permitted")              \
  X(kConnectedPrefix, "connected_prefix", "the prefix is that of a network of ours") \
  X(kOwnAddress, "own_address", "the address is our own")                            \
  X(kTakenPrefix, "taken_prefix", "another peer has this prefix")                    \
  X(kBadParking, "bad_parking", "no peer can be parked there, or another one is")    \
  X(kNotJoined, "not_joined", "this gateway has joined no tailnet")                  \
  X(kForeignAddress, "foreign_address", "the rule names more than tailnet peers")    \
  X(kBadRule, "bad_rule", "the rule is not well formed")

enum class Refusal : uint8_t {
#define X(id, name, text) id,
  SALLYPORT_REFUSALS(X)
#undef X
};
constexpr uint8_t kRefusalCount = 0
#define X(id, name, text) +1
    SALLYPORT_REFUSALS(X)
#undef X
    ;
std::string_view name_of(Refusal refusal);
std::string_view text_of(Refusal refusal);

struct Refused {
  ObjectId object;
  Refusal reason = Refusal::kSequence;
  friend auto operator<=>(const Refused&, const Refused&) = default;
};

}  // namespace sallyport
