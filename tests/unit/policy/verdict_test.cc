// SPDX-License-Identifier: BSD-3-Clause
#include "agent/policy/verdict.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace sallyport {
namespace {

TEST(verdict, each_has_one_name_and_a_sentence) {
  std::set<std::string_view> names;
  for (int i = 0; i < SP_VERDICT_COUNT; ++i) {
    const auto verdict = static_cast<sp_verdict>(i);
    const std::string_view name = name_of(verdict);
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_EQ(parse_verdict(name), verdict);
    EXPECT_FALSE(name.empty());
    EXPECT_TRUE(std::ranges::all_of(name, [](char c) {
      return (c >= 'a' && c <= 'z') || c == '_';
    })) << name;
    EXPECT_GT(text_of(verdict).size(), name.size());
  }
  EXPECT_EQ(name_of(SP_VERDICT_COUNT), "");
  EXPECT_EQ(text_of(SP_VERDICT_COUNT), "");
  EXPECT_FALSE(parse_verdict("no rule"));
  EXPECT_FALSE(parse_verdict(""));
}

TEST(verdict, allows_up_to_the_last_allow) {
  EXPECT_TRUE(allows(SP_ALLOW_RULE));
  EXPECT_TRUE(allows(SP_ALLOW_FOREIGN));
  EXPECT_FALSE(allows(SP_DROP_NO_RULE));
  EXPECT_FALSE(allows(SP_DROP_NO_PEER));
}

}  // namespace
}  // namespace sallyport
