// SPDX-License-Identifier: BSD-3-Clause
/// The path to one peer: by DERP until a pong proves a direct one, and again as soon as something
/// speaks against it. Sans-IO.
///
/// A pong counts for the address that it came from and for nothing else: stricter than the
/// reference, which takes any address that the peer's key answers from.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/random.h"
#include "agent/model/tailnet_keys.h"
#include "agent/node/path_action.h"
#include "agent/node/path_candidates.h"

namespace sallyport {

/// Source: magicsock's constants of the same meaning (heartbeatInterval, trustUDPAddrDuration,
/// sessionActiveTimeout, upgradeUDPDirectInterval, goodEnoughLatency, pingTimeoutDuration).
constexpr Duration kHeartbeat = std::chrono::seconds(3);
constexpr Duration kTrustAfterPong = std::chrono::milliseconds(6500);
constexpr Duration kSessionActive = std::chrono::seconds(45);
constexpr Duration kUpgradeEvery = std::chrono::seconds(60);
constexpr Duration kGoodEnough = std::chrono::milliseconds(5);
constexpr Duration kPingTimeout = std::chrono::seconds(5);

/// The first probes of a pair behind two NATs meet mappings that are not open yet.
inline constexpr std::array kRepeatProbes = {Duration(std::chrono::milliseconds(200)),
                                             Duration(std::chrono::milliseconds(500))};
inline constexpr std::array kDoubtPings = {Duration(0), Duration(std::chrono::milliseconds(100)),
                                           Duration(std::chrono::milliseconds(300))};
/// How long doubt lasts without a pong, and at least how long silence must last to raise it.
constexpr Duration kPatience = std::chrono::seconds(1);
/// After a minute of failed discovery the peer is tried less often; news resets it.
constexpr Duration kDiscoverySlow = std::chrono::seconds(15);
constexpr Duration kDiscoveryFastFor = std::chrono::minutes(1);
constexpr Duration kObserveEvery = std::chrono::milliseconds(500);
constexpr Duration kDiscoOnlyAfter = std::chrono::seconds(3);

/// What the netmap says about a peer.
struct PathPeer {
  NodeKey node_key;
  DiscoKey disco_key;
  uint16_t home_region = 0;  // 0: none
  std::vector<Endpoint> endpoints;
  bool wireguard_only = false;  // neither disco nor DERP
  bool one_of_us = false;       // it drops crossing initiations too: see Crossing
  friend bool operator==(const PathPeer&, const PathPeer&) = default;
};

/// What the kernel has counted.
struct PathObserved {
  std::optional<Instant> last_tx;  // of the last packet into the tunnel
  std::optional<Instant> last_rx;  // of the last authenticated one out of it
  /// WireGuard messages longer than a keepalive (32 bytes) that `demux` saw from the direct
  /// endpoint.
  uint64_t wire_rx = 0;
};

/// What outlives a restart of the node.
struct PathMemory {
  KernelPath kernel;
  Duration rtt{};
  uint16_t last_region = 0;
  std::vector<Endpoint> seen;
  friend bool operator==(const PathMemory&, const PathMemory&) = default;
};

class PeerPath {
 public:
  /// Before on_peer() the machine does nothing. `random` outlives it.
  explicit PeerPath(RandomSource& random) : random_(random) {}

  /// First word or news of the netmap. Another disco key: the peer has been restarted, and what was
  /// proven and learnt of it is forgotten.
  PathActions on_peer(const PathPeer& peer, Instant now);
  /// Goes on where memory() ended: a direct path is pinged at once and has a trust's time to
  /// answer. After on_peer().
  PathActions resume(const PathMemory& memory, Instant now);
  [[nodiscard]] PathMemory memory() const;

  /// A WireGuard packet for the peer reached the relay socket: it goes to relay_region().
  PathActions on_parked(Instant now);
  /// A WireGuard packet of the peer came by DERP.
  PathActions on_derp_packet(uint16_t region, Instant now);
  /// The region cannot reach the peer: relayed packets go to its home again.
  void on_peer_gone(uint16_t region);
  PathActions on_ping(const TxId& tx, const DiscoSource& from, Instant now);
  PathActions on_pong(const TxId& tx, const DiscoSource& from, Instant now);
  /// By DERP, from the peer's own node and disco key: the caller has seen to it.
  PathActions on_call_me_maybe(std::span<const Endpoint> endpoints, Instant now);
  /// A link, an address or a route of ours has changed.
  PathActions on_network_changed(Instant now);
  PathActions on_wake(const PathObserved& observed, Instant now);
  /// The same without news of the kernel: what is due by time alone.
  PathActions on_wake(Instant now) { return advance({}, now); }
  [[nodiscard]] std::optional<Instant> next_wake() const;
  /// Ought the kernel's counters to be read now? Asked before on_wake(), which takes it as done.
  [[nodiscard]] bool wants_observed(Instant now) const { return observe_ && *observe_ <= now; }

  /// A person wants to know: pings the way in use, DERP included. `probe_all`: every candidate too
  /// (`ping --until-direct`).
  PathActions ask(bool probe_all, Instant now);

  /// Where relayed packets go: the region that the peer's last one came through, else its home; 0:
  /// none.
  [[nodiscard]] uint16_t relay_region() const;
  [[nodiscard]] PathState state() const;
  /// The direct path in use or in doubt.
  [[nodiscard]] std::optional<Endpoint> endpoint() const;
  [[nodiscard]] Duration rtt() const { return best_ ? best_->rtt : Duration{}; }
  /// As the kernel was told last.
  [[nodiscard]] const KernelPath& kernel_path() const { return kernel_; }
  /// Is a ping with this number under way?
  [[nodiscard]] bool expects(const TxId& tx) const;

 private:
  struct Best {
    DirectPath path;
    Duration rtt{};
    Instant since;
    Instant trust_until;
  };
  struct Probe {
    TxId tx{};
    PingTarget to;
    Instant sent;
    bool asked = false;
  };
  struct Doubt {
    DoubtCause cause = DoubtCause::kSilence;
    Instant since;
    size_t pings = 0;
    Instant verdict;  // when to give up, or to look again
  };
  struct WireCount {
    uint64_t at = 0;
    std::optional<Instant> since;  // when the first of those that led nowhere was counted
    Instant moved;
  };

  [[nodiscard]] bool active(Instant now) const { return active_until_ && now < *active_until_; }
  void touch(Instant when);
  void ping(const PingTarget& to, bool asked, Instant now, PathActions& out);
  void probe(Duration gap, Instant now, PathActions& out);
  void discover(Instant now, PathActions& out);
  void restart_discovery(Instant now);
  void doubt(DoubtCause cause, Instant now);
  void lose_best(Instant now);
  void see(const Endpoint& endpoint);
  void observe(const PathObserved& observed, Instant now, PathActions& out);
  void watch_wire(const PathObserved& observed, Instant now, PathActions& out);
  void run_doubt(Instant now, PathActions& out);
  void run_heartbeat(Instant now, PathActions& out);
  void run_discovery(Instant now, PathActions& out);
  void run_wireguard_only(Instant now);
  [[nodiscard]] Duration patience() const;
  [[nodiscard]] KernelPath wanted_kernel_path() const;
  [[nodiscard]] bool kernel_is_as_wanted() const;
  /// Does everything that is due, then tells what has changed.
  PathActions advance(PathActions out, Instant now);

  RandomSource& random_;
  std::optional<PathPeer> peer_;
  PathCandidates candidates_;
  std::vector<Probe> probes_;
  std::vector<Endpoint> seen_;  // the peer's addresses, the latest last
  uint16_t last_region_ = 0;
  std::optional<Instant> active_until_;

  std::optional<Best> best_;
  std::optional<Instant> heartbeat_;        // next ping of best_
  std::optional<Instant> unanswered_ping_;  // first heartbeat since best_'s last pong
  std::optional<Instant> upgrade_;
  std::optional<Doubt> doubt_;
  std::optional<Instant> no_doubt_before_;  // for causes that the peer can raise

  std::optional<Instant> discovery_;  // next full ping
  Instant discovery_since_;
  std::vector<Instant> repeats_;

  PathObserved observed_;
  std::optional<Instant> observe_;
  std::optional<Instant> unanswered_tx_;  // first packet sent since the last one came
  std::optional<Instant> forgiven_rx_;    // a pong has explained the silence since then
  WireCount wire_;
  size_t wireguard_only_choice_ = 0;

  KernelPath kernel_;
  Instant kernel_set_;
  bool duplicating_ = false;
  PathState told_ = PathState::kIdle;
  std::optional<Endpoint> told_endpoint_;
};

}  // namespace sallyport
