// SPDX-License-Identifier: BSD-3-Clause
// From a configuration to the answer of `sallyport explain`.
#include "agent/policy/explain.h"

#include <gmock/gmock.h>

#include "agent/policy/naive.h"
#include "agent/policy/verdict.h"
#include "tests/unit/policy/example.h"

namespace sallyport::policy_tests {
namespace {

constexpr auto kTcp = IpProto::kTcp;
constexpr auto kUdp = IpProto::kUdp;
constexpr auto kIcmp = IpProto::kIcmp;
constexpr auto kGre = IpProto::kGre;
constexpr auto kSctp = IpProto::kSctp;

Config ruled_office() {
  Config config = office();
  config.rules = {
      rule("web", {"group:staff"}, {"office"}, {kTcp}, {{80, 80}, {443, 443}}),
      rule("ann-all", {"ann"}, {"office", "lab"}),
      rule("gre", {"bob"}, {"192.168.1.9"}, {kGre}),
      rule("out", {"bob"}, {"exit"}, {kUdp}, {{53, 53}}),
      rule("back", {"lan"}, {"ann"}, {kSctp}, {{9, 10}}),
      rule("hub", {"hub"}, {"10.8.0.2"}, {kTcp}, {{22, 22}}),
      rule("keys", {"hub"}, {"169.254.169.254"}, {kTcp}, {{80, 80}}),
  };
  return config;
}

struct Row {
  const char* title;
  const char* src;
  const char* dst;
  IpProto proto;
  uint16_t port;
  sp_verdict verdict;
  const char* rule;
  const char* from_peer = "";
  const char* to_lan = "";
};

const Row kRows[] = {
    {"a port of the rule", "10.8.0.3", "192.168.1.7", kTcp, 443, SP_ALLOW_RULE, "web", "bob",
     "office"},
    {"a port beside it", "10.8.0.3", "192.168.1.7", kTcp, 444, SP_DROP_NO_RULE, "", "bob",
     "office"},
    {"another protocol", "10.8.0.3", "192.168.1.7", kUdp, 443, SP_DROP_NO_RULE, "", "bob",
     "office"},
    {"the first of two is named", "10.8.0.2", "192.168.1.7", kTcp, 80, SP_ALLOW_RULE, "web", "ann",
     "office"},
    {"the second where only it serves", "10.8.0.2", "192.168.1.7", kTcp, 81, SP_ALLOW_RULE,
     "ann-all", "ann", "office"},
    {"IPv6", "fd00:8::2", "fd00:1::99", kUdp, 1, SP_ALLOW_RULE, "ann-all", "ann", "lab"},
    {"IPv6 behind the LAN's end", "fd00:8::2", "fd00:1:0:1::", kUdp, 1, SP_DROP_NO_RULE, "", "ann"},
    {"absent proto is not SCTP", "10.8.0.2", "192.168.1.7", kSctp, 81, SP_DROP_NO_RULE, "", "ann",
     "office"},
    {"ping is served by any rule", "10.8.0.3", "192.168.1.7", kIcmp, 0, SP_ALLOW_RULE, "web", "bob",
     "office"},
    {"a protocol without ports", "10.8.0.3", "192.168.1.9", kGre, 0, SP_ALLOW_RULE, "gre", "bob",
     "office"},
    {"to another address", "10.8.0.3", "192.168.1.8", kGre, 0, SP_DROP_NO_RULE, "", "bob",
     "office"},
    {"the internet", "10.8.0.3", "1.1.1.1", kUdp, 53, SP_ALLOW_RULE, "out", "bob"},
    {"a private range by the exit", "10.8.0.3", "172.16.0.1", kUdp, 53, SP_DROP_EXIT_LOCAL, "",
     "bob"},
    {"the WAN's router", "10.8.0.3", "203.0.113.1", kUdp, 53, SP_DROP_EXIT_LOCAL, "", "bob"},
    {"our own address by the exit", "10.8.0.3", "10.8.0.1", kUdp, 53, SP_DROP_EXIT_LOCAL, "",
     "bob"},
    {"no exit user hears no_rule", "10.8.0.2", "172.16.0.1", kUdp, 53, SP_DROP_NO_RULE, "", "ann"},
    {"another peer", "10.8.0.3", "10.8.0.2", kUdp, 53, SP_DROP_NO_RULE, "", "bob"},
    {"the metadata service", "10.8.0.3", "169.254.169.254", kTcp, 80, SP_DROP_METADATA, "", "bob"},
    {"where a rule names it", "10.8.0.4", "169.254.169.254", kTcp, 80, SP_ALLOW_RULE, "keys",
     "hub"},
    {"link-local", "10.8.0.3", "169.254.1.1", kTcp, 80, SP_DROP_LINK_LOCAL, "", "bob"},
    {"multicast", "10.8.0.3", "224.0.0.251", kUdp, 5353, SP_DROP_MULTICAST, "", "bob"},
    {"from the LAN to a peer", "192.168.1.7", "10.8.0.2", kSctp, 10, SP_ALLOW_RULE, "back"},
    {"from the LAN to another", "192.168.1.7", "10.8.0.3", kSctp, 10, SP_DROP_NO_RULE, ""},
    {"the box's own", "10.8.0.1", "10.8.0.3", kGre, 0, SP_ALLOW_RULE, "own"},
    {"behind a site", "10.20.255.255", "10.8.0.2", kTcp, 22, SP_ALLOW_RULE, "hub", "hub"},
    {"a /0 makes nobody the site's", "10.21.0.0", "10.8.0.2", kTcp, 22, SP_DROP_NO_RULE, ""},
    {"neither end is a peer", "192.168.1.7", "1.1.1.1", kTcp, 80, SP_DROP_NO_PEER, ""},
};

TEST(explain, tells_verdict_rule_and_ends) {
  const PolicyInput input = input_of(ruled_office());
  const CompiledPolicy compiled = compile(input).value();
  const PolicyNames names = names_of(ruled_office());
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.title);
    const PacketKey packet{address(row.src), address(row.dst), row.proto, 40000, row.port};
    const Explanation out = explain(compiled.blob, input.rules, names, packet);
    EXPECT_EQ(name_of(out.verdict), name_of(row.verdict));
    EXPECT_EQ(out.allowed, allows(row.verdict));
    EXPECT_EQ(out.rule ? out.rule->id : "", row.rule);
    EXPECT_EQ(out.from_peer, row.from_peer);
    EXPECT_EQ(out.to_lan, row.to_lan);
    EXPECT_EQ(judge_naively(input, packet).verdict, row.verdict);
  }
}

TEST(explain, says_where_the_rule_stands) {
  const PolicyInput input = input_of(ruled_office());
  const CompiledPolicy compiled = compile(input).value();
  const PacketKey packet{address("10.8.0.3"), address("192.168.1.7"), kTcp, 40000, 80};
  const Explanation out = explain(compiled.blob, input.rules, {}, packet);
  ASSERT_TRUE(out.rule);
  EXPECT_EQ(out.rule->where, (Position{"config.yaml", 5, 3}));
  EXPECT_EQ(out.from_peer, "") << "no names were given";
}

TEST(explain, has_no_policy_in_rubbish) {
  const PacketKey packet{address("10.8.0.3"), address("192.168.1.7"), kTcp, 40000, 80};
  EXPECT_EQ(explain({}, {}, {}, packet).verdict, SP_DROP_NO_POLICY);
  CompiledPolicy compiled = compile(input_of(ruled_office())).value();
  const auto shorter = std::span(compiled.blob).first(compiled.blob.size() - 16);
  EXPECT_EQ(explain(shorter, {}, {}, packet).verdict, SP_DROP_NO_POLICY);
  compiled.blob[0] ^= 1;
  EXPECT_EQ(explain(compiled.blob, {}, {}, packet).verdict, SP_DROP_NO_POLICY);
}

TEST(explain, ceiling_bounds_rules_but_not_the_box) {
  Config config = ruled_office();
  config.ceiling = {rule("", {"*"}, {"office"}, {kTcp}, {{0, 90}})};
  const PolicyInput input = input_of(config);
  const CompiledPolicy compiled = compile(input).value();
  const auto verdict = [&](const char* src, const char* dst, IpProto proto, uint16_t port) {
    return judge_new_flow(compiled.blob, {address(src), address(dst), proto, 1, port}).verdict;
  };
  EXPECT_EQ(verdict("10.8.0.3", "192.168.1.7", kTcp, 80), SP_ALLOW_RULE);
  EXPECT_EQ(verdict("10.8.0.3", "192.168.1.7", kTcp, 443), SP_DROP_CEILING);
  EXPECT_EQ(verdict("10.8.0.3", "192.168.1.7", kTcp, 444), SP_DROP_NO_RULE);
  EXPECT_EQ(verdict("10.8.0.3", "192.168.1.7", kIcmp, 0), SP_ALLOW_RULE);
  EXPECT_EQ(verdict("10.8.0.3", "1.1.1.1", kUdp, 53), SP_DROP_CEILING);
  EXPECT_EQ(verdict("10.8.0.3", "1.1.1.1", kIcmp, 0), SP_DROP_CEILING);
  EXPECT_EQ(verdict("10.8.0.1", "10.8.0.3", kGre, 0), SP_ALLOW_RULE);
  EXPECT_EQ(verdict("10.8.0.1", "10.8.0.3", kIcmp, 0), SP_ALLOW_RULE);
}

TEST(explain, an_empty_ceiling_is_nothing) {
  Config config = ruled_office();
  config.ceiling.emplace();
  const CompiledPolicy compiled = compile(input_of(config)).value();
  const PacketKey web{address("10.8.0.3"), address("192.168.1.7"), kTcp, 1, 80};
  EXPECT_EQ(judge_new_flow(compiled.blob, web).verdict, SP_DROP_CEILING);
}

}  // namespace
}  // namespace sallyport::policy_tests
