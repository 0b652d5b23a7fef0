// SPDX-License-Identifier: BSD-3-Clause
/// Which DERP region is home: the nearest one lately, with enough inertia that it does not wander.
/// Source: tailscale net/netcheck (addReportHistoryAndSetPreferredDERP, its constants).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "agent/base/clock.h"
#include "agent/model/derp_map.h"

namespace sallyport {

using RegionLatencies = std::map<uint16_t, Duration>;

constexpr Duration kLatencyHistory = std::chrono::minutes(5);
/// The old home stays if the new one is less than this nearer, or not a third nearer.
constexpr Duration kHomeMargin = std::chrono::milliseconds(10);
/// A region counts as reachable if it was heard from so lately, with or without a probe's answer.
constexpr Duration kHeardLately = std::chrono::seconds(8);
/// With no answer from anywhere a home heard from so lately stays.
constexpr Duration kHeardAtAll = std::chrono::minutes(2);

class HomeDerp {
 public:
  /// `spread` picks the region of a node that has nothing to go by: the same for all its life, and
  /// different for different nodes.
  explicit HomeDerp(uint64_t spread) : spread_(spread) {}

  void set_spread(uint64_t spread) { spread_ = spread; }
  [[nodiscard]] uint16_t home() const { return home_; }
  /// From before a restart.
  void restore(uint16_t home) { home_ = home; }
  /// A frame of any kind came from there.
  void on_frame(uint16_t region, Instant now) { heard_[region] = now; }

  /// A report's latencies, one a region that answered; `began`: when it was started. `may_change`:
  /// is a control server there to be told? 0: there is no region.
  uint16_t choose(const DerpMap& map, const RegionLatencies& latencies, bool may_change,
                  Instant began, Instant now);

 private:
  struct Report {
    Instant at;
    RegionLatencies latencies;
  };
  [[nodiscard]] bool heard(uint16_t region, Duration within, Instant now) const;
  [[nodiscard]] uint16_t without_samples(const DerpMap& map, Instant now) const;
  [[nodiscard]] uint16_t preferred(const DerpMap& map, const RegionLatencies& latencies,
                                   Instant began, Instant now) const;

  uint64_t spread_;
  uint16_t home_ = 0;
  std::vector<Report> history_;
  std::map<uint16_t, Instant> heard_;
};

/// May it be a home?
bool is_home_region(const DerpRegion& region);

}  // namespace sallyport
