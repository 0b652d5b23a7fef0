// SPDX-License-Identifier: BSD-3-Clause
// Listings as `nft -j list table` prints them (1.0.6), shortened.
#include "kmod-glue/nft_forward.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

std::string table(const std::string& rules, const char* policy = "drop") {
  return R"({"nftables":[{"metainfo":{"json_schema_version":1}},{"table":{"family":"inet","name":"t"}},
    {"chain":{"family":"inet","table":"t","name":"fwd","type":"filter","hook":"forward","prio":0,"policy":")" +
         std::string(policy) + R"("}},
    {"chain":{"family":"inet","table":"t","name":"sub"}},
    {"chain":{"family":"inet","table":"t","name":"in","type":"filter","hook":"input","prio":0,"policy":"drop"}})" +
         rules + "]}";
}
std::string rule(const char* chain, const std::string& expressions) {
  return R"(,{"rule":{"family":"inet","table":"t","chain":")" + std::string(chain) +
         R"(","handle":7,"expr":[)" + expressions + "]}}";
}
std::string meta(const char* key, const char* right, const char* op = "==") {
  return R"({"match":{"op":")" + std::string(op) + R"(","left":{"meta":{"key":")" + key +
         R"("}},"right":)" + right + "}},";
}
const std::string kAccept = R"({"counter":{"packets":0,"bytes":0}},{"accept":null})";
const std::string kDrop = R"({"reject":{"type":"icmpx","expr":"admin-prohibited"}})";
const std::string kEstablished =
    R"({"match":{"op":"in","left":{"ct":{"key":"state"}},"right":["established","related"]}},)";

bool stops(const std::string& rules, const char* policy = "drop") {
  const auto chains = parse_forward_chains(table(rules, policy));
  return chains.size() == 1 && chains[0].stops("wg0", "lan0");
}

TEST(nft_forward, policy_and_rules_in_order) {
  EXPECT_TRUE(stops(""));
  EXPECT_TRUE(parse_forward_chains(table("", "accept")).empty());
  EXPECT_FALSE(stops(rule("fwd", meta("iifname", R"("wg0")") + kAccept)));
  EXPECT_TRUE(stops(rule("fwd", kDrop) + rule("fwd", meta("iifname", R"("wg0")") + kAccept)));
  EXPECT_FALSE(stops(rule("fwd", meta("iifname", R"("wg0")") + kAccept) + rule("fwd", kDrop)));
  EXPECT_TRUE(stops(rule("fwd", kDrop), "accept"));
}

TEST(nft_forward, only_a_rule_for_all_packets_of_the_device_counts) {
  EXPECT_TRUE(stops(rule("fwd", kEstablished + kAccept)));
  EXPECT_TRUE(stops(rule("fwd", kEstablished + meta("iifname", R"("wg0")") + kAccept)));
  EXPECT_FALSE(stops(rule("fwd", kEstablished + kDrop), "accept"));
  EXPECT_TRUE(stops(rule("fwd", meta("iifname", R"("@named")") + kAccept)));
  EXPECT_TRUE(stops(rule("fwd", R"({"vmap":{"key":1,"data":2}})")));
  EXPECT_TRUE(stops(rule("fwd", R"({"nonsense":1},)" + kAccept)));
}

TEST(nft_forward, names_patterns_sets_and_not) {
  EXPECT_FALSE(stops(rule("fwd", meta("iif", R"("wg*")") + kAccept)));
  EXPECT_FALSE(stops(rule("fwd", meta("oifname", R"({"set":["a","lan0"]})") + kAccept)));
  EXPECT_TRUE(stops(rule("fwd", meta("oifname", R"({"set":["a","b"]})") + kAccept)));
  EXPECT_FALSE(stops(rule("fwd", meta("iifname", R"("wan0")", "!=") + kAccept)));
  EXPECT_TRUE(stops(rule("fwd", meta("iifname", R"("wg0")", "!=") + kAccept)));
  EXPECT_TRUE(
      stops(rule("fwd", meta("iifname", R"("wg0")") + meta("oifname", R"("b")") + kAccept)));
  EXPECT_FALSE(
      stops(rule("fwd", meta("iifname", R"("wg0")") + meta("oifname", R"("lan0")") + kAccept)));
}

TEST(nft_forward, jumps_are_followed_until_somebody_may_return) {
  const std::string jump = R"({"jump":{"target":"sub"}})";
  const std::string accept = rule("sub", meta("iifname", R"("wg0")") + kAccept);
  EXPECT_FALSE(stops(rule("fwd", jump) + accept));
  EXPECT_FALSE(stops(rule("fwd", meta("iifname", R"("wg0")") + jump) + accept));
  EXPECT_TRUE(stops(rule("fwd", meta("iifname", R"("other")") + jump) + rule("sub", kAccept)));
  EXPECT_TRUE(stops(rule("fwd", kEstablished + jump) + accept));
  EXPECT_TRUE(stops(rule("fwd", jump) + rule("sub", R"({"return":null})") + accept));
  EXPECT_FALSE(
      stops(rule("fwd", jump) + rule("sub", R"({"return":null})") + accept + rule("fwd", kAccept)));
  // Behind a goto nothing of this chain is reached.
  EXPECT_TRUE(stops(rule("fwd", R"({"goto":{"target":"sub"}})") + rule("fwd", kAccept)));
}

TEST(nft_forward, chains_that_jump_in_a_circle_end) {
  const std::string round = R"({"jump":{"target":"sub"}})";
  EXPECT_TRUE(stops(rule("fwd", round) + rule("sub", round) + rule("sub", round)));
}

TEST(nft_forward, an_answer_that_is_none_has_no_chains) {
  for (const char* text : {"", "[]", "{}", R"({"nftables":[7,{"chain":7},{"rule":{"expr":7}}]})",
                           R"({"nftables":{"chain":1}})"}) {
    EXPECT_TRUE(parse_forward_chains(text).empty()) << text;
  }
}

}  // namespace
}  // namespace sallyport
