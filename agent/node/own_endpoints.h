// SPDX-License-Identifier: BSD-3-Clause
/// At which addresses peers may find us, and when to look again. Sans-IO.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/random.h"
#include "agent/model/endpoint.h"
#include "agent/model/tailnet_keys.h"

namespace sallyport {

/// Source: magicsock endpointsFreshEnoughDuration, the bounds of its ReSTUN timer, and its endpoint
/// tracker's lifetime and limit.
constexpr Duration kEndpointsFresh = std::chrono::seconds(27);
constexpr Duration kRestunMin = std::chrono::seconds(20);
constexpr Duration kRestunMax = std::chrono::seconds(26);
constexpr Duration kStunRemembered = std::chrono::seconds(310);
constexpr size_t kStunPerAddress = 6;
/// A STUN round that does not end keeps nobody waiting longer.
constexpr Duration kStunRound = std::chrono::seconds(5);

/// The numbers of the control protocol. Source: tailcfg EndpointType.
enum class EndpointKind : uint8_t {
  kUnknown = 0,
  kLocal = 1,
  kStun = 2,
  kPortMapped = 3,
  kStunLocalPort = 4,  // the address that STUN saw, with the port that we listen at
  kExplicit = 5,
};
struct OwnEndpoint {
  Endpoint endpoint;
  EndpointKind kind = EndpointKind::kUnknown;
  friend auto operator<=>(const OwnEndpoint&, const OwnEndpoint&) = default;
};

/// To the control server, as a lite update; the list has changed.
struct AnnounceEndpoints {
  std::vector<OwnEndpoint> endpoints;
  friend bool operator==(const AnnounceEndpoints&, const AnnounceEndpoints&) = default;
};
/// Ask all STUN servers of interest; the answer is on_stun().
struct RunStun {
  friend bool operator==(const RunStun&, const RunStun&) = default;
};
/// To each of these peers, by DERP, with this list.
struct CallPeers {
  std::vector<NodeKey> peers;
  std::vector<Endpoint> endpoints;
  friend bool operator==(const CallPeers&, const CallPeers&) = default;
};
using EndpointAction = std::variant<AnnounceEndpoints, RunStun, CallPeers>;
using EndpointActions = std::vector<EndpointAction>;

/// What one round of STUN found; empty if nobody answered.
struct StunRound {
  std::vector<Endpoint> seen;
  bool mapping_varies = false;  // two servers saw different ports
};

class OwnEndpoints {
 public:
  /// `random` outlives it.
  explicit OwnEndpoints(RandomSource& random) : random_(random) {}

  /// Our addresses on every port that may lead to a peer, loopback included, and WireGuard's port.
  /// What STUN saw by other addresses is forgotten if they have changed.
  EndpointActions on_local(std::vector<IpAddress> addresses, uint16_t port, Instant now);
  EndpointActions on_configured(std::vector<Endpoint> endpoints, Instant now);
  /// Nothing: the mapping is gone.
  EndpointActions on_port_mapped(std::optional<Endpoint> endpoint, Instant now);
  EndpointActions on_stun(const StunRound& round, Instant now);
  /// A pong of a peer at `by` says that our ping came from `seen`. Two peers must agree: behind a
  /// NAT that maps by destination each sees another port.
  EndpointActions on_seen(const Endpoint& seen, const Endpoint& by, Instant now);
  /// Is any path in use? Only then STUN is repeated.
  EndpointActions on_active(bool active, Instant now);
  /// A path wants its peer called: at once if what we know is fresh, else after the next round.
  EndpointActions call_me_maybe(const NodeKey& peer, Instant now);
  EndpointActions on_wake(Instant now);
  [[nodiscard]] std::optional<Instant> next_wake() const;

  /// In the order of protocol: mapped, STUN, STUN with our port, configured, local.
  [[nodiscard]] std::vector<OwnEndpoint> list(Instant now) const;

 private:
  struct Observed {
    Endpoint endpoint;
    Instant last;
    std::optional<Endpoint> by;  // the first peer that saw it; nothing: a STUN server
    bool twice = false;
    bool latest = false;  // in the latest round
  };
  void note(const Endpoint& endpoint, std::optional<Endpoint> by, Instant now);
  EndpointActions advance(Instant now);

  RandomSource& random_;
  std::vector<IpAddress> local_;
  uint16_t port_ = 0;
  std::vector<Endpoint> configured_;
  std::optional<Endpoint> mapped_;
  std::vector<Observed> observed_;  // the latest first
  bool mapping_varies_ = false;
  bool active_ = false;
  std::optional<Instant> fresh_until_;
  std::optional<Instant> restun_;   // when it is due
  std::optional<Instant> running_;  // until when a round may last
  std::vector<NodeKey> waiting_;    // to be called
  std::vector<OwnEndpoint> announced_;
};

}  // namespace sallyport
