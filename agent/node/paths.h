// SPDX-License-Identifier: BSD-3-Clause
/// Everything that a joined node decides about paths: to each peer, to the relays, and what it
/// tells others of its own network. Sans-IO; composed of the machines of this room.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/random.h"
#include "agent/model/netmap.h"
#include "agent/node/derp_names.h"
#include "agent/node/derp_pool.h"
#include "agent/node/netcheck.h"
#include "agent/node/netmap_state.h"
#include "agent/node/own_endpoints.h"
#include "agent/node/paths_action.h"
#include "agent/node/paths_memory.h"
#include "agent/node/peer_table.h"

namespace sallyport {

/// A report waits so long for the names of relays whose addresses the map does not tell.
constexpr Duration kNamesPatience = std::chrono::seconds(2);
/// A relay that fails is reason to look at the network anew, this often at most.
constexpr Duration kRecheckGap = std::chrono::seconds(10);
/// The memory is written at once, but so often at most.
constexpr Duration kSaveGap = std::chrono::seconds(1);

/// What paths need of a netmap's peer.
PathPeer path_peer(const NetmapNode& node);

/// As WireGuard is to have it.
struct WireguardEndpoint {
  Endpoint endpoint;
  uint16_t keepalive_s = 0;
  bool yields = true;  // see TailnetPeer: between two of our kind only the lower key drops
  friend bool operator==(const WireguardEndpoint&, const WireguardEndpoint&) = default;
};

struct RegionStatus {
  uint16_t id = 0;
  std::string code;
  std::string name;
  bool home = false;
  DerpState state = DerpState::kOff;
  std::optional<Duration> latency;  // of the last report
  std::string problem;              // the server's words
  friend bool operator==(const RegionStatus&, const RegionStatus&) = default;
};

#define SALLYPORT_PATHS_COUNTERS(X)                                               \
  X(disco_in, "disco messages that counted")                                      \
  X(disco_unknown, "of nobody in the netmap")                                     \
  X(disco_unopened, "not sealed by whom they name, or not for us")                \
  X(disco_malformed, "opened, and no message")                                    \
  X(disco_misplaced, "for another node, or by a way that such a message has not") \
  X(disco_limited, "more than one peer may send")                                 \
  X(stun_in, "STUN responses")                                                    \
  X(other_in, "datagrams that are neither")                                       \
  X(derp_unknown, "relayed packets of nobody in the netmap")                      \
  X(derp_other, "relayed packets that are neither WireGuard's nor disco")         \
  X(derp_crossing, "initiations that crossed one of ours")                        \
  X(parked_unknown, "packets at the relay socket that are no peer's")             \
  X(parked_lost, "packets for a peer that no relay leads to")
struct PathsCounters {
#define X(name, text) uint64_t name = 0;
  SALLYPORT_PATHS_COUNTERS(X)
#undef X
};

class Paths {
 public:
  /// `random` outlives it. `memory`: as memory() gave it before a restart, or empty. Nothing is
  /// sent to anybody before on_node_key().
  Paths(RandomSource& random, std::string_view memory, Instant now);
  Paths(const Paths&) = delete;
  Paths& operator=(const Paths&) = delete;
  ~Paths() = default;

  [[nodiscard]] const DiscoKey& disco_key() const { return disco_key_; }
  PathsActions on_node_key(const PrivateKey& node_key, Instant now);

  /// All of the netmap, or what `changes` names.
  PathsActions on_netmap(const Netmap& netmap, const NetmapChanges& changes, bool whole,
                         Instant now);
  /// The parts of it. A peer that neither speaks disco nor is WireGuard-only has no path.
  PathsActions on_peer(const PathPeer& peer, Instant now);
  PathsActions on_peer_removed(const NodeKey& key, Instant now);
  PathsActions on_derp_map(const DerpMap& map, Instant now);
  /// Is a map poll up? Home stays as it is without one.
  PathsActions on_control(bool connected, Instant now);

  /// Of every port that may lead to a peer, loopback included, and WireGuard's port.
  PathsActions on_local_addresses(std::vector<IpAddress> addresses, uint16_t wg_port, Instant now);
  PathsActions on_configured(std::vector<Endpoint> endpoints, Instant now);
  PathsActions on_network_changed(Instant now);

  /// What demux gave to the node's own socket.
  PathsActions on_datagram(const UdpArrival& arrival, ByteView datagram, Instant now);

  /// What becomes of a packet that the caller holds; nothing is copied. Do that first.
  struct FromDerp {
    std::optional<IpAddress> inject;  // into WireGuard, as if it came from this parking address
    PathsActions actions;
  };
  FromDerp on_derp_message(uint16_t region, const derp::Message& message, Instant now);
  PathsActions on_derp_connected(uint16_t region, uint64_t dial, Instant now);
  PathsActions on_derp_closed(uint16_t region, uint64_t dial, std::string_view why, Instant now);
  struct ToDerp {
    DerpRoute route = DerpRoute::kNone;  // kNow: write it to the stream of `region`, to `peer`
    uint16_t region = 0;
    NodeKey peer;
    PathsActions actions;
  };
  /// WireGuard sent it to a parking address.
  ToDerp on_parked(const IpAddress& parking, ByteView packet, Instant now);

  /// Nothing: no answer.
  PathsActions on_https(uint16_t region, std::optional<Duration> latency, Instant now);
  PathsActions on_lookup(const std::string& host, const std::vector<IpAddress>& found, Instant now);
  PathsActions on_observed(const NodeKey& peer, const PathObserved& observed, Instant now);
  PathsActions on_wake(Instant now);
  [[nodiscard]] std::optional<Instant> next_wake() const;

  /// For a person: the answer is PeerAnswered, if there is one. `probe_all`: every candidate is
  /// tried too. Nothing for an unknown peer.
  PathsActions ask(const NodeKey& peer, bool probe_all, Instant now);
  /// A report, unless one is under way; its end is NetcheckDone.
  PathsActions start_netcheck(Instant now);

  [[nodiscard]] std::optional<WireguardEndpoint> endpoint_of(const NodeKey& peer,
                                                             uint16_t relay_port) const;
  /// Stable as long as the peer is there. Nothing: no such peer.
  [[nodiscard]] std::optional<IpAddress> parking_of(const NodeKey& peer) const;
  [[nodiscard]] std::optional<PathStatus> status(const NodeKey& peer) const;
  [[nodiscard]] std::vector<RegionStatus> regions() const;
  [[nodiscard]] const std::optional<NetcheckReport>& report() const { return netcheck_.last(); }
  [[nodiscard]] const PathsCounters& counters() const { return counters_; }
  [[nodiscard]] uint16_t home() const { return pool_ ? pool_->home() : uint16_t{0}; }
  [[nodiscard]] size_t peers() const { return table_.size(); }
  /// For the constructor of the next run: disco key, home, parking addresses and paths.
  [[nodiscard]] std::string memory() const;

 private:
  // paths.cc: peers and their actions.
  void run(PeerEntry& entry, PathActions actions, Instant now, PathsActions& out);
  void act(PeerEntry& entry, PathAction& action, Instant now, PathsActions& out);
  void settle(PeerEntry& entry, Instant now, PathsActions& out);
  void put(const PathPeer& peer, Instant now, PathsActions& out);
  void drop(const NodeKey& key, Instant now, PathsActions& out);
  void set_crossing(PeerEntry& entry) const;
  [[nodiscard]] PathStatus status_of(const PeerEntry& entry) const;
  void save_soon(Instant now);

  // paths_disco.cc: messages.
  struct Opened {
    DiscoEntry* by = nullptr;
    PeerEntry* peer = nullptr;  // by DERP: the one that the server names
  };
  void on_disco(ByteView datagram, const DiscoSource& from, PeerEntry* relayed, Instant now,
                PathsActions& out);
  void on_message(const disco::Message& message, const DiscoSource& from, const Opened& opened,
                  Instant now, PathsActions& out);
  void on_ping(const disco::Ping& ping, const DiscoSource& from, const Opened& opened, Instant now,
               PathsActions& out);
  void on_pong(const disco::Pong& pong, const DiscoSource& from, const Opened& opened, Instant now,
               PathsActions& out);
  void on_call(const disco::CallMeMaybe& call, const DiscoSource& from, const Opened& opened,
               Instant now, PathsActions& out);
  const BoxKey* box_of(DiscoEntry& entry, const DiscoKey& key) const;
  /// Empty: the peer's key is none.
  Bytes seal(const PeerEntry& entry, const disco::Message& message);
  void send(const PeerEntry& entry, const PingTarget& to, const disco::Message& message,
            Instant now, PathsActions& out);
  void answer(const PeerEntry& entry, const SendPong& pong, Instant now, PathsActions& out);
  void send_by(uint16_t region, const NodeKey& peer, Bytes packet, Instant now, PathsActions& out);

  // paths_network.cc: our own network, and the relays.
  void act(EndpointActions actions, Instant now, PathsActions& out);
  void act(NetcheckActions actions, Instant now, PathsActions& out);
  void act(PoolActions actions, Instant now, PathsActions& out);
  void act(uint16_t region, DerpAction& action, Instant now, PathsActions& out);
  void on_report(const NetcheckReport& report, Instant now, PathsActions& out);
  void recheck(Instant now, PathsActions& out);
  void want_netcheck(Instant now, PathsActions& out);
  void begin_netcheck(Instant now, PathsActions& out);
  void open_pool(Instant now, PathsActions& out);

  RandomSource& random_;
  PrivateKey disco_private_;
  DiscoKey disco_key_;
  std::optional<PrivateKey> node_private_;
  NodeKey node_key_;
  std::map<NodeKey, RememberedPeer> remembered_;  // until the netmap names them

  PeerTable table_;
  std::map<NodeId, NodeKey> netmap_peers_;
  size_t active_ = 0;  // peers with a path in use

  DerpMap map_;
  DerpNames names_;
  OwnEndpoints own_;
  Netcheck netcheck_;
  std::optional<DerpPool> pool_;
  bool has_v6_ = false;
  bool control_ = false;
  std::optional<Instant> netcheck_by_;  // one is to begin: at the latest
  std::optional<Instant> recheck_not_before_;
  std::optional<NetInfo> announced_;

  std::optional<Instant> save_at_;
  std::optional<Instant> saved_;
  PathsCounters counters_;
};

}  // namespace sallyport
