// SPDX-License-Identifier: BSD-3-Clause
/// The addresses at which a peer may be, where we know them from, and when each was tried.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "agent/base/clock.h"
#include "agent/model/endpoint.h"

namespace sallyport {

/// Source: magicsock pingTimeoutDuration, discoPingInterval, sessionActiveTimeout.
constexpr Duration kPingGap = std::chrono::seconds(5);
constexpr Duration kLearntLifetime = std::chrono::seconds(45);
/// A path that only disco gets through is not tried again for so long.
constexpr Duration kBarred = std::chrono::minutes(5);
constexpr size_t kMaxCandidates = 64;

/// One round trip that was measured.
struct Measured {
  Endpoint at;
  Duration rtt{};
  bool by_relay = false;  // through a peer's UDP relay
};
/// Is `a` worth leaving `b` for? A share of the latency saved counts as points, and so do an
/// address of ours (loopback 50, link-local 30, private 20) and IPv6 (10); a point or less is not
/// enough. Source: magicsock betterAddr.
bool better_path(const Measured& a, const Measured& b);

/// May a packet be sent there at all?
bool is_possible(const Endpoint& endpoint);
bool is_link_local_v6(const IpAddress& address);

class PathCandidates {
 public:
  /// What the control server names; replaces what it named before.
  void set_control(std::span<const Endpoint> endpoints);
  /// What the peer names in a call-me-maybe: replaces earlier ones, and all may be tried at once.
  /// IPv6 link-local ones mean nothing here.
  void set_called(std::span<const Endpoint> endpoints);
  /// The peer's ping came from there. True: it was not known.
  bool learn(const Endpoint& endpoint, Instant now);
  void bar(const Endpoint& endpoint, Instant now);
  [[nodiscard]] bool is_barred(const Endpoint& endpoint, Instant now) const;

  /// Those that may be pinged now: not within the last `gap`, not barred. Each counts as pinged.
  std::vector<Endpoint> take_due(Duration gap, Instant now);
  void note_ping(const Endpoint& endpoint, Instant now);
  [[nodiscard]] std::optional<Instant> last_ping(const Endpoint& endpoint) const;
  /// A new network or a new path: everything may be tried at once, barred ones too.
  void forget_pings();
  /// The peer is another: only the control server's word stands.
  void forget_learnt();
  [[nodiscard]] bool empty() const { return all_.empty(); }
  /// In the order of first mention.
  [[nodiscard]] std::vector<Endpoint> endpoints() const;

 private:
  struct Candidate {
    Endpoint at;
    bool control = false;
    bool called = false;
    std::optional<Instant> learnt_until;
    std::optional<Instant> pinged;
    std::optional<Instant> barred_until;
  };
  Candidate* find(const Endpoint& endpoint);
  [[nodiscard]] const Candidate* find(const Endpoint& endpoint) const;
  /// Nothing: there are too many already.
  Candidate* find_or_add(const Endpoint& endpoint);
  void drop_unfounded();

  std::vector<Candidate> all_;
};

}  // namespace sallyport
