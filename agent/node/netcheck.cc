// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/netcheck.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

namespace sallyport {

namespace {

constexpr int kTriesFull = 3;
constexpr int kTriesHome = 4;
constexpr int kTriesFast = 2;
constexpr int kTriesOther = 1;
/// Once enough is known, a slow answer may still come in this time.
constexpr Duration kLinger = std::chrono::milliseconds(100);

bool has_stun(const DerpNode& node, IpFamily family) {
  if (node.stun_port < 0) return false;
  return (family == IpFamily::kV4 ? node.ipv4 : node.ipv6) != "none";
}

/// The node for try `index`: they take turns.
std::optional<size_t> node_for(const DerpRegion& region, IpFamily family, int index) {
  std::vector<size_t> possible;
  for (size_t i = 0; i < region.nodes.size(); ++i) {
    if (has_stun(region.nodes[i], family)) possible.push_back(i);
  }
  if (possible.empty()) return {};
  return possible[static_cast<size_t>(index) % possible.size()];
}

void add_probes(std::vector<PlannedProbe>& plan, const DerpRegion& region, IpFamily family,
                int tries, Duration gap) {
  for (int i = 0; i < tries; ++i) {
    const auto node = node_for(region, family, i);
    if (node) plan.push_back({gap * i, region.id, *node, family});
  }
}

/// The measured regions of the last report, the fastest first.
std::vector<uint16_t> by_latency(const NetcheckReport& report) {
  std::vector<std::pair<Duration, uint16_t>> order;
  order.reserve(report.latency.size());
  for (const auto& [region, latency] : report.latency) order.emplace_back(latency, region);
  std::ranges::sort(order);
  std::vector<uint16_t> out;
  out.reserve(order.size());
  for (const auto& [latency, region] : order) out.push_back(region);
  return out;
}

void keep_lower(RegionLatencies& latencies, uint16_t region, Duration latency) {
  const auto [known, is_new] = latencies.try_emplace(region, latency);
  if (!is_new) known->second = std::min(known->second, latency);
}

}  // namespace

std::vector<PlannedProbe> plan_probes(const DerpMap& map, bool has_v6, const NetcheckReport* last,
                                      uint16_t home) {
  std::vector<PlannedProbe> plan;
  const auto families =
      has_v6 ? std::vector{IpFamily::kV4, IpFamily::kV6} : std::vector{IpFamily::kV4};
  if (last == nullptr || last->latency.empty()) {
    for (const auto& [id, region] : map.regions) {
      if (region.no_measure_no_home) continue;
      for (const IpFamily family : families)
        add_probes(plan, region, family, kTriesFull, kFirstRetransmit);
    }
  } else {
    std::vector<uint16_t> wanted = by_latency(*last);
    if (wanted.size() > kFastRegions) wanted.resize(kFastRegions);
    const bool home_is_slow = std::ranges::find(wanted, home) == wanted.end();
    if (home != 0 && home_is_slow) wanted.push_back(home);
    for (size_t rank = 0; rank < wanted.size(); ++rank) {
      const auto region = map.regions.find(wanted[rank]);
      if (region == map.regions.end() || region->second.no_measure_no_home) continue;
      int tries = rank < 2 ? kTriesFast : kTriesOther;
      if (wanted[rank] == home) tries = kTriesHome;
      const auto known = last->latency.find(wanted[rank]);
      const Duration gap = known == last->latency.end() ? kRetransmit : known->second * 6 / 5;
      for (const IpFamily family : families) {
        // IPv6 that did not work is tried once a region: it may have come.
        const bool hopeless = family == IpFamily::kV6 && !last->v6;
        add_probes(plan, region->second, family, hopeless ? kTriesOther : tries, gap);
      }
    }
  }
  std::ranges::sort(plan);
  return plan;
}

NetInfo net_info(const NetcheckReport& report) {
  NetInfo info;
  info.mapping_varies_by_dest_ip = report.mapping_varies;
  info.working_udp = report.udp;
  info.working_ipv6 = report.v6;
  info.os_has_ipv6 = report.os_has_v6;
  info.preferred_derp = report.home;
  const auto seconds = [](Duration d) { return std::chrono::duration<double>(d).count(); };
  for (const auto& [region, latency] : report.latency_v4)
    info.derp_latency_s[std::to_string(region) + "-v4"] = seconds(latency);
  for (const auto& [region, latency] : report.latency_v6)
    info.derp_latency_s[std::to_string(region) + "-v6"] = seconds(latency);
  return info;
}

NetcheckActions Netcheck::start(const DerpMap& map, bool has_v6, bool may_change_home,
                                Instant now) {
  if (run_) return {};
  const bool full =
      !last_ || last_->latency.empty() || !last_full_ || now >= *last_full_ + kFullReportEvery;
  run_.emplace(Run{});
  run_->map = map;
  run_->may_change_home = may_change_home;
  run_->report.began = now;
  run_->report.full = full;
  run_->report.os_has_v6 = has_v6;
  run_->plan = plan_probes(map, has_v6, full ? nullptr : &*last_, home_.home());
  return advance(now);
}

bool Netcheck::answered(uint16_t region, IpFamily family) const {
  const auto& latencies =
      family == IpFamily::kV4 ? run_->report.latency_v4 : run_->report.latency_v6;
  return latencies.contains(region);
}

NetcheckActions Netcheck::on_stun(const stun::TxId& tx, const Endpoint& seen, Instant now) {
  if (!run_) return {};
  const auto sent = std::ranges::find(run_->sent, tx, [](const Sent& s) { return s.probe.tx; });
  if (sent == run_->sent.end()) return {};
  const SendStun probe = sent->probe;
  const Duration latency = now - sent->at;
  run_->sent.erase(sent);

  NetcheckReport& report = run_->report;
  const bool v4 = probe.family == IpFamily::kV4;
  if (seen.address.is_v4() != v4) return {};  // nonsense
  report.udp = true;
  (v4 ? report.v4 : report.v6) = true;
  keep_lower(v4 ? report.latency_v4 : report.latency_v6, probe.region, latency);
  keep_lower(report.latency, probe.region, latency);
  if (std::ranges::find(report.seen, seen) == report.seen.end()) report.seen.push_back(seen);
  if (v4) {
    // One server alone tells nothing, and one that is asked twice is one server.
    for (const auto& [server, other] : run_->seen_v4) {
      if (server == std::pair(probe.region, probe.node)) continue;
      report.mapping_varies = report.mapping_varies.value_or(false) || other != seen;
    }
    run_->seen_v4[{probe.region, probe.node}] = seen;
  }
  judge_enough(now);
  return advance(now);
}

/// Three regions and two opinions on our NAT are enough: whoever waits for our endpoints must not
/// wait for a dead region's three seconds.
void Netcheck::judge_enough(Instant now) {
  if (run_->enough) return;
  std::set<uint16_t> regions;
  std::set<std::pair<uint16_t, size_t>> servers;
  for (const auto& [id, region] : run_->map.regions) {
    if (region.no_measure_no_home) continue;
    for (size_t i = 0; i < region.nodes.size(); ++i) {
      if (!has_stun(region.nodes[i], IpFamily::kV4)) continue;
      regions.insert(id);
      servers.insert({id, i});
    }
  }
  const size_t want_regions = std::min(kFastRegions, regions.size());
  const size_t want_servers = std::min<size_t>(2, servers.size());
  if (run_->report.latency.size() < want_regions || run_->seen_v4.size() < want_servers) return;
  Duration slowest{};
  for (const auto& [region, latency] : run_->report.latency) slowest = std::max(slowest, latency);
  run_->enough = now + std::max(kLinger, slowest);
}

/// Has every region and family that was asked for answered?
bool Netcheck::complete() const {
  const auto is_open = [&](uint16_t region, IpFamily family) { return !answered(region, family); };
  for (const PlannedProbe& probe : run_->plan) {
    if (is_open(probe.region, probe.family)) return false;
  }
  return std::ranges::none_of(
      run_->sent, [&](const Sent& s) { return is_open(s.probe.region, s.probe.family); });
}

NetcheckActions Netcheck::on_https(uint16_t region, std::optional<Duration> latency, Instant now) {
  if (!run_ || std::erase(run_->https, region) == 0) return {};
  if (latency) keep_lower(run_->report.latency, region, *latency);
  return advance(now);
}

NetcheckActions Netcheck::on_wake(Instant now) { return run_ ? advance(now) : NetcheckActions{}; }

std::optional<Instant> Netcheck::next_wake() const {
  if (!run_) return {};
  if (run_->https_until) return run_->https_until;
  Instant next = run_->report.began + kStunPhase;
  if (run_->enough) next = std::min(next, *run_->enough);
  if (!run_->plan.empty()) next = std::min(next, run_->report.began + run_->plan.front().after);
  return next;
}

NetcheckActions Netcheck::advance(Instant now) {
  NetcheckActions actions;
  Run& run = *run_;
  if (run.https_until) {
    if (run.https.empty() || now >= *run.https_until) return finish(now);
    return actions;
  }
  while (!run.plan.empty() && run.report.began + run.plan.front().after <= now) {
    const PlannedProbe probe = run.plan.front();
    run.plan.erase(run.plan.begin());
    if (answered(probe.region, probe.family)) continue;
    const SendStun send{random_.bytes<12>(), probe.region, probe.node, probe.family};
    run.sent.push_back({send, now});
    actions.emplace_back(std::in_place_type<SendStun>, send);
  }
  const bool over = now >= run.report.began + kStunPhase || (run.enough && now >= *run.enough);
  if (!over && !complete()) return actions;
  if (!run.report.udp) {
    run.https_until = now + kHttpsPhase;
    for (const auto& [id, region] : run.map.regions) {
      if (!is_home_region(region)) continue;
      run.https.push_back(id);
      actions.emplace_back(std::in_place_type<ProbeHttps>, id);
    }
    if (!run.https.empty()) return actions;
  }
  for (NetcheckAction& action : finish(now)) actions.push_back(std::move(action));
  return actions;
}

NetcheckActions Netcheck::finish(Instant now) {
  NetcheckReport report = std::move(run_->report);
  report.home = home_.choose(run_->map, report.latency, run_->may_change_home, report.began, now);
  if (report.full) last_full_ = report.began;
  run_.reset();
  last_ = report;
  return {NetcheckDone{std::move(report)}};
}

}  // namespace sallyport
