// SPDX-License-Identifier: BSD-3-Clause
#include "agent/model/nearest.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

TEST(nearest, counts_edits) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("from", "form"), 1U) << "two neighbours swapped";
  EXPECT_EQ(edit_distance("ca", "abc"), 3U) << "restricted: no edit within a swapped pair";
}

TEST(nearest, finds_what_was_meant) {
  const std::vector<std::string> known{"allowed_ips", "endpoint", "keepalive", "lan"};
  EXPECT_EQ(nearest("alowed_ips", known), "allowed_ips");
  EXPECT_EQ(nearest("keep_alive", known), "keepalive");
  EXPECT_EQ(nearest("lna", known), "lan");
  EXPECT_EQ(nearest("x", known), std::nullopt);
  EXPECT_EQ(nearest("wan", known), "lan");
  EXPECT_EQ(nearest("password", known), std::nullopt);
  EXPECT_EQ(nearest(std::string(1000, 'a'), known), std::nullopt);
  EXPECT_EQ(nearest("lan", {}), std::nullopt);
}

}  // namespace
}  // namespace sallyport
