// SPDX-License-Identifier: BSD-3-Clause
// The home region, report after report. The rows restate what the reference's netcheck is tested
// for: recent best, margin, share, frames instead of samples.
#include "agent/node/home_derp.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart{1h};

DerpMap regions(std::initializer_list<uint16_t> ids) {
  DerpMap map;
  for (const uint16_t id : ids) {
    DerpRegion region;
    region.id = id;
    region.nodes.resize(1);
    map.regions[id] = region;
  }
  return map;
}

struct Step {
  Duration after;  // since the step before
  RegionLatencies latencies;
  std::optional<Duration> home_heard;  // how long ago a frame of the home came
  uint16_t home = 0;
};
struct Row {
  const char* what;
  std::vector<Step> steps;
};

TEST(home_derp, reports) {
  const Row rows[] = {
      {"the nearest", {{0s, {{1, 2s}, {2, 3s}}, {}, 1}}},
      {"it stays for one slow answer, by what it did lately",
       {{0s, {{1, 2s}, {2, 3s}}, {}, 1}, {1s, {{1, 4s}, {2, 3s}}, {}, 1}}},
      {"the past is forgotten after five minutes",
       {{0s, {{1, 1s}, {2, 3s}}, {}, 1},
        {4min, {{1, 5s}, {2, 3s}}, {}, 1},
        {2min, {{1, 5s}, {2, 3s}}, {}, 2}}},
      {"a quarter nearer is no reason",
       {{0s, {{1, 4s}, {2, 5s}}, {}, 1}, {1s, {{1, 4s}, {2, 3s}}, {}, 1}}},
      {"three quarters are", {{0s, {{1, 4s}, {2, 5s}}, {}, 1}, {1s, {{1, 4s}, {2, 1s}}, {}, 2}}},
      {"11 ms nearer, but not by a third",
       {{0s, {{1, 34ms}, {2, 35ms}}, {}, 1}, {1s, {{1, 34ms}, {2, 23ms}}, {}, 1}}},
      {"more than a third nearer, but by 9 ms only",
       {{0s, {{1, 13ms}, {2, 14ms}}, {}, 1}, {1s, {{1, 13ms}, {2, 4ms}}, {}, 1}}},
      {"both", {{0s, {{1, 30ms}, {2, 31ms}}, {}, 1}, {1s, {{1, 30ms}, {2, 19ms}}, {}, 2}}},
      {"no answer from home, no frame: it is gone",
       {{0s, {{1, 2ms}, {2, 3ms}}, {}, 1}, {1min, {{2, 3ms}}, {}, 2}}},
      {"no answer from home, but a frame just now",
       {{0s, {{1, 2ms}, {2, 3ms}}, {}, 1}, {1min, {{2, 3ms}}, 7s, 1}}},
      {"a frame of long ago", {{0s, {{1, 2ms}, {2, 3ms}}, {}, 1}, {1min, {{2, 3ms}}, 9s, 2}}},
      {"nobody answers, but home was heard from", {{0s, {{2, 2ms}}, {}, 2}, {2min, {}, 119s, 2}}},
      {"nobody answers and nothing was heard: the node's own region",
       {{0s, {{2, 2ms}}, {}, 2}, {3min, {}, 121s, 1}}},
  };
  const DerpMap map = regions({1, 2});
  for (const Row& row : rows) {
    HomeDerp home(0);
    Instant now = kStart;
    for (const Step& step : row.steps) {
      now += step.after;
      if (step.home_heard) home.on_frame(home.home(), now - *step.home_heard);
      EXPECT_EQ(home.choose(map, step.latencies, true, now, now), step.home) << row.what;
    }
  }
}

TEST(home_derp, a_frame_since_the_report_began_counts) {
  const DerpMap map = regions({1, 2});
  HomeDerp home(0);
  home.choose(map, {{1, 2ms}}, true, kStart, kStart);
  home.on_frame(1, kStart + 1s);
  EXPECT_EQ(home.choose(map, {{2, 2ms}}, true, kStart + 500ms, kStart + 10s), 1);
}

TEST(home_derp, score_makes_a_region_nearer_or_farther) {
  DerpMap map = regions({1, 2});
  map.region_score[2] = 0.5;
  HomeDerp home(0);
  EXPECT_EQ(home.choose(map, {{1, 30ms}, {2, 50ms}}, true, kStart, kStart), 2);
}

TEST(home_derp, regions_that_do_not_want_to_be_home) {
  DerpMap map = regions({1, 2, 3});
  map.regions[1].no_measure_no_home = true;
  map.regions[2].nodes[0].stun_only = true;
  HomeDerp home(0);
  EXPECT_EQ(home.choose(map, {{1, 1ms}, {2, 1ms}, {3, 90ms}}, true, kStart, kStart), 3);
}

TEST(home_derp, not_changed_while_nobody_can_be_told) {
  const DerpMap map = regions({1, 2});
  HomeDerp home(0);
  EXPECT_EQ(home.choose(map, {{1, 100ms}}, false, kStart, kStart), 1) << "the first may be";
  EXPECT_EQ(home.choose(map, {{1, 100ms}, {2, 1ms}}, false, kStart, kStart), 1);
  EXPECT_EQ(home.choose(map, {{1, 100ms}, {2, 1ms}}, true, kStart, kStart), 2);
}

TEST(home_derp, a_region_that_is_gone_from_the_map_is_left) {
  HomeDerp home(0);
  home.choose(regions({1, 2}), {{1, 1ms}}, true, kStart, kStart);
  EXPECT_EQ(home.choose(regions({2}), {{2, 90ms}}, false, kStart, kStart), 2);
  EXPECT_EQ(home.choose(DerpMap{}, {}, true, kStart, kStart), 0);
}

TEST(home_derp, nodes_with_nothing_to_go_by_spread) {
  const DerpMap map = regions({1, 2, 3});
  std::map<uint16_t, int> chosen;
  for (uint64_t spread = 0; spread < 30; ++spread)
    ++chosen[HomeDerp(spread).choose(map, {}, true, kStart, kStart)];
  EXPECT_EQ(chosen, (std::map<uint16_t, int>{{1, 10}, {2, 10}, {3, 10}}));
}

}  // namespace
}  // namespace sallyport
