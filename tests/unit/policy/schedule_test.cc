// SPDX-License-Identifier: BSD-3-Clause
// Windows by the wall clock of their zone, held against known days of the calendar, and the next
// change against a walk minute by minute.
#include "agent/policy/schedule.h"

#include <gtest/gtest.h>

#include <random>

#include "agent/model/time_window.h"

namespace sallyport {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

/// UTC.
WallTime at(int year, unsigned month, unsigned day, int hour, int minute, int second = 0) {
  const std::chrono::sys_days days{std::chrono::year{year} / static_cast<int>(month) /
                                   static_cast<int>(day)};
  return WallTime{days} + hours{hour} + minutes{minute} + seconds{second};
}

TimeWindow window(const char* text) { return parse_time_window(text).value(); }

struct Row {
  const char* window;
  WallTime at;
  bool open;
  const char* why;
};
// 2026-03-29 01:00Z Berlin goes from 02:00 to 03:00; 2026-10-25 01:00Z from 03:00 back to 02:00.
const Row kRows[] = {
    {"Mon-Fri 08:00-18:00 Europe/Berlin", at(2026, 1, 5, 7, 0), true, "winter, Monday 08:00"},
    {"Mon-Fri 08:00-18:00 Europe/Berlin", at(2026, 1, 5, 6, 59, 59), false, "a second early"},
    {"Mon-Fri 08:00-18:00 Europe/Berlin", at(2026, 1, 5, 16, 59, 59), true, "the last second"},
    {"Mon-Fri 08:00-18:00 Europe/Berlin", at(2026, 1, 5, 17, 0), false, "18:00"},
    {"Mon-Fri 08:00-18:00 Europe/Berlin", at(2026, 7, 6, 6, 0), true, "summer, Monday 08:00"},
    {"Mon-Fri 08:00-18:00 Europe/Berlin", at(2026, 7, 6, 16, 0), false, "summer, 18:00"},
    {"Mon-Fri 08:00-18:00 Europe/Berlin", at(2026, 1, 4, 9, 0), false, "Sunday"},
    {"Fri-Mon 00:00-24:00 UTC", at(2026, 1, 5, 23, 59, 59), true, "days over the week's end"},
    {"Fri-Mon 00:00-24:00 UTC", at(2026, 1, 6, 0, 0), false, "24:00 is the next day's 00:00"},
    {"Fri 22:00-06:00 UTC", at(2026, 1, 9, 22, 0), true, "over midnight: Friday"},
    {"Fri 22:00-06:00 UTC", at(2026, 1, 10, 5, 59), true, "over midnight: Saturday morning"},
    {"Fri 22:00-06:00 UTC", at(2026, 1, 10, 6, 0), false, "its end"},
    {"Fri 22:00-06:00 UTC", at(2026, 1, 10, 22, 0), false, "Saturday evening"},
    {"Fri 22:00-06:00 UTC", at(2026, 1, 9, 5, 0), false, "Thursday's night"},
    {"Sun 23:00-01:00 Pacific/Auckland", at(2026, 1, 4, 10, 0), true, "the zone's day, UTC+13"},
    {"Sun 02:15-02:45 Europe/Berlin", at(2026, 3, 29, 1, 0), false, "left out: shows 03:00"},
    {"Sun 02:15-02:45 Europe/Berlin", at(2026, 3, 29, 0, 59, 59), false, "left out: shows 01:59"},
    {"Sun 01:30-03:30 Europe/Berlin", at(2026, 3, 29, 1, 29), true, "an hour shorter"},
    {"Sun 01:30-03:30 Europe/Berlin", at(2026, 3, 29, 1, 30), false, "an hour shorter: its end"},
    {"Sun 02:15-02:45 Europe/Berlin", at(2026, 10, 25, 0, 20), true, "twice: summer time"},
    {"Sun 02:15-02:45 Europe/Berlin", at(2026, 10, 25, 0, 50), false, "twice: between"},
    {"Sun 02:15-02:45 Europe/Berlin", at(2026, 10, 25, 1, 20), true, "twice: winter time"},
    {"Sun 01:30-03:30 Europe/Berlin", at(2026, 10, 25, 2, 29), true, "an hour longer"},
    {"Mon-Sun 08:00-18:00 Asia/Kathmandu", at(2026, 1, 5, 2, 15), true, "UTC+05:45"},
    {"Mon-Sun 08:00-18:00 Asia/Kathmandu", at(2026, 1, 5, 2, 14), false, "UTC+05:45"},
};

TEST(schedule, follows_the_wall_clock) {
  for (const Row& row : kRows) {
    EXPECT_EQ(is_open(window(row.window), row.at), row.open) << row.window << ": " << row.why;
  }
}

TEST(schedule, knows_zones) {
  EXPECT_TRUE(is_known_zone("Europe/Berlin"));
  EXPECT_TRUE(is_known_zone("UTC"));
  for (const char* bad : {"Europe/Berlinn", "", "Mars/Olympus", "../../etc/passwd"}) {
    EXPECT_FALSE(is_known_zone(bad)) << bad;
  }
  EXPECT_GT(known_zones().size(), 300U);
  TimeWindow nowhere = window("00:00-24:00 UTC");
  nowhere.zone = "Mars/Olympus";
  EXPECT_FALSE(is_open(nowhere, at(2026, 1, 5, 12, 0)));
  Rule rule;
  rule.when = {nowhere};
  EXPECT_FALSE(next_change(rule, at(2026, 1, 5, 12, 0)));
}

Rule rule_of(std::vector<TimeWindow> when, std::optional<WallTime> not_before = {},
             std::optional<WallTime> not_after = {}) {
  Rule out;
  out.when = std::move(when);
  out.not_before = not_before;
  out.not_after = not_after;
  return out;
}

TEST(schedule, bounds_are_from_and_before) {
  const WallTime t = at(2026, 1, 5, 12, 0);
  const Rule rule = rule_of({}, t, t + hours{1});
  EXPECT_FALSE(is_active(rule, t - Duration{1}));
  EXPECT_TRUE(is_active(rule, t));
  EXPECT_TRUE(is_active(rule, t + hours{1} - Duration{1}));
  EXPECT_FALSE(is_active(rule, t + hours{1}));
  EXPECT_EQ(next_change(rule, t - hours{9}), t);
  EXPECT_EQ(next_change(rule, t), t + hours{1});
  EXPECT_FALSE(next_change(rule, t + hours{1}));
  EXPECT_FALSE(next_change(rule_of({}), t));
  EXPECT_FALSE(next_change(rule_of({}, t), t));
  EXPECT_FALSE(next_change(rule_of({}, t + hours{1}, t), t - hours{1})) << "never open";
}

TEST(schedule, next_change_minds_windows_and_bounds) {
  const std::vector<TimeWindow> office{window("Mon-Fri 08:00-18:00 UTC")};
  const WallTime friday = at(2026, 1, 9, 17, 0);
  EXPECT_EQ(next_change(rule_of(office), friday), at(2026, 1, 9, 18, 0));
  EXPECT_EQ(next_change(rule_of(office), at(2026, 1, 9, 18, 0)), at(2026, 1, 12, 8, 0));
  EXPECT_EQ(next_change(rule_of(office, {}, at(2026, 1, 9, 17, 30)), friday),
            at(2026, 1, 9, 17, 30));
  EXPECT_FALSE(next_change(rule_of(office, {}, at(2026, 1, 11, 0, 0)), at(2026, 1, 9, 19, 0)))
      << "it ends before it opens again";
  EXPECT_EQ(next_change(rule_of(office, at(2027, 6, 5, 0, 0)), friday), at(2027, 6, 7, 8, 0))
      << "a Saturday a year and a half ahead, so the Monday after it";
  EXPECT_EQ(next_change(rule_of(office, at(2027, 6, 4, 9, 0)), friday), at(2027, 6, 4, 9, 0));
  EXPECT_FALSE(next_change(rule_of({window("00:00-24:00 UTC")}), friday)) << "always open";
  EXPECT_FALSE(next_change(rule_of({window("08:00-18:00 UTC"), window("18:00-08:00 UTC")}), friday))
      << "two that make a whole day";
}

TEST(schedule, a_window_in_the_gap_waits_for_the_next_week) {
  const Rule rule = rule_of({window("Sun 02:15-02:45 Europe/Berlin")});
  EXPECT_EQ(next_change(rule, at(2026, 3, 22, 12, 0)), at(2026, 4, 5, 0, 15));
}

/// Minute by minute, because windows have no finer edges.
std::optional<WallTime> walk(const Rule& rule, WallTime from, hours horizon) {
  const bool now = is_active(rule, from);
  for (WallTime t = from + minutes{1}; t <= from + horizon; t += minutes{1}) {
    if (is_active(rule, t) != now) return t;
  }
  return {};
}

TEST(schedule, next_change_is_what_a_walk_finds) {
  constexpr const char* kZones[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
                                    "Asia/Kathmandu", "UTC"};
  std::mt19937_64 random(7);
  for (int i = 0; i < 120; ++i) {
    Rule rule;
    for (uint64_t n = random() % 2 + 1; n > 0; --n) {
      TimeWindow w;
      w.days = static_cast<uint8_t>(random() % 127 + 1);
      // Often in the small hours, where the clocks change.
      w.start_minute = static_cast<uint16_t>(random() % 2 != 0 ? random() % 240 : random() % 1440);
      w.end_minute = static_cast<uint16_t>((w.start_minute + random() % 300 + 1) % 1440);
      w.zone = kZones[random() % std::size(kZones)];
      rule.when.push_back(w);
    }
    // Within two days of a change of clocks in Europe, in New York, or in neither.
    constexpr hours kHorizon{24 * 5};
    const WallTime starts[] = {at(2026, 3, 28, 0, 0), at(2026, 10, 24, 0, 0), at(2026, 3, 7, 0, 0),
                               at(2026, 4, 4, 0, 0), at(2026, 6, 1, 0, 0)};
    const WallTime from = starts[random() % std::size(starts)] + minutes{random() % 2880};
    const auto expected = walk(rule, from, kHorizon);
    const auto change = next_change(rule, from);
    if (expected) {
      EXPECT_EQ(change, expected) << i << " " << rule.when[0].zone;
    } else {
      EXPECT_TRUE(!change || *change > from + kHorizon) << i;
    }
  }
}

const Instant kBoot{hours{5}};

TEST(plan_chain, opens_and_closes_without_us) {
  const WallTime now = at(2026, 1, 9, 17, 0);  // Friday
  const std::vector<Rule> rules{rule_of({}), rule_of({window("Mon-Fri 08:00-18:00 UTC")}),
                                rule_of({window("Sat 00:00-24:00 UTC")}),
                                rule_of({}, at(2026, 1, 1, 0, 0))};
  const std::vector<Rule> ceiling{rule_of({window("Mon-Fri 08:00-20:00 UTC")}), rule_of({})};
  const auto chain = plan_chain(rules, ceiling, now, kBoot, ClockTrust::kCredible);
  const std::vector<ChainLink> expected{
      {{0, 1, 3}, {0, 1}, kBoot + hours{1}}, {{0, 3}, {0, 1}, kBoot + hours{3}}, {{0, 3}, {1}, {}}};
  EXPECT_EQ(chain, expected) << "Saturday's rule is not opened by a chain that ends before";
}

TEST(plan_chain, is_as_short_as_time_allows) {
  const WallTime now = at(2026, 1, 9, 17, 0);
  EXPECT_EQ(plan_chain({rule_of({}), rule_of({}, {}, now)}, {}, now, kBoot, ClockTrust::kCredible),
            (std::vector<ChainLink>{{{0}, {}, {}}}));
  EXPECT_EQ(plan_chain({rule_of({}), rule_of({}, {}, now + seconds{2})}, {}, now, kBoot,
                       ClockTrust::kCredible),
            (std::vector<ChainLink>{{{0, 1}, {}, kBoot + seconds{2}}, {{0}, {}, {}}}));
  EXPECT_EQ(plan_chain({}, {}, now, kBoot, ClockTrust::kCredible),
            (std::vector<ChainLink>{{{}, {}, {}}}));
}

TEST(plan_chain, closes_what_has_a_time_while_the_clock_is_unknown) {
  const WallTime now = at(2026, 1, 9, 17, 0);
  const std::vector<Rule> rules{rule_of({window("00:00-24:00 UTC")}), rule_of({}),
                                rule_of({}, at(2026, 1, 1, 0, 0)), rule_of({}, {}, now + hours{1})};
  EXPECT_EQ(plan_chain(rules, rules, now, kBoot, ClockTrust::kUnknown),
            (std::vector<ChainLink>{{{1}, {1}, {}}}));
}

TEST(plan_chain, does_not_overflow) {
  const std::vector<Rule> rules{rule_of({}, {}, WallTime::max())};
  const auto chain = plan_chain(rules, {}, WallTime{}, Instant{hours{1}}, ClockTrust::kCredible);
  ASSERT_EQ(chain.size(), 2U);
  EXPECT_EQ(chain[0].valid_until, Instant::max());
}

}  // namespace
}  // namespace sallyport
