// SPDX-License-Identifier: BSD-3-Clause
#include "agent/policy/schedule.h"

#include <date/tz.h>

#include <algorithm>
#include <exception>

namespace sallyport {
namespace {

using std::chrono::seconds;
using Seconds = date::sys_seconds;
using LocalSeconds = date::local_seconds;
constexpr uint16_t kDayMinutes = 1440;

/// The library throws where we would return nothing.
const date::time_zone* find_zone(std::string_view name) {
  try {
    return date::locate_zone(name);
  } catch (const std::exception&) {
    return nullptr;
  }
}

/// Is `minute` of the local day `day` in the window?
bool shows(const TimeWindow& window, date::local_days day, unsigned minute) {
  const auto has = [&](date::local_days d) {
    return ((window.days >> (date::weekday{d}.iso_encoding() - 1)) & 1) != 0;
  };
  if (window.start_minute < window.end_minute) {
    return has(day) && window.start_minute <= minute && minute < window.end_minute;
  }
  return (has(day) && window.start_minute <= minute) ||
         (has(day - date::days{1}) && minute < window.end_minute);
}

bool is_open_in(const date::time_zone& zone, const TimeWindow& window, WallTime at) {
  const LocalSeconds local = zone.to_local(date::floor<seconds>(at));
  const auto day = date::floor<date::days>(local);
  const auto minute = std::chrono::duration_cast<std::chrono::minutes>(local - day).count();
  return shows(window, day, static_cast<unsigned>(minute));
}

/// All moments at which a zone's clock shows `local`, or jumps over it.
void add_moments(const date::time_zone& zone, LocalSeconds local, std::vector<WallTime>& out) {
  const date::local_info info = zone.get_info(local);
  if (info.result == date::local_info::nonexistent) {
    out.emplace_back(info.first.end);
    return;
  }
  out.emplace_back(Seconds{local.time_since_epoch()} - info.first.offset);
  if (info.result == date::local_info::ambiguous) {
    out.emplace_back(Seconds{local.time_since_epoch()} - info.second.offset);
    out.emplace_back(info.first.end);
  }
}

/// A window that is closed for longer than this never opens again: the days repeat weekly, and one
/// of them may fall into a gap of the clock.
constexpr date::days kHorizon{16};

/// Where the window can open or close in the time after `after`.
void add_edges(const TimeWindow& window, WallTime after, std::vector<WallTime>& out) {
  const date::time_zone* zone = find_zone(window.zone);
  if (zone == nullptr) return;
  const auto today = date::floor<date::days>(zone->to_local(date::floor<seconds>(after)));
  for (auto day = today - date::days{2}; day <= today + kHorizon; day += date::days{1}) {
    add_moments(*zone, day + std::chrono::minutes{window.start_minute}, out);
    add_moments(*zone, day + std::chrono::minutes{window.end_minute % kDayMinutes}, out);
    // Midnight closes a window whose next day does not count.
    add_moments(*zone, LocalSeconds{day}, out);
  }
  // Each change of the clock moves what it shows.
  const Seconds end = date::floor<seconds>(after) + kHorizon;
  for (Seconds at = date::floor<seconds>(after); at < end;) {
    const Seconds change = zone->get_info(at).end;
    if (change > end) break;
    out.emplace_back(change);
    at = change;
  }
}

bool windows_open(const Rule& rule, WallTime at) {
  return rule.when.empty() ||
         std::ranges::any_of(rule.when, [&](const TimeWindow& w) { return is_open(w, at); });
}

std::optional<WallTime> next_window_change(const Rule& rule, WallTime after) {
  std::vector<WallTime> edges;
  for (const TimeWindow& window : rule.when) add_edges(window, after, edges);
  std::ranges::sort(edges);
  const bool open = windows_open(rule, after);
  for (const WallTime edge : edges) {
    if (edge > after && windows_open(rule, edge) != open) return edge;
  }
  return {};
}

/// The kernel's clock at a moment of the wall's; saturates.
Instant boot_time_of(WallTime wall, WallTime now_wall, Instant now_boot) {
  Duration left{};
  Duration::rep sum = 0;
  if (__builtin_sub_overflow(wall.time_since_epoch().count(), now_wall.time_since_epoch().count(),
                             &sum)) {
    return Instant::max();
  }
  left = Duration{sum};
  if (__builtin_add_overflow(now_boot.time_since_epoch().count(), left.count(), &sum)) {
    return Instant::max();
  }
  return Instant{Duration{sum}};
}

template <class Predicate>
std::vector<size_t> positions(const std::vector<Rule>& rules, Predicate&& holds) {
  std::vector<size_t> out;
  for (size_t i = 0; i < rules.size(); ++i) {
    if (holds(rules[i])) out.push_back(i);
  }
  return out;
}

}  // namespace

bool is_known_zone(std::string_view name) { return find_zone(name) != nullptr; }

std::vector<std::string> known_zones() {
  std::vector<std::string> out;
  try {
    out.reserve(date::get_tzdb().zones.size());
    for (const date::time_zone& zone : date::get_tzdb().zones) out.push_back(zone.name());
  } catch (const std::exception&) {
    return {};
  }
  return out;
}

bool is_open(const TimeWindow& window, WallTime at) {
  const date::time_zone* zone = find_zone(window.zone);
  return zone != nullptr && is_open_in(*zone, window, at);
}

bool is_active(const Rule& rule, WallTime at) {
  if (rule.not_before && at < *rule.not_before) return false;
  if (rule.not_after && at >= *rule.not_after) return false;
  return windows_open(rule, at);
}

std::optional<WallTime> next_change(const Rule& rule, WallTime after) {
  if (rule.not_after && after >= *rule.not_after) return {};
  if (rule.not_before && rule.not_after && *rule.not_before >= *rule.not_after) return {};
  if (rule.not_before && after < *rule.not_before) {
    if (windows_open(rule, *rule.not_before)) return rule.not_before;
    after = *rule.not_before;
  }
  const bool active = windows_open(rule, after);
  const auto window = next_window_change(rule, after);
  if (!rule.not_after) return window;
  if (window && *window < *rule.not_after) return window;
  return active ? rule.not_after : std::nullopt;
}

std::vector<ChainLink> plan_chain(const std::vector<Rule>& rules, const std::vector<Rule>& ceiling,
                                  WallTime now_wall, Instant now_boot, ClockTrust trust) {
  const auto link_of = [&](auto&& holds) {
    return ChainLink{positions(rules, holds), positions(ceiling, holds), {}};
  };
  const auto untimed = [](const Rule& rule) { return !rule.has_time(); };
  if (trust != ClockTrust::kCredible) return {link_of(untimed)};

  const auto change_after = [&](WallTime at) {
    std::optional<WallTime> first;
    for (const auto* list : {&rules, &ceiling}) {
      for (const Rule& rule : *list) {
        const auto change = next_change(rule, at);
        if (change && (!first || *change < *first)) first = change;
      }
    }
    return first;
  };
  std::vector<ChainLink> chain;
  WallTime at = now_wall;
  while (chain.size() < 2) {
    chain.push_back(link_of([&](const Rule& rule) { return is_active(rule, at); }));
    const auto change = change_after(at);
    if (!change) return chain;
    chain.back().valid_until = boot_time_of(*change, now_wall, now_boot);
    at = *change;
  }
  chain.push_back(link_of([&](const Rule& rule) {
    return rule.when.empty() && !rule.not_after && is_active(rule, at);
  }));
  return chain;
}

}  // namespace sallyport
