// SPDX-License-Identifier: BSD-3-Clause
// The order in which the kernel is told about a path.
#include "agent/node/kernel_path.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

const Endpoint kA = *Endpoint::parse("203.0.113.1:41641");
const Endpoint kB = *Endpoint::parse("[2001:db8::1]:41641");
const DirectPath kPathA{kA, *IpAddress::parse("198.51.100.1"), 3};
const DirectPath kPathB{kB, *IpAddress::parse("2001:db8::2"), 4};
using Steps = std::vector<KernelStep>;

struct Row {
  const char* what;
  KernelPath from;
  KernelPath to;
  Steps steps;
};

TEST(kernel_path, steps) {
  const DirectPath unpinned{kA, {}, 0};
  const Row rows[] = {
      {"nothing to do", {{}, {kA}}, {{}, {kA}}, {}},
      {"the peer is seen", {{}, {}}, {{}, {kA}}, {SetReverse{kA}}},
      {"going direct: reverse pins off, pin, endpoint",
       {{}, {kA, kB}},
       {kPathA, {}},
       {ClearReverse{kA}, ClearReverse{kB}, SetPin{kPathA}, PointAt{kA, false}}},
      {"leaving: pin off, reverse pins on, endpoint",
       {kPathA, {}},
       {{}, {kA, kB}},
       {ClearPin{}, SetReverse{kA}, SetReverse{kB}, PointAt{}}},
      {"from one direct path to another the keepalive must pass zero again",
       {kPathA, {}},
       {kPathB, {}},
       {SetPin{kPathB}, PointAt{kB, true}}},
      {"our own address has changed",
       {kPathA, {}},
       {DirectPath{kA, kPathB.ours, 4}, {}},
       {SetPin{DirectPath{kA, kPathB.ours, 4}}, PointAt{kA, true}}},
      {"a peer that has only WireGuard is not pinned", {}, {unpinned, {}}, {PointAt{kA, false}}},
  };
  for (const Row& row : rows) EXPECT_EQ(kernel_steps(row.from, row.to), row.steps) << row.what;
}

TEST(kernel_path, a_lost_race_is_run_again) {
  EXPECT_EQ(repeat_steps({kPathA, {}}), (Steps{SetPin{kPathA}, PointAt{kA, true}}));
  EXPECT_EQ(repeat_steps({}), Steps{PointAt{}});
}

}  // namespace
}  // namespace sallyport
