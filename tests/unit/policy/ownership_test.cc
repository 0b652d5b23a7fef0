// SPDX-License-Identifier: BSD-3-Clause
#include "agent/policy/ownership.h"

#include <gtest/gtest.h>

#include "bpf/abi/policy_blob.h"
#include "tests/unit/policy/example.h"

namespace sallyport::policy_tests {
namespace {

std::string text_of(const std::vector<OwnedRange>& owned) {
  std::string out;
  for (const OwnedRange& range : owned) {
    const bool self = range.peer == SP_PEER_SELF;
    out += range.range.text() + "=" + (self ? "self" : std::to_string(range.peer)) + " ";
  }
  return out;
}

TEST(ownership, the_most_specific_prefix_wins) {
  EXPECT_EQ(text_of(owned_ranges({{1, {prefix("10.0.0.0/8")}},
                                  {2, {prefix("10.1.0.0/16")}},
                                  {3, {prefix("10.1.255.255/32")}}},
                                 {})),
            "10.0.0.0/16=1 10.1.0.0-10.1.255.254=2 10.1.255.255=3 10.2.0.0-10.255.255.255=1 ");
}

TEST(ownership, the_first_of_equals) {
  EXPECT_EQ(text_of(owned_ranges({{2, {prefix("10.1.0.0/16")}}, {1, {prefix("10.1.0.0/16")}}}, {})),
            "10.1.0.0/16=2 ");
}

TEST(ownership, our_own_before_all) {
  // A range of ours that fits into no prefix: .255 and .0 of two networks.
  EXPECT_EQ(text_of(owned_ranges({{1, {prefix("10.0.0.0/24")}}, {2, {prefix("10.0.1.0/32")}}},
                                 {range("10.0.0.255-10.0.1.0")})),
            "10.0.0.0-10.0.0.254=1 10.0.0.255-10.0.1.0=self ");
}

TEST(ownership, a_whole_family_is_nobodys) {
  EXPECT_EQ(text_of(owned_ranges(
                {{1, {prefix("0.0.0.0/0"), prefix("::/0"), prefix("10.8.0.2/32")}}}, {})),
            "10.8.0.2=1 ");
  EXPECT_EQ(text_of(owned_ranges({{1, {prefix("0.0.0.0/1"), prefix("128.0.0.0/1")}}}, {})),
            "0.0.0.0/0=1 ")
      << "two halves are a claim that somebody wrote out";
}

TEST(ownership, reaches_to_the_ends_of_both_families) {
  EXPECT_EQ(text_of(owned_ranges({{1, {prefix("255.255.255.254/31"), prefix("::/80")}},
                                  {2, {prefix("ffff::/16"), prefix("::ff00:0:0/95")}}},
                                 {})),
            "255.255.255.254/31=1 ::-::feff:ffff:ffff=1 ::ff00:0:0/95=2 "
            "::ff02:0:0-::fffe:ffff:ffff=1 ffff::/16=2 ")
      << "::/80 ends before the block that stands for IPv4, not at the end of IPv6";
}

}  // namespace
}  // namespace sallyport::policy_tests
