// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/timer.h"

#include <sys/timex.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "tests/unit/io/drive.h"

namespace sallyport::io {
namespace {

TEST(timer, is_called_once_and_never_early) {
  const auto loop = make_loop();
  int calls = 0;
  Instant called_at;
  Timer timer{*loop, [&] {
                ++calls;
                called_at = boot_now();
              }};
  const Instant due = boot_now() + 20ms;
  timer.arm(due);
  EXPECT_TRUE(timer.armed());
  ASSERT_TRUE(run_until(*loop, [&] { return calls > 0; }));
  EXPECT_GE(called_at, due);
  EXPECT_FALSE(timer.armed());
  settle(*loop);
  EXPECT_EQ(calls, 1);
}

TEST(timer, the_last_arm_counts_earlier_or_later) {
  const auto loop = make_loop();
  std::optional<Instant> called_at;
  Timer timer{*loop, [&] { called_at = boot_now(); }};
  timer.arm(boot_now() + 1h);
  settle(*loop);  // the kernel holds the hour
  timer.arm(boot_now() + 5ms);
  ASSERT_TRUE(run_until(*loop, [&] { return called_at.has_value(); }));

  called_at.reset();
  const Instant later = boot_now() + 40ms;
  timer.arm(boot_now() + 5ms);
  settle(*loop);
  timer.arm(later);
  ASSERT_TRUE(run_until(*loop, [&] { return called_at.has_value(); }));
  EXPECT_GE(*called_at, later);
}

TEST(timer, cancelled_or_destroyed_is_not_called) {
  const auto loop = make_loop();
  bool called = false;
  bool end = false;
  const Instant due = boot_now() + 5ms;
  Timer cancelled{*loop, [&] { called = true; }};
  std::optional<Timer> destroyed{std::in_place, *loop, [&] { called = true; }};
  Timer last{*loop, [&] { end = true; }};
  cancelled.arm(due);
  destroyed->arm(due);
  last.arm(due + 10ms);
  settle(*loop);
  cancelled.cancel();
  destroyed.reset();
  ASSERT_TRUE(run_until(*loop, [&] { return end; }));
  EXPECT_FALSE(called);
}

TEST(timer, may_destroy_itself_and_another_that_is_due_at_the_same_time) {
  const auto loop = make_loop();
  int calls = 0;
  std::optional<Timer> first;
  std::optional<Timer> second;
  const auto destroy_both = [&, canary = std::vector<int>(100, 1)] {
    first.reset();
    second.reset();
    calls += canary.at(99);  // our captures are still there
  };
  first.emplace(*loop, destroy_both);
  second.emplace(*loop, destroy_both);
  const Instant due = boot_now() + 2ms;
  first->arm(due);
  second->arm(due);
  ASSERT_TRUE(run_until(*loop, [&] { return calls > 0; }));
  settle(*loop);
  EXPECT_EQ(calls, 1);
}

TEST(timer, one_that_always_asks_for_the_past_starves_nobody) {
  const auto loop = make_loop();
  int greedy_calls = 0;
  std::optional<Timer> greedy;
  greedy.emplace(*loop, [&] {
    ++greedy_calls;
    greedy->arm(Instant{});
  });
  bool other = false;
  Timer patient{*loop, [&] { other = true; }};
  greedy->arm(Instant{});
  patient.arm(boot_now() + 5ms);
  ASSERT_TRUE(run_until(*loop, [&] { return other; }));
  EXPECT_GT(greedy_calls, 1);
}

// The clever structure against a naive twin: a list of deadlines.
TEST(timer, thousands_fire_in_the_order_of_their_deadlines) {
  const auto loop = make_loop();
  std::minstd_rand random{42};
  const Instant start = boot_now() + 20ms;
  const auto draw = [&] { return start + std::chrono::microseconds{random() % 50'000}; };

  constexpr size_t kTimers = 5000;
  std::vector<std::optional<Timer>> timers(kTimers);
  std::map<size_t, Instant> expected;  // the twin
  std::vector<size_t> fired;
  for (size_t i = 0; i < kTimers; ++i) {
    timers[i].emplace(*loop, [&fired, i] { fired.push_back(i); });
    expected[i] = draw();
    timers[i]->arm(expected[i]);
  }
  for (size_t i = 0; i < kTimers; ++i) {
    const size_t which = random() % kTimers;
    if (!timers[which]) continue;
    switch (random() % 3) {
      case 0:
        timers[which]->cancel();
        expected.erase(which);
        break;
      case 1:
        timers[which].reset();
        expected.erase(which);
        break;
      default:
        expected[which] = draw();
        timers[which]->arm(expected[which]);
    }
  }
  ASSERT_TRUE(run_until(*loop, [&] { return fired.size() >= expected.size(); }));
  settle(*loop);
  ASSERT_EQ(fired.size(), expected.size());
  EXPECT_TRUE(std::ranges::is_sorted(fired, {}, [&](size_t i) { return expected.at(i); }));
}

TEST(timer, outlives_its_loop_harmlessly) {
  auto loop = make_loop();
  Timer timer{*loop, [] { FAIL(); }};
  timer.arm(boot_now());
  loop.reset();
  timer.arm(boot_now());
  EXPECT_FALSE(timer.armed());
  timer.cancel();
}

TEST(wall_clock_watch, is_told_when_the_clock_is_set) {
  const auto loop = make_loop();
  int calls = 0;
  auto watch = WallClockWatch::create(*loop, [&] { ++calls; });
  ASSERT_TRUE(watch);
  settle(*loop);
  EXPECT_EQ(calls, 0);
  for (int round = 1; round <= 2; ++round) {
    timex nudge{};
    nudge.modes = ADJ_SETOFFSET | ADJ_NANO;
    nudge.time.tv_usec = 1;  // a nanosecond, with ADJ_NANO
    if (::adjtimex(&nudge) < 0) GTEST_SKIP() << "may not set the clock";
    ASSERT_TRUE(run_until(*loop, [&] { return calls >= round; })) << round;
  }
}

TEST(clock, boot_time_does_not_run_backwards) {
  const Instant first = boot_now();
  EXPECT_LE(first, boot_now());
  EXPECT_GT(wall_now().time_since_epoch(), std::chrono::years{50});
}

}  // namespace
}  // namespace sallyport::io
