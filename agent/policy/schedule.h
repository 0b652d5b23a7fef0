// SPDX-License-Identifier: BSD-3-Clause
/// When a rule is open, and which sets of rules follow one another.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/clock.h"
#include "agent/model/node_state.h"
#include "agent/model/rule.h"

namespace sallyport {

/// Zones come from the system's zoneinfo, read once; none is known if that is not installed.
bool is_known_zone(std::string_view name);
std::vector<std::string> known_zones();

/// Open exactly while a wall clock of the zone shows a time of the window. So a time that a change
/// to summer time leaves out is never open, one that comes twice is open twice, and a window that
/// spans the change is an hour shorter or longer. An unknown zone: never.
bool is_open(const TimeWindow& window, WallTime at);

/// not_before <= at < not_after, and one of the windows, if there are any, is open.
bool is_active(const Rule& rule, WallTime at);

/// The first moment after `after` at which is_active() is not what it is at `after`. Nothing: it
/// stays so for good.
std::optional<WallTime> next_change(const Rule& rule, WallTime after);

/// What holds until `valid_until`, by position in the given rules.
struct ChainLink {
  std::vector<size_t> rules;
  std::vector<size_t> ceiling;
  std::optional<Instant> valid_until;  // nothing: for good
  friend bool operator==(const ChainLink&, const ChainLink&) = default;
};

/// What holds now, then, and after that if nobody of ours lives to say more: every rule closed that
/// has a time (but for one whose not_before is over and which has no other). One to three links, of
/// which the last has no end. With a clock that is not credible those rules are closed at once.
std::vector<ChainLink> plan_chain(const std::vector<Rule>& rules, const std::vector<Rule>& ceiling,
                                  WallTime now_wall, Instant now_boot, ClockTrust trust);

}  // namespace sallyport
