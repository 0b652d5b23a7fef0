// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/home_derp.h"

#include <algorithm>

namespace sallyport {

namespace {

Duration scaled(const DerpMap& map, uint16_t region, Duration latency) {
  const auto score = map.region_score.find(region);
  if (score == map.region_score.end() || score->second <= 0) return latency;
  return Duration(static_cast<int64_t>(static_cast<double>(latency.count()) * score->second));
}

}  // namespace

bool is_home_region(const DerpRegion& region) {
  if (region.no_measure_no_home) return false;
  return std::ranges::any_of(region.nodes, [](const DerpNode& node) { return !node.stun_only; });
}

bool HomeDerp::heard(uint16_t region, Duration within, Instant now) const {
  const auto at = heard_.find(region);
  return at != heard_.end() && now < at->second + within;
}

uint16_t HomeDerp::choose(const DerpMap& map, const RegionLatencies& latencies, bool may_change,
                          Instant began, Instant now) {
  std::erase_if(history_, [&](const Report& r) { return now >= r.at + kLatencyHistory; });
  std::erase_if(heard_, [&](const auto& h) { return !map.regions.contains(h.first); });
  history_.push_back({now, latencies});
  const bool exists = map.regions.contains(home_);
  if (exists && !may_change) return home_;
  home_ = preferred(map, latencies, began, now);
  return home_;
}

uint16_t HomeDerp::without_samples(const DerpMap& map, Instant now) const {
  if (map.regions.contains(home_) && heard(home_, kHeardAtAll, now)) return home_;
  std::vector<uint16_t> possible;
  for (const auto& [id, region] : map.regions) {
    if (is_home_region(region)) possible.push_back(id);
  }
  return possible.empty() ? uint16_t{0} : possible[spread_ % possible.size()];
}

uint16_t HomeDerp::preferred(const DerpMap& map, const RegionLatencies& latencies, Instant began,
                             Instant now) const {
  uint16_t best = 0;
  Duration best_latency{};
  for (const auto& [id, latency] : latencies) {
    const auto region = map.regions.find(id);
    if (region == map.regions.end() || !is_home_region(region->second)) continue;
    Duration recent = latency;
    for (const Report& report : history_) {
      const auto then = report.latencies.find(id);
      if (then != report.latencies.end()) recent = std::min(recent, then->second);
    }
    recent = scaled(map, id, recent);
    if (best != 0 && recent >= best_latency) continue;
    best = id;
    best_latency = recent;
  }
  if (best == 0) return without_samples(map, now);
  if (home_ == 0 || best == home_) return best;
  const auto old = map.regions.find(home_);
  if (old == map.regions.end() || !is_home_region(old->second)) return best;

  const auto sample = latencies.find(home_);
  const auto frame = heard_.find(home_);
  const bool since = frame != heard_.end() && frame->second >= began;
  if (sample == latencies.end()) {
    // Not measured, but alive: nothing says that it is farther away.
    return since || heard(home_, kHeardLately, now) ? home_ : best;
  }
  const Duration old_latency = scaled(map, home_, sample->second);
  const bool near_enough = old_latency - best_latency < kHomeMargin;
  const bool not_much_nearer = best_latency > old_latency / 3 * 2;
  return near_enough || not_much_nearer ? home_ : best;
}

}  // namespace sallyport
