// SPDX-License-Identifier: BSD-3-Clause
// A report from its first probe to its end.
#include "agent/node/netcheck.h"

#include <gtest/gtest.h>

#include "tests/support/seeded_random.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;

constexpr auto kV4 = IpFamily::kV4;
constexpr auto kV6 = IpFamily::kV6;
Endpoint at(const char* text) { return *Endpoint::parse(text); }
const Endpoint kSeen = at("198.51.100.1:4000");
const Endpoint kElsewhere = at("198.51.100.1:4001");
const Endpoint kSeenSix = at("[2001:db8::1]:4000");

DerpMap regions(std::initializer_list<uint16_t> ids, size_t nodes = 1) {
  DerpMap map;
  for (const uint16_t id : ids) {
    map.regions[id].id = id;
    map.regions[id].nodes.resize(nodes);
  }
  return map;
}
template <class Action>
std::vector<Action> all(const NetcheckActions& actions) {
  std::vector<Action> out;
  for (const NetcheckAction& action : actions) {
    if (const auto* one = std::get_if<Action>(&action)) out.push_back(*one);
  }
  return out;
}

class netcheck : public testing::Test {
 protected:
  /// Answers `probe` after `rtt`.
  NetcheckActions answer(const SendStun& probe, Duration rtt, const Endpoint& seen = kSeen) {
    now_ += rtt;
    return check_.on_stun(probe.tx, seen, now_);
  }
  /// To the end; every probe of a region in `rtts` is answered, the first IPv4 one only.
  NetcheckReport run(const DerpMap& map, const std::map<uint16_t, Duration>& rtts) {
    auto actions = check_.start(map, false, true, now_);
    for (int i = 0; i < 1000; ++i) {
      std::vector<std::pair<Duration, SendStun>> answers;
      for (const SendStun& probe : all<SendStun>(actions)) {
        ++probes_;
        if (rtts.contains(probe.region)) answers.emplace_back(rtts.at(probe.region), probe);
      }
      for (const ProbeHttps& probe : all<ProbeHttps>(actions))
        check_.on_https(probe.region, {}, now_);
      std::ranges::sort(answers, {}, [](const auto& a) { return a.first; });
      for (const auto& [rtt, probe] : answers) {
        for (const auto& done : all<NetcheckDone>(check_.on_stun(probe.tx, kSeen, now_ + rtt)))
          return now_ += rtt, done.report;
      }
      if (!check_.next_wake()) break;
      now_ = std::max(now_, *check_.next_wake());
      actions = check_.on_wake(now_);
      for (const auto& done : all<NetcheckDone>(actions)) return done.report;
    }
    return *check_.last();
  }

  SeededRandom random_{1};
  Netcheck check_{random_, 0};
  Instant now_{1h};
  int probes_ = 0;
};

TEST(netcheck_plan, a_full_one_asks_everybody_three_times) {
  DerpMap map = regions({1, 2});
  map.regions[2].no_measure_no_home = true;
  EXPECT_EQ(plan_probes(map, true, nullptr, 0), (std::vector<PlannedProbe>{{0ms, 1, 0, kV4},
                                                                           {0ms, 1, 0, kV6},
                                                                           {100ms, 1, 0, kV4},
                                                                           {100ms, 1, 0, kV6},
                                                                           {200ms, 1, 0, kV4},
                                                                           {200ms, 1, 0, kV6}}));
}

TEST(netcheck_plan, the_nodes_of_a_region_take_turns_and_some_have_no_stun) {
  DerpMap map = regions({1}, 3);
  map.regions[1].nodes[1].stun_port = -1;
  map.regions[1].nodes[0].ipv6 = "none";
  map.regions[1].nodes[1].ipv6 = "none";
  std::vector<size_t> v4;
  std::vector<size_t> v6;
  for (const PlannedProbe& probe : plan_probes(map, true, nullptr, 0))
    (probe.family == kV4 ? v4 : v6).push_back(probe.node);
  EXPECT_EQ(v4, (std::vector<size_t>{0, 2, 0}));
  EXPECT_EQ(v6, (std::vector<size_t>{2, 2, 2}));
}

TEST(netcheck_plan, later_ones_ask_the_three_fastest_and_home) {
  NetcheckReport last;
  last.latency = {{1, 50ms}, {2, 10ms}, {3, 20ms}, {4, 40ms}, {5, 30ms}};
  last.v6 = false;
  std::map<uint16_t, int> tries;
  std::map<uint16_t, Duration> last_try;
  for (const PlannedProbe& probe : plan_probes(regions({1, 2, 3, 4, 5}), false, &last, 1)) {
    ++tries[probe.region];
    last_try[probe.region] = probe.after;
  }
  EXPECT_EQ(tries, (std::map<uint16_t, int>{{2, 2}, {3, 2}, {5, 1}, {1, 4}}));
  EXPECT_EQ(last_try[2], 12ms) << "1.2 times what it took";
  EXPECT_EQ(last_try[1], 180ms);
}

TEST_F(netcheck, a_lost_probe_is_sent_again_until_somebody_answers) {
  const auto first = all<SendStun>(check_.start(regions({1}), false, true, now_));
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(check_.next_wake(), now_ + 100ms);
  now_ += 100ms;
  const auto second = all<SendStun>(check_.on_wake(now_));
  ASSERT_EQ(second.size(), 1u);
  const auto done = all<NetcheckDone>(answer(second[0], 30ms));
  ASSERT_EQ(done.size(), 1u) << "everybody has answered";
  EXPECT_EQ(done[0].report.latency, (RegionLatencies{{1, 30ms}}));
  EXPECT_EQ(done[0].report.home, 1);
  EXPECT_EQ(done[0].report.mapping_varies, std::nullopt) << "one opinion is none";
  EXPECT_EQ(check_.on_stun(first[0].tx, kSeen, now_), NetcheckActions{}) << "too late";
}

TEST_F(netcheck, an_answer_to_nothing_counts_for_nothing) {
  check_.start(regions({1}), false, true, now_);
  EXPECT_EQ(check_.on_stun({}, kSeen, now_), NetcheckActions{});
  EXPECT_TRUE(check_.running());
}

TEST_F(netcheck, two_servers_tell_whether_the_mapping_varies) {
  for (const bool varies : {false, true}) {
    check_.on_network_changed();
    const auto probes = all<SendStun>(check_.start(regions({1, 2}), false, true, now_));
    ASSERT_EQ(probes.size(), 2u);
    answer(probes[0], 10ms);
    const auto done = all<NetcheckDone>(answer(probes[1], 1ms, varies ? kElsewhere : kSeen));
    ASSERT_EQ(done.size(), 1u);
    EXPECT_EQ(done[0].report.mapping_varies, varies);
    EXPECT_EQ(net_info(done[0].report).mapping_varies_by_dest_ip, varies);
  }
}

TEST_F(netcheck, both_families) {
  const auto probes = all<SendStun>(check_.start(regions({7}), true, true, now_));
  ASSERT_EQ(probes.size(), 2u);
  EXPECT_EQ(answer(probes[0], 20ms), NetcheckActions{});
  const auto done = all<NetcheckDone>(answer(probes[1], 10ms, kSeenSix));
  ASSERT_EQ(done.size(), 1u);
  const NetcheckReport& report = done[0].report;
  EXPECT_TRUE(report.v4 && report.v6 && report.udp);
  EXPECT_EQ(report.seen, (std::vector{kSeen, kSeenSix}));
  EXPECT_EQ(net_info(report).derp_latency_s,
            (std::map<std::string, double>{{"7-v4", 0.02}, {"7-v6", 0.03}}));
  EXPECT_EQ(net_info(report).preferred_derp, 7);
}

TEST_F(netcheck, three_regions_are_enough_a_dead_one_is_not_waited_for) {
  const auto probes = all<SendStun>(check_.start(regions({1, 2, 3, 4}), false, true, now_));
  for (size_t i = 0; i < 3; ++i) answer(probes.at(i), 10ms);
  ASSERT_TRUE(check_.running());
  const Instant began = now_;
  NetcheckActions actions;
  while (check_.running()) {
    now_ = *check_.next_wake();
    actions = check_.on_wake(now_);
  }
  EXPECT_EQ(now_ - began, 100ms);
  EXPECT_EQ(all<NetcheckDone>(actions).at(0).report.latency.size(), 3u);
}

TEST_F(netcheck, without_udp_https_measures) {
  auto actions = check_.start(regions({1, 2}), false, true, now_);
  const Instant began = now_;
  while (all<ProbeHttps>(actions).empty()) {
    ASSERT_TRUE(check_.next_wake());
    now_ = *check_.next_wake();
    actions = check_.on_wake(now_);
  }
  EXPECT_EQ(now_ - began, kStunPhase);
  EXPECT_EQ(all<ProbeHttps>(actions), (std::vector{ProbeHttps{1}, ProbeHttps{2}}));
  EXPECT_EQ(check_.on_https(1, 300ms, now_), NetcheckActions{});
  const auto done = all<NetcheckDone>(check_.on_https(2, 200ms, now_));
  ASSERT_EQ(done.size(), 1u);
  EXPECT_FALSE(done[0].report.udp);
  EXPECT_EQ(net_info(done[0].report).working_udp, false);
  EXPECT_EQ(done[0].report.home, 2);
}

TEST_F(netcheck, nobody_answers_at_all) {
  check_.start(regions({1, 2}), false, true, now_);
  const Instant began = now_;
  NetcheckActions actions;
  while (check_.running()) {
    now_ = *check_.next_wake();
    actions = check_.on_wake(now_);
  }
  EXPECT_EQ(now_ - began, kStunPhase + kHttpsPhase);
  EXPECT_EQ(all<NetcheckDone>(actions).at(0).report.home, 1) << "some region all the same";
}

TEST_F(netcheck, every_fifth_minute_is_full) {
  const DerpMap map = regions({1, 2, 3, 4, 5, 6});
  const std::map<uint16_t, Duration> rtts = {{1, 10ms}, {2, 20ms}, {3, 30ms},
                                             {4, 40ms}, {5, 50ms}, {6, 60ms}};
  EXPECT_TRUE(run(map, rtts).full);
  EXPECT_EQ(probes_, 6);
  now_ += 25s;
  probes_ = 0;
  EXPECT_FALSE(run(map, rtts).full);
  EXPECT_LE(probes_, 3 * 2);
  now_ += kFullReportEvery;
  EXPECT_TRUE(run(map, rtts).full);
  check_.on_network_changed();
  EXPECT_TRUE(run(map, rtts).full);
}

TEST_F(netcheck, no_regions) {
  const auto done = all<NetcheckDone>(check_.start({}, true, true, now_));
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].report.home, 0);
}

}  // namespace
}  // namespace sallyport
