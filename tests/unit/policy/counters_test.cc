// SPDX-License-Identifier: BSD-3-Clause
#include "agent/policy/counters.h"

#include <gtest/gtest.h>

#include "agent/policy/resolve.h"

namespace sallyport {
namespace {

std::vector<Rule> rules_of(const std::vector<std::string>& ids) {
  std::vector<Rule> out;
  for (const std::string& id : ids) out.emplace_back().id = id;
  return out;
}
std::vector<Rule> many(const std::string& prefix, size_t count) {
  std::vector<Rule> out;
  for (size_t i = 0; i < count; ++i) out.emplace_back().id = prefix + std::to_string(i);
  return out;
}
constexpr size_t kMost = SP_MAX_RULES - 2;  // all but "no rule" and our own

TEST(counters, stay_with_their_ids) {
  RuleCounters counters;
  auto first = rules_of({"a", "b", "c"});
  EXPECT_TRUE(counters.assign(first).value().empty());
  EXPECT_EQ(first[0].counter, 2);
  auto second = rules_of({"c", "new", "a"});
  EXPECT_TRUE(counters.assign(second).value().empty());
  EXPECT_EQ(second[0].counter, first[2].counter);
  EXPECT_EQ(second[2].counter, first[0].counter);
  EXPECT_EQ(second[1].counter, 5) << "not b's, which was freed just now";
  auto third = rules_of({"b"});
  EXPECT_TRUE(counters.assign(third).value().empty());
  EXPECT_EQ(third[0].counter, first[1].counter) << "nobody had it since";
}

TEST(counters, leave_our_own_rule_alone) {
  RuleCounters counters;
  auto rules = rules_of({"a", kOwnRuleId});
  rules[1].counter = kOwnRuleCounter;
  ASSERT_TRUE(counters.assign(rules));
  EXPECT_EQ(rules[1].counter, kOwnRuleCounter);
  EXPECT_FALSE(counters.find(kOwnRuleId));
  EXPECT_EQ(counters.find("a"), 2);
}

TEST(counters, reuse_the_longest_free_and_only_at_the_end) {
  RuleCounters counters;
  auto first = rules_of({"old", "older"});
  ASSERT_TRUE(counters.assign(first));
  auto without_older = rules_of({"old"});
  ASSERT_TRUE(counters.assign(without_older));
  auto full = many("n", kMost - 2);
  EXPECT_TRUE(counters.assign(full).value().empty()) << "all of them are fresh";
  full.push_back(rules_of({"late"})[0]);
  EXPECT_EQ(counters.assign(full).value(), std::vector<uint16_t>{first[1].counter});
  EXPECT_EQ(full.back().counter, first[1].counter);
}

TEST(counters, refuse_too_many_and_change_nothing) {
  RuleCounters counters;
  auto most = many("n", kMost);
  ASSERT_TRUE(counters.assign(most));
  EXPECT_EQ(most.back().counter, SP_MAX_RULES - 1);
  const RuleCounters before = counters;
  auto more = many("m", kMost + 1);
  const auto refused = counters.assign(more);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().rules, kMost + 1);
  EXPECT_EQ(refused.error().limit, kMost);
  EXPECT_EQ(counters, before);
  auto others = many("o", kMost);
  EXPECT_EQ(counters.assign(others).value().size(), kMost) << "all of them change hands";
}

TEST(counters, survive_a_restart) {
  RuleCounters counters;
  auto rules = rules_of({"a", "with space", "percent%41", "line\nend", "ünïcode", ""});
  ASSERT_TRUE(counters.assign(rules));
  auto fewer = rules_of({"with space", "line\nend", "percent%41"});
  ASSERT_TRUE(counters.assign(fewer));
  EXPECT_EQ(RuleCounters::parse(counters.text()), counters) << counters.text();
  EXPECT_EQ(RuleCounters::parse(RuleCounters{}.text()), RuleCounters{});
}

TEST(counters, do_not_believe_a_broken_file) {
  const std::string head = "rule-counters 1\n";
  for (const char* body :
       {"", "fresh 3\n", "fresh 3\nlive 2 a", "fresh 3\nlive 3 a\n", "fresh 3\nlive 1 a\n",
        "fresh 4\nlive 2 a\nlive 2 b\n", "fresh 4\nlive 2 a\nlive 3 a\n", "fresh 3\nlive 2 %4\n",
        "fresh 3\nlive 2 %zz\n", "fresh 9000\n", "live 2 a\nfresh 3\n", "fresh 3\nlost 2 a\n",
        "fresh x\n", "fresh 2\nfresh 2\n"}) {
    EXPECT_FALSE(RuleCounters::parse(head + body)) << body;
  }
  EXPECT_TRUE(RuleCounters::parse(head + "fresh 3\nlive 2 a\n"));
  EXPECT_FALSE(RuleCounters::parse("rule-counters 2\nfresh 2\n"));
  EXPECT_FALSE(RuleCounters::parse(""));
}

}  // namespace
}  // namespace sallyport
