// SPDX-License-Identifier: BSD-3-Clause
#include "agent/guard/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/guard/port_set.h"

namespace sallyport {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

PublicKey key(uint8_t n) {
  PublicKey out;
  out.bytes.fill(n);
  return out;
}
Prefix prefix(const char* text) { return Prefix::parse(text).value(); }

Device port(const char* name, std::vector<Prefix> addresses, bool wan = false) {
  Device d;
  d.name = name;
  d.ethernet = true;
  d.up = true;
  d.default_route = wan;
  d.addresses = std::move(addresses);
  return d;
}

struct Gateway : testing::Test {
  Gateway() {
    config.node.addresses = {prefix("10.9.0.1/24"), prefix("fd09::1/64")};
    config.peers = {PeerConfig{"laptop", key(1), {prefix("10.9.0.2")}, "", {}, 0, {}},
                    PeerConfig{"phone", key(2), {prefix("10.9.0.3")}, "vpn.example:1", {}, 25, {}}};
    config.lans = {LanConfig{"office", prefix("10.1.0.0/16"), "", true, {}}};
    facts.wg_port = 50007;
    facts.private_key = PrivateKey::generate();
    facts.devices = {port("wan0", {prefix("198.51.100.2/24")}, true),
                     port("lan0", {prefix("10.1.0.1/16")})};
    Device lo;
    lo.name = "lo";
    lo.loopback = true;
    lo.addresses = {prefix("127.0.0.1/8")};
    facts.devices.push_back(lo);
    facts.sysctls = {{"net/ipv4/ip_forward", "0"},
                     {"net/ipv4/conf/all/accept_redirects", "1"},
                     {"net/ipv6/conf/all/forwarding", "0"},
                     {"net/ipv4/ip_local_reserved_ports", "8080\n"},
                     {"net/ipv6/conf/wan0/accept_ra", "1"}};
  }
  KernelState plan_now() { return plan(config, node, facts); }
  std::vector<std::string> route_texts() {
    std::vector<std::string> out;
    for (const Route& route : plan_now().routes) out.push_back(route.to.text());
    return out;
  }

  Config config;
  NodeState node;
  PlanFacts facts;
};

TEST_F(Gateway, has_its_device_with_the_chosen_port_and_mark) {
  const KernelState s = plan_now();
  EXPECT_EQ(s.wireguard->name, "sallyport0");
  EXPECT_EQ(s.wireguard->listen_port, 50007);
  EXPECT_EQ(s.wireguard->fwmark, config.dataplane.fwmark.value);
  EXPECT_EQ(s.wireguard->private_key, facts.private_key);
  EXPECT_EQ(s.link, (Link{1420, true}));
  EXPECT_EQ(s.addresses, config.node.addresses);
  EXPECT_EQ(s.wireguard->peers.size(), 2U);
  EXPECT_EQ(s.wireguard->peers.at(key(2)).keepalive_s, 25);
}

TEST_F(Gateway, takes_the_looked_up_endpoint_for_a_name_only) {
  EXPECT_FALSE(plan_now().wireguard->peers.at(key(2)).endpoint);
  node.endpoints[key(1)] = Endpoint::parse("192.0.2.66:6").value();  // has no name
  node.endpoints[key(2)] = Endpoint::parse("192.0.2.1:1").value();
  EXPECT_FALSE(plan_now().wireguard->peers.at(key(1)).endpoint);
  EXPECT_EQ(plan_now().wireguard->peers.at(key(2)).endpoint->text(), "192.0.2.1:1");
  config.peers[1].endpoint = "[2001:db8::1]:9";
  EXPECT_EQ(plan_now().wireguard->peers.at(key(2)).endpoint->text(), "[2001:db8::1]:9");
}

TEST_F(Gateway, routes_each_allowed_prefix_in_its_own_table) {
  EXPECT_THAT(route_texts(), ElementsAre("10.9.0.2/32", "10.9.0.3/32"));
  for (const Route& route : plan_now().routes) {
    EXPECT_EQ(route.table, config.dataplane.table);
    EXPECT_EQ(route.device, "sallyport0");
  }
}

TEST_F(Gateway, never_routes_a_connected_prefix_into_the_tunnel) {
  config.peers[0].allowed_ips = {prefix("10.0.0.0/14")};  // the LAN is 10.1/16
  EXPECT_THAT(route_texts(), ElementsAre("10.0.0.0/16", "10.2.0.0/15", "10.9.0.3/32"));
  config.peers[0].allowed_ips = {prefix("10.1.0.0/16")};
  EXPECT_THAT(route_texts(), ElementsAre("10.9.0.3/32"));
  config.peers[0].allowed_ips = {prefix("10.1.7.0/24")};  // a client inside the LAN is meant
  EXPECT_THAT(route_texts(), ElementsAre("10.1.7.0/24", "10.9.0.3/32"));
}

TEST_F(Gateway, does_not_send_the_host_through_a_peer_that_may_send_everything) {
  config.peers[0].allowed_ips = {prefix("0.0.0.0/0"), prefix("::/0")};
  EXPECT_THAT(route_texts(), ElementsAre("10.9.0.3/32"));
  EXPECT_EQ(plan_now().wireguard->peers.at(key(1)).allowed_ips.size(), 2U);
}

TEST_F(Gateway, gives_a_prefix_to_one_peer) {
  node.peers[key(3)] =
      TailnetPeer{key(3), "t", "u", {prefix("10.9.0.2"), prefix("100.64.0.3")}, {}, 0, false};
  const auto peers = plan_now().wireguard->peers;
  EXPECT_THAT(peers.at(key(1)).allowed_ips, ElementsAre(prefix("10.9.0.2")));
  EXPECT_THAT(peers.at(key(3)).allowed_ips, ElementsAre(prefix("100.64.0.3")));
}

TEST_F(Gateway, has_nothing_of_paths_unless_its_node_holds_some) {
  facts.node_ports = {50009, 50011};
  facts.sysctls["net/ipv4/conf/lo/route_localnet"] = "0";
  facts.sysctls["net/ipv4/conf/lo/accept_local"] = "0";
  const KernelState s = plan_now();
  for (const Attachment& attachment : s.attachments) {
    EXPECT_NE(attachment.hook, Hook::kPortOut);
    EXPECT_NE(attachment.hook, Hook::kLoopback);
  }
  EXPECT_EQ(s.nft->agent_port, 0);
  EXPECT_EQ(s.nft->relay_port, 0);
  EXPECT_FALSE(s.sysctls.contains("net/ipv4/conf/lo/route_localnet"));
  EXPECT_FALSE(s.sysctls.contains("net/ipv4/conf/lo/accept_local"));
  EXPECT_EQ(s.sysctls.at("net/ipv4/ip_local_reserved_ports"), "8080,50007");
  for (const RoutingRule& rule : s.rules) EXPECT_FALSE(rule.to);
}

TEST_F(Gateway, makes_room_for_a_node_that_holds_paths) {
  facts.node_ports = {50009, 50011};
  facts.holds_paths = true;
  facts.sysctls["net/ipv4/conf/lo/route_localnet"] = "0";
  facts.sysctls["net/ipv4/conf/lo/accept_local"] = "0";
  const KernelState s = plan_now();
  EXPECT_THAT(s.attachments,
              testing::UnorderedElementsAre(
                  Attachment{"sallyport0", Hook::kTailnetIn},
                  Attachment{"sallyport0", Hook::kTailnetOut}, Attachment{"lo", Hook::kLoopback},
                  Attachment{"wan0", Hook::kPortIn}, Attachment{"wan0", Hook::kPortOut},
                  Attachment{"lan0", Hook::kPortIn}, Attachment{"lan0", Hook::kPortOut}));
  EXPECT_EQ(s.nft->agent_port, 50009);
  EXPECT_EQ(s.nft->relay_port, 50011);
  EXPECT_EQ(s.sysctls.at("net/ipv4/conf/lo/route_localnet"), "1");
  EXPECT_EQ(s.sysctls.at("net/ipv4/conf/lo/accept_local"), "1");
  EXPECT_EQ(s.sysctls.at("net/ipv4/ip_local_reserved_ports"), "8080,50007,50009,50011");
  // The way to lo is asked for before our mark rule.
  const RoutingRule lo{Family::kV4, config.dataplane.priority + 10, 0,
                       0,           prefix("127.0.0.0/8"),          255};
  EXPECT_EQ(s.rules.front(), lo);
  EXPECT_THAT(s.rules, testing::SizeIs(5));
}

TEST_F(Gateway, gives_the_ports_back_when_its_node_holds_paths_no_longer) {
  facts.node_ports = {50009, 50011};
  facts.saved.sysctls["net/ipv4/ip_local_reserved_ports"] = "8080,50011";
  facts.sysctls["net/ipv4/ip_local_reserved_ports"] = "8080,9000,50007,50009,50011";
  EXPECT_EQ(plan_now().sysctls.at("net/ipv4/ip_local_reserved_ports"), "8080,9000,50007,50011");
  EXPECT_EQ(plan_nothing(facts).sysctls.at("net/ipv4/ip_local_reserved_ports"), "8080,9000,50011");
  facts.saved.sysctls["net/ipv4/conf/lo/route_localnet"] = "0";
  facts.sysctls["net/ipv4/conf/lo/route_localnet"] = "1";
  EXPECT_EQ(plan_now().sysctls.at("net/ipv4/conf/lo/route_localnet"), "0");
  EXPECT_EQ(plan_nothing(facts).sysctls.at("net/ipv4/conf/lo/route_localnet"), "0");
}

TEST_F(Gateway, asks_our_table_after_the_mark_rule_in_both_families) {
  const auto rules = plan_now().rules;
  ASSERT_EQ(rules.size(), 4U);
  for (const Family family : {Family::kV4, Family::kV6}) {
    std::vector<RoutingRule> of_family;
    for (const RoutingRule& rule : rules) {
      if (rule.family == family) of_family.push_back(rule);
    }
    ASSERT_EQ(of_family.size(), 2U);
    EXPECT_EQ(of_family[0].table, 254U);
    EXPECT_EQ(of_family[0].mark, config.dataplane.fwmark.value);
    EXPECT_EQ(of_family[0].mask, config.dataplane.fwmark.mask);
    EXPECT_EQ(of_family[1].table, config.dataplane.table);
    EXPECT_EQ(of_family[1].mask, 0U);
    EXPECT_LT(of_family[0].priority, of_family[1].priority);
    EXPECT_GE(of_family[0].priority, config.dataplane.priority);
    EXPECT_LE(of_family[1].priority, config.dataplane.priority + 90);
  }
}

TEST_F(Gateway, masquerades_lans_with_snat_on_their_device) {
  EXPECT_THAT(plan_now().nft->masquerades,
              ElementsAre(Masquerade{"lan0", prefix("10.1.0.0/16"), Family::kV4}));
  EXPECT_THAT(plan_now().nft->wan_devices, ElementsAre("wan0"));
  EXPECT_EQ(plan_now().nft->wg_port, 50007);
  config.lans[0].snat = false;
  EXPECT_THAT(plan_now().nft->masquerades, IsEmpty());
}

TEST_F(Gateway, finds_the_device_of_a_routed_lan) {
  config.lans[0].prefix = prefix("172.16.0.0/12");
  EXPECT_THAT(plan_now().nft->masquerades, IsEmpty());
  facts.lan_devices[prefix("172.16.0.0/12")] = "lan0";
  EXPECT_EQ(plan_now().nft->masquerades.at(0).device, "lan0");
  config.lans[0].device = "lan7";
  EXPECT_EQ(plan_now().nft->masquerades.at(0).device, "lan7");
}

TEST_F(Gateway, masquerades_the_exit_on_the_default_route_or_the_named_device) {
  config.lans.clear();
  config.exit = ExitConfig{};
  EXPECT_THAT(plan_now().nft->masquerades,
              ElementsAre(Masquerade{"wan0", std::nullopt, Family::kV4}));
  config.exit->ipv6 = ExitV6::kNat;
  config.exit->ipv4 = false;
  config.exit->devices = {"dsl0"};
  EXPECT_THAT(plan_now().nft->masquerades,
              ElementsAre(Masquerade{"dsl0", std::nullopt, Family::kV6}));
  EXPECT_THAT(plan_now().nft->wan_devices, ElementsAre("dsl0", "wan0"));
}

TEST_F(Gateway, forwards_ipv6_only_if_it_serves_any) {
  auto sysctls = plan_now().sysctls;
  EXPECT_THAT(sysctls, Contains(Pair("net/ipv4/ip_forward", "1")));
  EXPECT_FALSE(sysctls.contains("net/ipv6/conf/all/forwarding"));
  EXPECT_FALSE(sysctls.contains("net/ipv6/conf/wan0/accept_ra"));
  config.lans.push_back(LanConfig{"six", prefix("fd01::/64"), "lan0", true, {}});
  sysctls = plan_now().sysctls;
  EXPECT_THAT(sysctls, Contains(Pair("net/ipv6/conf/all/forwarding", "1")));
  EXPECT_THAT(sysctls, Contains(Pair("net/ipv6/conf/wan0/accept_ra", "2")));
}

TEST_F(Gateway, keeps_wanting_what_it_has_set) {
  config.lans.push_back(LanConfig{"six", prefix("fd01::/64"), "lan0", true, {}});
  facts.offloads = {{{"lan0", "rx-gro-list"}, true}, {{"lan0", "rx-udp-gro-forwarding"}, false}};
  const KernelState first = plan_now();
  KernelState observed;
  observed.sysctls = facts.sysctls;
  observed.offloads = facts.offloads;
  facts.saved = remember({}, first, observed);
  facts.sysctls = first.sysctls;
  facts.offloads = first.offloads;
  EXPECT_EQ(plan_now().sysctls, first.sysctls);
  EXPECT_EQ(plan_now().offloads, first.offloads);

  // IPv6 is served no longer: back to what it was; and down restores everything.
  config.lans.pop_back();
  EXPECT_THAT(plan_now().sysctls, Contains(Pair("net/ipv6/conf/all/forwarding", "0")));
  const KernelState nothing = plan_nothing(facts);
  EXPECT_FALSE(nothing.wireguard || nothing.nft);
  EXPECT_EQ(nothing.offloads, observed.offloads);
  observed.sysctls["net/ipv4/ip_local_reserved_ports"] = "8080";
  EXPECT_EQ(nothing.sysctls, observed.sysctls);
}

TEST_F(Gateway, puts_back_a_forgotten_redirect_switch_that_was_off) {
  facts.sysctls["net/ipv4/conf/all/accept_redirects"] = "0";
  KernelState observed;
  observed.sysctls = facts.sysctls;
  facts.saved = remember({}, plan_now(), observed);
  facts.sysctls["net/ipv4/ip_forward"] = "1";
  EXPECT_THAT(plan_nothing(facts).sysctls,
              Contains(Pair("net/ipv4/conf/all/accept_redirects", "0")));
}

TEST_F(Gateway, leaves_the_settings_of_a_router_alone) {
  facts.sysctls["net/ipv4/ip_forward"] = "1";
  EXPECT_FALSE(plan_now().sysctls.contains("net/ipv4/conf/all/accept_redirects"));
}

TEST_F(Gateway, does_not_ask_for_what_the_host_does_not_have) {
  facts.sysctls.clear();
  facts.offloads.clear();
  EXPECT_THAT(plan_now().sysctls, IsEmpty());
  EXPECT_THAT(plan_now().offloads, IsEmpty());
}

TEST_F(Gateway, watches_every_port_but_lo_and_its_own_device) {
  facts.devices[1].up = false;
  facts.devices.push_back(port("sallyport0", {prefix("10.9.0.1/24")}));
  facts.offloads = {{{"lan0", "rx-gro-list"}, true}, {{"sallyport0", "rx-gro-list"}, true}};
  const KernelState s = plan_now();
  EXPECT_THAT(
      s.attachments,
      ElementsAre(Attachment{"lan0", Hook::kPortIn}, Attachment{"sallyport0", Hook::kTailnetIn},
                  Attachment{"sallyport0", Hook::kTailnetOut}, Attachment{"wan0", Hook::kPortIn}));
  EXPECT_THAT(s.offloads, ElementsAre(Pair(Offload{"lan0", "rx-gro-list"}, false)));
}

TEST(remember, forgets_what_was_put_back) {
  KernelState desired;
  desired.sysctls = {{"a", "1"}};
  KernelState observed;
  observed.sysctls = {{"a", "0"}};
  const Saved saved = remember({}, desired, observed);
  EXPECT_THAT(saved.sysctls, ElementsAre(Pair("a", "0")));
  EXPECT_EQ(remember(saved, desired, observed), saved);
  EXPECT_THAT(remember(saved, KernelState{}, observed).sysctls, IsEmpty());
}

TEST(port_set, speaks_the_kernels_notation) {
  EXPECT_EQ(with_port("", 7), "7");
  EXPECT_EQ(with_port("8080,9148\n", 8081), "8080-8081,9148");
  EXPECT_EQ(with_port("1-3,5", 4), "1-5");
  EXPECT_EQ(with_port("65534", 65535), "65534-65535");
  EXPECT_EQ(without_port("1-5", 3), "1-2,4-5");
  EXPECT_EQ(without_port("7", 7), "");
  EXPECT_TRUE(has_port("1-5", 5));
  EXPECT_FALSE(has_port("nonsense", 5));
}

}  // namespace
}  // namespace sallyport
