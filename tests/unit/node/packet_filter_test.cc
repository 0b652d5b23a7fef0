// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/packet_filter.h"

#include <gtest/gtest.h>

#include "agent/wire/agent_channel.h"
#include "tests/unit/node/netmap_example.h"

namespace sallyport {
namespace {

/// "10.0.0.0/8 10.1.0.1 -> 10.2.0.0/16 tcp,udp 22,80-90", as tests compare rules.
std::string text_of(const Rule& rule) {
  const auto listed = [](const auto& list, const auto& text) {
    std::string out;
    for (const auto& member : list) out += (out.empty() ? "" : ",") + text(member);
    return out.empty() ? std::string("-") : out;
  };
  const auto range = [](const IpRange& r) { return r.text(); };
  const auto port = [](const PortRange& p) {
    return p.first == p.last ? std::to_string(p.first)
                             : std::to_string(p.first) + "-" + std::to_string(p.last);
  };
  const auto proto = [](IpProto p) { return name_of(p); };
  return listed(rule.from, range) + " -> " + listed(rule.to, range) + " " +
         listed(rule.protos, proto) + " " + listed(rule.ports, port);
}

struct Row {
  const char* what;
  FilterRule rule;
  std::vector<std::string> rules;
  size_t notes = 0;
};

const std::vector<IpRange>& local() {
  static const auto kLocal = ranges({"100.64.0.1", "fd7a:115c:a1e0::1", "10.1.0.0/16"});
  return kLocal;
}
FilterRule with_grant() {
  FilterRule rule = filter_rule({"100.64.0.2"}, {});
  rule.cap_grants = {{{prefix("100.64.0.1")}, {"x"}, {}}};
  return rule;
}

TEST(packet_filter, rules_as_the_reference_means_them) {
  const std::string everywhere = "10.1.0.0/16,100.64.0.1,fd7a:115c:a1e0::1";
  const Row rows[] = {
      {"everything", filter_rule({"*"}, {to("*")}), {"0.0.0.0/0,::/0 -> " + everywhere + " - -"}},
      {"only what is ours",
       filter_rule({"100.64.0.2"}, {to("10.0.0.0/8"), to("192.168.0.0/16")}),
       {"100.64.0.2 -> 10.1.0.0/16 - -"}},
      {"nothing of it is ours", filter_rule({"100.64.0.2"}, {to("192.168.0.0/16")}), {}},
      {"source forms",
       filter_rule({"100.64.0.2", "100.64.0.8/29", "100.64.1.5-100.64.1.7", "fd00::/8"},
                   {to("10.1.2.3", 22, 22)}),
       {"100.64.0.2,100.64.0.8/29,100.64.1.5-100.64.1.7,fd00::/8 -> 10.1.2.3 - 22"}},
      {"what cannot be read is left out",
       filter_rule({"10.0.0.1/8", "nobody", "100.64.0.2", "1.2.3.4-1.2.3.1", "fe80::1%eth0", ""},
                   {to("10.1.2.3", 22, 22), to("10.1.2.3/16")}),
       {"100.64.0.2 -> 10.1.2.3 - 22"},
       6},
      {"no source is left", filter_rule({"nobody"}, {to("10.1.2.3")}), {}, 1},
      {"ports of one destination come together",
       filter_rule({"100.64.0.2"},
                   {to("10.1.2.3", 80, 80), to("10.1.2.3", 22, 22), to("10.1.2.3", 81, 90)}),
       {"100.64.0.2 -> 10.1.2.3 - 22,80-90"}},
      {"destinations of one port come together",
       filter_rule({"100.64.0.2"},
                   {to("10.1.2.3", 80, 80), to("10.1.2.4", 80, 80), to("10.1.9.9")}),
       {"100.64.0.2 -> 10.1.2.3-10.1.2.4 - 80", "100.64.0.2 -> 10.1.9.9 - -"}},
      {"ports the wrong way round reach nothing", filter_rule({"*"}, {to("10.1.2.3", 9, 8)}), {}},
      {"protocols",
       filter_rule({"100.64.0.2"}, {to("10.1.2.3", 80, 80)}, {17, 6, 6}),
       {"100.64.0.2 -> 10.1.2.3 tcp,udp 80"}},
      {"one without ports needs them all",
       filter_rule({"100.64.0.2"}, {to("10.1.2.3", 80, 80)}, {6, 47}),
       {"100.64.0.2 -> 10.1.2.3 tcp 80"}},
      {"and has it then",
       filter_rule({"100.64.0.2"}, {to("10.1.2.3")}, {6, 47}),
       {"100.64.0.2 -> 10.1.2.3 tcp,gre -"}},
      {"two halves of the ports do not make all",
       filter_rule({"100.64.0.2"}, {to("10.1.2.3", 0, 99), to("10.1.2.3", 100, 65535)}, {47}),
       {"100.64.0.2 -> 10.1.2.3 icmp 0-65535"}},
      {"numbers that are no protocol",
       filter_rule({"100.64.0.2"}, {to("10.1.2.3")}, {-1, 256, 6}),
       {"100.64.0.2 -> 10.1.2.3 tcp -"}},
      {"only such: ICMP never looks",
       filter_rule({"100.64.0.2"}, {to("10.1.2.3")}, {300}),
       {"100.64.0.2 -> 10.1.2.3 icmp -"}},
      {"a grant lets no packet in", with_grant(), {}},
      {"a capability: transport where the rule says, ICMP to all of the family",
       filter_rule({"cap:admin"}, {to("10.1.2.3", 22, 22)}),
       {"100.64.0.3 -> 10.1.2.3 tcp,udp 22", "100.64.0.3 -> 10.1.0.0/16,100.64.0.1 icmp -"}},
      {"a capability and no port protocol",
       filter_rule({"cap:admin"}, {to("10.1.2.3")}, {47}),
       {"100.64.0.3 -> 10.1.0.0/16,100.64.0.1 icmp -"}},
      {"a capability that nobody has", filter_rule({"cap:none"}, {to("*")}), {}},
  };
  Netmap netmap = example_netmap({2, 3, 4});
  netmap.peers[NodeId{3}].cap_map["admin"];
  netmap.peers[NodeId{4}].capabilities = {"admin"};  // the old list does not count
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    netmap.filters = {{"base", {row.rule}}};
    const PlannedFilter plan = plan_filter(netmap, local(), {});
    std::vector<std::string> rules;
    for (const Rule& rule : plan.rules) {
      EXPECT_EQ(rule.id, "base:1");
      rules.push_back(text_of(rule));
    }
    EXPECT_EQ(rules, row.rules);
    EXPECT_EQ(plan.refused, "");
    EXPECT_EQ(plan.notes.size(), row.notes);
  }
}

TEST(packet_filter, says_what_it_left_out) {
  Netmap netmap = example_netmap({2});
  netmap.filters = {
      {"a\x1b", {filter_rule({"*"}, {to("*")}), filter_rule({"x\n"}, {to("10.0.0.1/8")})}}};
  EXPECT_EQ(plan_filter(netmap, local(), {}).notes,
            (std::vector<std::string>{"a\\x1b:2: \"x\\x0a\" is no source",
                                      "a\\x1b:2: \"10.0.0.1/8\" is no destination"}));
}

TEST(packet_filter, chunks_in_the_order_of_their_names) {
  Netmap netmap = example_netmap({2});
  netmap.filters = {{"b", {filter_rule({"100.64.0.2"}, {to("10.1.0.2")})}},
                    {"a",
                     {filter_rule({"100.64.0.2"}, {to("10.1.0.1")}),
                      filter_rule({"100.64.0.2"}, {to("10.1.0.3")})}}};
  std::vector<std::string> ids;
  for (const Rule& rule : plan_filter(netmap, local(), {}).rules) ids.push_back(rule.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"a:1", "a:2", "b:1"}));
  netmap.filters.clear();
  EXPECT_EQ(plan_filter(netmap, local(), {}), PlannedFilter{});
}

TEST(packet_filter, jailed_sources_are_taken_out) {
  Netmap netmap = example_netmap({2, 3});
  netmap.peers[NodeId{3}].cap_map["admin"];
  netmap.filters = {{"base", {filter_rule({"100.64.0.0/30", "cap:admin"}, {to("10.1.2.3")})}}};
  const PlannedFilter plan =
      plan_filter(netmap, local(), ranges({"100.64.0.3", "fd7a:115c:a1e0::3"}));
  ASSERT_EQ(plan.rules.size(), 1U);
  EXPECT_EQ(text_of(plan.rules[0]), "100.64.0.0-100.64.0.2 -> 10.1.2.3 - -");
}

TEST(packet_filter, old_bits_void_all_of_it) {
  for (const bool source : {true, false}) {
    Netmap netmap = example_netmap({2});
    FilterRule rule = filter_rule({"100.64.0.2"}, {to("10.1.2.3")});
    if (source) {
      rule.src_bits = {32};
    } else {
      rule.dst_ports[0].bits = 32;
    }
    netmap.filters = {{"base", {filter_rule({"*"}, {to("*")}), rule}}};
    const PlannedFilter plan = plan_filter(netmap, local(), {});
    EXPECT_TRUE(plan.rules.empty());
    EXPECT_EQ(plan.refused, "base:2: SrcBits and Bits are not taken any more");
  }
}

TEST(packet_filter, letting_in_an_unsigned_peer_voids_all_of_it) {
  Netmap netmap = example_netmap({2, 3});
  netmap.peers[NodeId{3}].unsigned_peerapi_only = true;
  netmap.filters = {{"base", {filter_rule({"100.64.0.2"}, {to("10.1.2.3")})}}};
  EXPECT_EQ(plan_filter(netmap, local(), {}).rules.size(), 1U);
  FilterRule grant = with_grant();
  grant.src_ips = {"100.64.0.3"};
  netmap.filters["more"] = {grant};
  EXPECT_EQ(plan_filter(netmap, local(), {}).rules.size(), 1U);  // capabilities it may have
  netmap.filters["more"] = {filter_rule({"100.64.0.0/29"}, {to("8.8.8.8")})};
  const PlannedFilter plan = plan_filter(netmap, local(), {});
  EXPECT_TRUE(plan.rules.empty());
  EXPECT_EQ(plan.refused, "more:1: it lets in a peer whose key is not signed");
}

TEST(packet_filter, what_is_too_large_for_an_object_becomes_several) {
  Netmap netmap = example_netmap({2});
  FilterRule rule = filter_rule({}, {});
  for (unsigned i = 0; i < 300; ++i) {
    const std::string host = std::to_string(i / 128) + "." + std::to_string(2 * (i % 128));
    rule.src_ips.push_back("100.65." + host);
    rule.dst_ports.push_back(to("10.1." + host));
  }
  netmap.filters = {{"base", {rule}}};
  const PlannedFilter plan = plan_filter(netmap, local(), {});
  ASSERT_EQ(plan.rules.size(), 4U);
  size_t pairs = 0;
  for (const Rule& one : plan.rules) {
    EXPECT_EQ(one.id, "base:1");
    EXPECT_LE(one.from.size(), channel::kMaxRanges);
    EXPECT_LE(one.to.size(), channel::kMaxRanges);
    pairs += one.from.size() * one.to.size();
  }
  EXPECT_EQ(pairs, 300U * 300U);
}

TEST(packet_filter, more_rules_than_fit_are_none) {
  Netmap netmap = example_netmap({2});
  netmap.filters["base"].assign(kMaxPlannedRules, filter_rule({"*"}, {to("10.1.2.3")}));
  EXPECT_EQ(plan_filter(netmap, local(), {}).rules.size(), kMaxPlannedRules);
  netmap.filters["base"].push_back(filter_rule({"*"}, {to("10.1.2.3")}));
  const PlannedFilter plan = plan_filter(netmap, local(), {});
  EXPECT_TRUE(plan.rules.empty());
  EXPECT_EQ(plan.refused, "base:8191: more rules than fit");
}

}  // namespace
}  // namespace sallyport
