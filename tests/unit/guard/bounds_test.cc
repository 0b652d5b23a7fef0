// SPDX-License-Identifier: BSD-3-Clause
#include "agent/guard/bounds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/guard/confine.h"
#include "tests/support/hostile_node.h"
#include "tests/unit/guard/refusals.h"

namespace sallyport {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Bounds : testing::Test {
  Victim victim;

  std::vector<Refusal> judge(const NodeState& state) { return refusals(victim, state); }
  std::vector<Refusal> judge(const NodeObject& object) {
    NodeState state;
    put(state, object);
    return judge(state);
  }
  std::vector<Refusal> endpoint(const char* text, uint8_t peer = 1) {
    return judge(PeerEndpoint{Victim::key(peer), Endpoint::parse(text).value()});
  }
  static TailnetPeer peer(uint8_t n, const std::vector<const char*>& allowed) {
    TailnetPeer out;
    out.node_key = Victim::key(n);
    for (const char* text : allowed) out.allowed_ips.push_back(Victim::prefix(text));
    return out;
  }
  std::vector<Refusal> allowed(const char* text) { return judge(peer(11, {text})); }
  std::vector<Refusal> address(const char* text) { return judge(OwnAddress{Victim::prefix(text)}); }
};

TEST_F(Bounds, an_endpoint_only_for_a_peer_with_a_name_at_its_port) {
  EXPECT_THAT(endpoint("203.0.113.5:51820"), IsEmpty());
  EXPECT_THAT(endpoint("[2001:db8:77::1]:51820"), IsEmpty());
  EXPECT_THAT(endpoint("203.0.113.5:53"), ElementsAre(Refusal::kBadEndpoint));
  EXPECT_THAT(endpoint("203.0.113.5:51820", 2), ElementsAre(Refusal::kUnknownPeer));  // literal
  EXPECT_THAT(endpoint("203.0.113.5:51820", 3), ElementsAre(Refusal::kUnknownPeer));  // none
  EXPECT_THAT(endpoint("203.0.113.5:51820", 9), ElementsAre(Refusal::kUnknownPeer));
}

TEST_F(Bounds, no_endpoint_where_no_peer_can_be) {
  for (const char* text :
       {"127.0.0.1:51820", "127.1.2.3:51820", "0.0.0.0:51820", "224.0.0.1:51820",
        "255.255.255.255:51820", "198.51.100.2:51820", "10.1.0.1:51820", "10.9.0.1:51820",
        "[::1]:51820", "[::]:51820", "[ff02::1]:51820", "[fd09::1]:51820"}) {
    EXPECT_THAT(endpoint(text), ElementsAre(Refusal::kBadEndpoint)) << text;
  }
  EXPECT_THAT(endpoint("10.1.0.2:51820"), IsEmpty());  // a peer in the LAN is fine
}

TEST_F(Bounds, tailnet_peers_have_keys_of_their_own) {
  EXPECT_THAT(judge(peer(11, {"100.64.0.1"})), IsEmpty());
  EXPECT_THAT(judge(peer(0, {"100.64.0.1"})), ElementsAre(Refusal::kZeroKey));
  EXPECT_THAT(judge(peer(200, {"100.64.0.1"})), ElementsAre(Refusal::kOwnKey));
  EXPECT_THAT(judge(peer(1, {"100.64.0.1"})), ElementsAre(Refusal::kConfiguredKey));
}

TEST_F(Bounds, no_prefix_over_a_network_or_address_of_ours) {
  for (const char* text :
       {"10.1.0.0/16", "10.1.2.3", "10.1.2.0/24", "10.0.0.0/8", "10.2.0.7", "198.51.100.9",
        "198.51.0.0/16", "fd01::/64", "2001:db8:1::/48", "fc00::/7"}) {
    EXPECT_THAT(allowed(text), ElementsAre(Refusal::kConnectedPrefix)) << text;
  }
  EXPECT_THAT(allowed("10.9.0.1"), ElementsAre(Refusal::kOwnAddress));
  EXPECT_THAT(allowed("fd09::/64"), ElementsAre(Refusal::kOwnAddress));
  for (const char* text : {"10.3.0.0/16", "10.0.255.255", "fd02::/64", "203.0.113.0/24"}) {
    EXPECT_THAT(allowed(text), IsEmpty()) << text;
  }
}

TEST_F(Bounds, no_default_route_in_any_disguise) {
  for (const char* text :
       {"0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "8000::/1", "2000::/3", "203.0.0.0/15"}) {
    EXPECT_THAT(allowed(text), ElementsAre(Refusal::kDefaultRoute)) << text;
  }
  for (const char* text : {"169.254.169.254", "169.254.0.0/16", "127.0.0.0/16", "224.1.0.0/16",
                           "fe80::/64", "10.3.0.1/16"}) {
    EXPECT_THAT(allowed(text), ElementsAre(Refusal::kBadPrefix)) << text;
  }
}

TEST_F(Bounds, a_prefix_has_one_owner) {
  EXPECT_THAT(allowed("10.9.0.2"), ElementsAre(Refusal::kTakenPrefix));
  EXPECT_THAT(allowed("172.20.3.0/24"), ElementsAre(Refusal::kTakenPrefix));
  NodeState state;
  put(state, peer(11, {"10.3.0.0/16"}));
  put(state, peer(12, {"10.3.1.0/24"}));  // a more specific one is another
  EXPECT_THAT(judge(state), IsEmpty());
  put(state, peer(13, {"10.3.1.0/24"}));
  EXPECT_THAT(judge(state), ElementsAre(Refusal::kTakenPrefix));
}

TEST_F(Bounds, own_addresses_are_single_and_on_no_network_of_ours) {
  EXPECT_THAT(address("100.64.0.1"), IsEmpty());
  EXPECT_THAT(address("fd7a:115c:a1e0::1"), IsEmpty());
  EXPECT_THAT(address("100.64.0.0/24"), ElementsAre(Refusal::kBadPrefix));
  EXPECT_THAT(address("127.0.0.2"), ElementsAre(Refusal::kBadPrefix));
  EXPECT_THAT(address("10.1.0.1"), ElementsAre(Refusal::kOwnAddress));
  EXPECT_THAT(address("10.1.0.9"), ElementsAre(Refusal::kConnectedPrefix));
  EXPECT_THAT(address("10.9.0.3"), ElementsAre(Refusal::kTakenPrefix));
  // Once accepted it shows on our device, and stays acceptable.
  victim.devices[3].addresses.push_back(Victim::prefix("100.64.0.1"));
  EXPECT_THAT(address("100.64.0.1"), IsEmpty());
}

TEST_F(Bounds, counts_are_bounded) {
  NodeState state;
  for (uint32_t n = 0; n <= kMaxOwnAddresses; ++n)
    put(state, OwnAddress{Prefix::host(IpAddress::v4(0x64400000 + n))});
  EXPECT_THAT(judge(state), ElementsAre(Refusal::kTooMany));

  state = {};
  for (uint32_t n = 0; n <= kMaxTailnetPeers; ++n) {
    TailnetPeer p;
    p.node_key = Victim::key(7);
    for (int i = 0; i < 4; ++i)
      p.node_key.bytes.at(static_cast<size_t>(i)) = static_cast<uint8_t>(n >> (8 * i));
    put(state, p);
  }
  EXPECT_THAT(judge(state), testing::Contains(Refusal::kTooMany));

  state = {};
  Rule rule;
  rule.from = rule.to = {all_v4()};
  for (uint16_t n = 0; n < 8190; ++n) put(state, NodeRule{n, rule});
  EXPECT_THAT(judge(state), IsEmpty());
  put(state, NodeRule{9000, rule});
  EXPECT_THAT(judge(state), ElementsAre(Refusal::kTooMany));
}

TEST_F(Bounds, rules_that_would_not_fit_once_confined_are_refused) {
  NodeState state;
  TailnetPeer p = peer(11, {});
  for (uint32_t n = 0; n < 1024; ++n)
    p.allowed_ips.push_back(Prefix::host(IpAddress::v4(0x64400000 + 2 * n)));
  put(state, p);
  Rule rule;
  rule.from = rule.to = {all_v4()};
  for (uint16_t n = 0; n < 1000; ++n) put(state, NodeRule{n, rule});
  EXPECT_THAT(judge(state), IsEmpty());
  for (uint16_t n = 1000; n < 1100; ++n) put(state, NodeRule{n, rule});
  EXPECT_THAT(judge(state), ElementsAre(Refusal::kTooMany));
}

TEST_F(Bounds, a_rule_needs_both_ends) {
  Rule rule;
  rule.to = {all_v4()};
  EXPECT_THAT(judge(NodeRule{1, rule}), ElementsAre(Refusal::kBadRule));
  rule.from = {all_v4()};
  EXPECT_THAT(judge(NodeRule{1, rule}), IsEmpty());
}

TEST_F(Bounds, rules_are_cut_down_to_tailnet_peers_and_kept_off_configured_ones) {
  NodeState state;
  put(state, peer(11, {"100.64.0.1", "100.64.0.9"}));
  Rule rule;
  rule.id = "all";
  rule.from = {all_v4()};
  rule.to = {Victim::prefix("10.9.0.0/29").range()};
  put(state, NodeRule{4, rule});
  rule.from = {Victim::prefix("10.9.0.2").range()};  // a configured peer
  put(state, NodeRule{5, rule});
  const auto rules = confined_rules(state, victim.config);
  ASSERT_EQ(rules.size(), 1U);
  EXPECT_EQ(rules[0].from, (std::vector{Victim::prefix("100.64.0.1").range(),
                                        Victim::prefix("100.64.0.9").range()}));
  EXPECT_EQ(rules[0].to, (std::vector{IpRange::parse("10.9.0.0-10.9.0.1").value(),
                                      IpRange::parse("10.9.0.5-10.9.0.7").value()}));
}

TEST_F(Bounds, a_change_of_the_configuration_takes_what_it_no_longer_allows) {
  NodeState state;
  state.clock = ClockTrust::kCredible;
  put(state, PeerEndpoint{Victim::key(1), Endpoint::parse("203.0.113.5:51820").value()});
  put(state, peer(11, {"100.64.0.7/32"}));
  put(state, peer(12, {"10.7.0.0/24"}));
  put(state, OwnAddress{Victim::prefix("100.64.0.1/32")});
  const auto keep = [&] {
    return keep_within_bounds(state, victim.config, {victim.own_key, victim.devices});
  };
  ASSERT_TRUE(judge(state).empty());
  EXPECT_EQ(keep().state, state);
  EXPECT_THAT(keep().dropped, IsEmpty());

  victim.config.peers[0].endpoint = "vpn.example:53";
  victim.config.lans.push_back({"new", Victim::prefix("10.7.0.0/16"), "lan0", true, {}});
  victim.devices[1].addresses.push_back(Victim::prefix("100.64.0.200/24"));
  const WithinBounds left = keep();
  EXPECT_THAT(judge(left.state), IsEmpty());
  EXPECT_TRUE(left.state.endpoints.empty() && left.state.peers.empty() &&
              left.state.addresses.empty());
  EXPECT_EQ(left.state.clock, ClockTrust::kCredible);
  EXPECT_EQ(left.dropped.size(), 4U);
}

TEST_F(Bounds, more_that_has_to_go_than_is_complained_about_goes_all) {
  NodeState state;
  for (uint32_t n = 0; n < 3 * kMaxRefusals; ++n) {
    TailnetPeer one = peer(11, {});
    one.node_key.bytes[0] = static_cast<uint8_t>(n);
    one.allowed_ips = {Prefix::host(IpAddress::v4(0x0a070000 + n))};
    put(state, one);
  }
  put(state, peer(12, {"100.64.0.7/32"}));
  victim.config.lans.push_back({"new", Victim::prefix("10.7.0.0/16"), "lan0", true, {}});
  const WithinBounds left =
      keep_within_bounds(state, victim.config, {victim.own_key, victim.devices});
  EXPECT_EQ(left.state.peers.size(), 1U);
  EXPECT_EQ(left.dropped.size(), 3 * kMaxRefusals);
}

TEST_F(Bounds, names_are_those_that_are_no_addresses) {
  EXPECT_THAT(named_peers(victim.config),
              ElementsAre(NamedPeer{Victim::key(1), "vpn.example", 51820}));
}

}  // namespace
}  // namespace sallyport
