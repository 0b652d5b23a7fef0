// SPDX-License-Identifier: BSD-3-Clause
// IPv4 lies inside IPv6's byte order: sets of IPv6 must step over it, not end there.
#include <gtest/gtest.h>

#include "agent/model/ip.h"

namespace sallyport {
namespace {

IpAddress address(const char* text) { return *IpAddress::parse(text); }

TEST(ip_edges, neighbours_step_over_the_mapped_block) {
  EXPECT_EQ(address("::fffe:ffff:ffff").next(), address("::1:0:0:0"));
  EXPECT_EQ(address("::1:0:0:0").previous(), address("::fffe:ffff:ffff"));
  EXPECT_EQ(address("255.255.255.255").next(), std::nullopt);
  EXPECT_EQ(address("0.0.0.0").previous(), std::nullopt);
  EXPECT_EQ(address("0.255.255.255").next(), address("1.0.0.0"));
  EXPECT_EQ(address("::").previous(), std::nullopt);
  EXPECT_EQ(all_v6().last.next(), std::nullopt);
  EXPECT_EQ(address("fd00::ffff").next(), address("fd00::1:0"));
}

TEST(ip_edges, a_prefix_never_ends_inside_the_mapped_block) {
  EXPECT_EQ(Prefix::parse("::/80")->range().last, address("::fffe:ffff:ffff"));
  EXPECT_EQ(Prefix::parse("::ff00:0:0/88")->range().last, address("::fffe:ffff:ffff"));
  EXPECT_EQ(Prefix::parse("::/79")->range().last, address("::1:ffff:ffff:ffff"));
  EXPECT_EQ(Prefix::parse("0.0.0.0/0")->range(), all_v4());
}

TEST(ip_edges, sets_do_not_swallow_what_lies_behind) {
  const IpRange low = Prefix::parse("::/80")->range();
  const IpRange far{address("2001:db8::1"), address("2001:db8::1")};
  EXPECT_EQ(normalise({low, far}), (std::vector<IpRange>{low, far}));
  EXPECT_EQ(subtract({all_v6()}, {low}),
            (std::vector<IpRange>{{address("::1:0:0:0"), all_v6().last}}));
  EXPECT_EQ(subtract({all_v6()}, {{address("::1:0:0:0"), all_v6().last}}),
            (std::vector<IpRange>{low}));
  EXPECT_FALSE(contains({all_v6()}, address("10.0.0.1")));
}

}  // namespace
}  // namespace sallyport
