// SPDX-License-Identifier: BSD-3-Clause
/// What network are we in: a round of STUN to the DERP regions, or of HTTPS where UDP does not
/// pass, and the report about it. Sans-IO.
/// Source: tailscale net/netcheck (constants; makeProbePlan; the meaning of a report's members).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/random.h"
#include "agent/model/derp_map.h"
#include "agent/model/endpoint.h"
#include "agent/model/hostinfo.h"
#include "agent/node/home_derp.h"
#include "agent/wire/stun.h"

namespace sallyport {

constexpr Duration kStunPhase = std::chrono::seconds(3);
constexpr Duration kHttpsPhase = std::chrono::seconds(5);
/// Every region is asked; in between only the three fastest and home.
constexpr Duration kFullReportEvery = std::chrono::minutes(5);
constexpr size_t kFastRegions = 3;
constexpr Duration kFirstRetransmit = std::chrono::milliseconds(100);
constexpr Duration kRetransmit = std::chrono::milliseconds(200);

enum class IpFamily : uint8_t { kV4, kV6 };

/// One STUN request to node `node` of a region, from WireGuard's port. An address that the driver
/// cannot find is a probe that is not answered.
struct SendStun {
  stun::TxId tx{};
  uint16_t region = 0;
  size_t node = 0;
  IpFamily family = IpFamily::kV4;
  friend bool operator==(const SendStun&, const SendStun&) = default;
};
/// GET /derp/latency-check from the region's first relay; the answer is on_https().
struct ProbeHttps {
  uint16_t region = 0;
  friend bool operator==(const ProbeHttps&, const ProbeHttps&) = default;
};

struct NetcheckReport {
  Instant began;
  bool full = false;
  bool udp = false;
  bool v4 = false;  // somebody answered by it
  bool v6 = false;
  bool os_has_v6 = false;
  /// Two servers saw one IPv4 socket at different ports; nothing: fewer than two answered.
  std::optional<bool> mapping_varies;
  std::vector<Endpoint> seen;  // from outside, the first answer's first
  RegionLatencies latency;     // the lower of both families', or HTTPS's
  RegionLatencies latency_v4;
  RegionLatencies latency_v6;
  uint16_t home = 0;
  friend bool operator==(const NetcheckReport&, const NetcheckReport&) = default;
};
NetInfo net_info(const NetcheckReport& report);

struct NetcheckDone {
  NetcheckReport report;
  friend bool operator==(const NetcheckDone&, const NetcheckDone&) = default;
};
using NetcheckAction = std::variant<SendStun, ProbeHttps, NetcheckDone>;
using NetcheckActions = std::vector<NetcheckAction>;

/// Which probes a report sends and when, after its start. Pure, for tests.
struct PlannedProbe {
  Duration after{};
  uint16_t region = 0;
  size_t node = 0;
  IpFamily family = IpFamily::kV4;
  friend auto operator<=>(const PlannedProbe&, const PlannedProbe&) = default;
};
/// `last`: the report before, if this one need not be full. Sorted.
std::vector<PlannedProbe> plan_probes(const DerpMap& map, bool has_v6, const NetcheckReport* last,
                                      uint16_t home);

class Netcheck {
 public:
  /// `random` outlives it. `spread`: see HomeDerp.
  Netcheck(RandomSource& random, uint64_t spread) : random_(random), home_(spread) {}

  /// Begins a report; nothing if one is under way. `may_change_home`: is a map poll up?
  NetcheckActions start(const DerpMap& map, bool has_v6, bool may_change_home, Instant now);
  NetcheckActions on_stun(const stun::TxId& tx, const Endpoint& seen, Instant now);
  /// Nothing: no answer.
  NetcheckActions on_https(uint16_t region, std::optional<Duration> latency, Instant now);
  /// Links have changed: a report under way is of a network that is gone, and the next one is full.
  void on_network_changed() {
    run_.reset();
    last_full_.reset();
  }
  NetcheckActions on_wake(Instant now);
  [[nodiscard]] std::optional<Instant> next_wake() const;
  [[nodiscard]] bool running() const { return run_.has_value(); }

  HomeDerp& home() { return home_; }
  [[nodiscard]] const HomeDerp& home() const { return home_; }
  [[nodiscard]] const std::optional<NetcheckReport>& last() const { return last_; }

 private:
  struct Sent {
    SendStun probe;
    Instant at;
  };
  struct Run {
    DerpMap map;
    NetcheckReport report;
    bool may_change_home = false;
    std::vector<PlannedProbe> plan;  // what is still to be sent
    std::vector<Sent> sent;
    /// Where each server saw us by IPv4; two of them tell whether the mapping varies.
    std::map<std::pair<uint16_t, size_t>, Endpoint> seen_v4;
    std::optional<Instant> enough;  // the rest has so long
    std::optional<Instant> https_until;
    std::vector<uint16_t> https;  // under way
  };
  [[nodiscard]] bool answered(uint16_t region, IpFamily family) const;
  [[nodiscard]] bool complete() const;
  void judge_enough(Instant now);
  NetcheckActions advance(Instant now);
  NetcheckActions finish(Instant now);

  RandomSource& random_;
  HomeDerp home_;
  std::optional<Run> run_;
  std::optional<NetcheckReport> last_;
  std::optional<Instant> last_full_;
};

}  // namespace sallyport
