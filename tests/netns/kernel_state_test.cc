// SPDX-License-Identifier: BSD-3-Clause
/// What is asked of the kernel is what is observed, a second time as well; nothing else changes.
///
///   wan1 --- wan0 [ namespace under test: sallyport0 (TUN) ] lan0 --- lan1
#include <gmock/gmock.h>

#include <chrono>

#include "tests/netns/kernel_fixture.h"

namespace sallyport {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Route route(const char* to) { return {*Prefix::parse(to), RouteKind::kUnicast, kDevice, 5300, 0}; }

std::vector<Route> all_routes() {
  std::vector<Route> routes{route("100.64.0.0/10"), route("0.0.0.0/0"), route("fd7a::/48"),
                            route("::/0"), route("10.9.0.1/32")};
  routes.push_back({*Prefix::parse("10.8.0.0/16"), RouteKind::kUnreachable, "", 5300, 7});
  routes.push_back({*Prefix::parse("fd7b::/48"), RouteKind::kUnreachable, "", 5300, 0});
  routes.push_back({*Prefix::parse("fd7a::/48"), RouteKind::kUnicast, kDevice, 5300, 99});
  std::ranges::sort(routes);
  return routes;
}

std::vector<RoutingRule> all_rules() {
  std::vector<RoutingRule> rules;
  for (const Family family : {Family::kV4, Family::kV6}) {
    rules.push_back({family, 5320, 0x80000, 0xff0000, {}, 254});
    rules.push_back({family, 5321, 0, 0xff0000, {}, 5300});
    rules.push_back({family, 5390, 0, 0, {}, 5300});
  }
  rules.push_back({Family::kV4, 5300, 0, 0, Prefix::parse("127.0.0.0/8"), 255});
  rules.push_back({Family::kV6, 5300, 0, 0, Prefix::parse("fd00::/8"), 255});
  std::ranges::sort(rules);
  return rules;
}

NftTable all_nft() {
  return {.wg_device = kDevice,
          .wg_port = 51820,
          .masquerades = {{"lan0", Prefix::parse("10.1.2.0/24"), Family::kV4},
                          {"wan0", std::nullopt, Family::kV4},
                          {"wan0", std::nullopt, Family::kV6}},
          .wan_devices = {"wan0"}};
}

std::vector<Operation> everything() {
  std::vector<Operation> steps{CreateLink{kDevice}, ReplaceNftTable{all_nft()},
                               AddAddress{kDevice, *Prefix::parse("100.64.0.1/10")},
                               AddAddress{kDevice, *Prefix::parse("fd7a::1/64")},
                               SetLink{kDevice, {1420, true}}};
  for (const Route& r : all_routes()) steps.emplace_back(AddRoute{r});
  for (const RoutingRule& r : all_rules()) steps.emplace_back(AddRoutingRule{r});
  steps.emplace_back(Attach{{kDevice, Hook::kTailnetIn}});
  steps.emplace_back(SetOffload{{"wan0", "rx-udp-gro-forwarding"}, true});
  steps.emplace_back(SetOffload{{"wan0", "rx-gro-list"}, true});
  steps.emplace_back(SetSysctl{"net/ipv4/conf/wan0/rp_filter", "2"});
  steps.emplace_back(SetSysctl{"net/ipv4/ip_forward", "1"});
  return steps;
}

std::vector<Operation> nothing() {
  std::vector<Operation> steps{
      SetSysctl{"net/ipv4/ip_forward", "0"}, SetSysctl{"net/ipv4/conf/wan0/rp_filter", "0"},
      SetOffload{{"wan0", "rx-gro-list"}, false},
      SetOffload{{"wan0", "rx-udp-gro-forwarding"}, false}, SetLink{kDevice, {0, false}}};
  for (const RoutingRule& r : all_rules()) steps.emplace_back(DeleteRoutingRule{r});
  for (const Route& r : all_routes()) steps.emplace_back(DeleteRoute{r});
  steps.emplace_back(DeleteAddress{kDevice, *Prefix::parse("100.64.0.1/10")});
  steps.emplace_back(DeleteAddress{kDevice, *Prefix::parse("fd7a::1/64")});
  steps.emplace_back(Detach{{kDevice, Hook::kTailnetIn}});
  steps.emplace_back(DeleteNftTable{});
  steps.emplace_back(DeleteLink{kDevice});
  return steps;
}

/// Everything that a person can list, counters and the like left out.
std::string dump() {
  return shell(
      "ip -d -N link; ip -d -N addr; ip -4 -d -N route show table all; ip -6 -d -N route show "
      "table all; ip -4 -d -N rule; ip -6 -d -N rule; nft list ruleset\n"
      "sysctl net.ipv4.ip_forward net.ipv4.conf net.ipv6.conf | grep -v stable_secret\n"
      "for d in wan0 lan0; do ethtool -k $d; done");
}

class kernel_state : public KernelTest {
 protected:
  void expect_everything() {
    const KernelState seen = observe();
    EXPECT_TRUE(seen.wireguard);
    EXPECT_EQ(seen.link, (Link{1420, true}));
    EXPECT_THAT(seen.addresses,
                ElementsAre(*Prefix::parse("100.64.0.1/10"), *Prefix::parse("fd7a::1/64")));
    EXPECT_EQ(seen.routes, all_routes());
    EXPECT_EQ(seen.rules, all_rules());
    EXPECT_EQ(seen.nft, all_nft());
    EXPECT_THAT(seen.sysctls, ElementsAre(testing::Pair("net/ipv4/conf/wan0/rp_filter", "2"),
                                          testing::Pair("net/ipv4/ip_forward", "1")));
    EXPECT_THAT(seen.offloads,
                ElementsAre(testing::Pair(Offload{"wan0", "rx-gro-list"}, true),
                            testing::Pair(Offload{"wan0", "rx-udp-gro-forwarding"}, true)));
    EXPECT_THAT(seen.attachments, ElementsAre(Attachment{kDevice, Hook::kTailnetIn}));
  }
};

TEST_F(kernel_state, nothing_of_ours_is_seen_as_nothing) {
  const KernelState seen = observe();
  EXPECT_FALSE(seen.wireguard);
  EXPECT_FALSE(seen.link);
  EXPECT_FALSE(seen.nft);
  EXPECT_THAT(seen.addresses, IsEmpty());
  EXPECT_THAT(seen.routes, IsEmpty());
  EXPECT_THAT(seen.rules, IsEmpty());
  EXPECT_EQ(seen.sysctls.at("net/ipv4/ip_forward"), "0");
  EXPECT_EQ(seen.sysctls.size(), 2U);
  EXPECT_EQ(seen.offloads.size(), 2U);
}

TEST_F(kernel_state, what_is_applied_is_observed_once_and_twice) {
  apply(everything());
  expect_everything();
  std::vector<Operation> again = everything();
  again.erase(again.begin());  // a TUN cannot be made twice
  std::erase_if(again, [](const Operation& o) { return std::holds_alternative<Attach>(o); });
  apply(again);
  expect_everything();
  // Not by our own eyes only.
  EXPECT_THAT(shell("ip -4 route show table 5300"),
              HasSubstr("unreachable 10.8.0.0/16 proto 53 metric 7"));
  EXPECT_THAT(shell("ip -4 rule"),
              HasSubstr("5320:\tfrom all fwmark 0x80000/0xff0000 lookup main"));
  EXPECT_THAT(shell("ip -6 rule"), HasSubstr("5300:\tfrom all to fd00::/8 lookup local"));
  EXPECT_THAT(shell("ethtool -k wan0"), HasSubstr("rx-udp-gro-forwarding: on"));
  // The prefix of an address is routed in our table, not in main.
  EXPECT_THAT(shell("ip route show table main"), testing::Not(HasSubstr(kDevice)));
}

TEST_F(kernel_state, down_leaves_everything_as_it_was_before_up) {
  shell("nft 'table ip theirs { chain f { type filter hook forward priority 0; policy drop; }; }'");
  const std::string before = dump();
  apply(everything());
  EXPECT_NE(dump(), before);
  apply(nothing());
  EXPECT_EQ(dump(), before);
}

TEST_F(kernel_state, taking_away_what_is_gone_succeeds) {
  apply(everything());
  std::vector<Operation> steps = nothing();
  apply(steps);
  // The link itself can neither be set nor deleted twice.
  std::erase_if(steps, [](const Operation& o) {
    return std::holds_alternative<SetLink>(o) || std::holds_alternative<DeleteLink>(o);
  });
  apply(steps);
}

TEST_F(kernel_state, a_route_is_replaced_in_place) {
  make_device();
  apply({AddRoute{route("10.8.0.0/16")}, AddRoute{route("fd7b::/48")}});
  std::vector<Route> barred{{*Prefix::parse("10.8.0.0/16"), RouteKind::kUnreachable, "", 5300, 0},
                            {*Prefix::parse("fd7b::/48"), RouteKind::kUnreachable, "", 5300, 0}};
  std::ranges::sort(barred);
  apply({AddRoute{barred[0]}, AddRoute{barred[1]}});
  EXPECT_EQ(observe().routes, barred);
  std::vector<Route> open{route("10.8.0.0/16"), route("fd7b::/48")};
  std::ranges::sort(open);
  apply({AddRoute{open[0]}, AddRoute{open[1]}});
  EXPECT_EQ(observe().routes, open);
}

TEST_F(kernel_state, a_route_bent_by_others_is_equal_to_no_wish_and_can_be_deleted) {
  make_device();
  apply({AddRoute{route("10.8.0.0/16")}});
  shell(
      "ip route replace 10.8.0.0/16 via 192.0.2.1 dev wan0 table 5300\n"
      "ip route add blackhole 10.7.0.0/16 table 5300\n"
      "ip -6 route add fd70::/16 via 2001:db8::1 dev wan0 table 5300\n"
      "ip route add 10.6.0.0/16 table 5300 nexthop via 192.0.2.7 nexthop via 192.0.2.8");
  std::vector<Route> bent = observe().routes;
  ASSERT_EQ(bent.size(), 4U);
  for (const Route& r : bent) {
    EXPECT_EQ(r.kind, RouteKind::kUnicast);
    EXPECT_EQ(r.device, "") << r.to.text();
  }
  std::vector<Operation> steps;
  for (const Route& r : bent) steps.emplace_back(DeleteRoute{r});
  apply(steps);
  EXPECT_THAT(observe().routes, IsEmpty());
}

TEST_F(kernel_state, rules_of_others_are_not_ours) {
  shell(
      "ip rule add pref 5350 from 10.0.0.0/8 lookup 99; ip rule add pref 5351 iif lo lookup 99\n"
      "ip rule add pref 5352 not fwmark 1 lookup 99; ip rule add pref 5353 prohibit\n"
      "ip rule add pref 5299 lookup 99; ip rule add pref 5391 lookup 99");
  EXPECT_THAT(observe().rules, IsEmpty());
}

TEST_F(kernel_state, a_rule_in_our_words_is_deleted_whoever_made_it) {
  shell("ip rule add pref 5333 lookup 5300 protocol 4; ip -6 rule add pref 5333 lookup 5300");
  const std::vector<RoutingRule> made = observe().rules;
  ASSERT_EQ(made.size(), 2U);
  apply({DeleteRoutingRule{made[0]}, DeleteRoutingRule{made[1]}});
  EXPECT_THAT(observe().rules, IsEmpty());
}

TEST_F(kernel_state, addresses_and_routes_of_others_are_not_ours) {
  make_device();
  shell(
      "ip route add 10.77.0.0/16 dev sallyport0 table 5301\n"
      "ip route add 10.78.0.0/16 dev sallyport0");
  EXPECT_THAT(observe().routes, IsEmpty());
  EXPECT_THAT(observe().addresses, ElementsAre(*Prefix::parse("100.64.0.1/32")));
}

TEST_F(kernel_state, a_thousand_routes_are_quick) {
  make_device();
  std::vector<Operation> steps;
  std::vector<Route> wanted;
  for (uint32_t i = 0; i < 1000; ++i) {
    wanted.push_back(
        {Prefix::host(IpAddress::v4(0x0a000000 + i * 7)), RouteKind::kUnicast, kDevice, 5300, 0});
    steps.emplace_back(AddRoute{wanted.back()});
  }
  std::ranges::sort(wanted);
  const auto start = std::chrono::steady_clock::now();
  apply(steps);
  const auto applied = std::chrono::steady_clock::now();
  EXPECT_EQ(observe().routes, wanted);
  const auto observed = std::chrono::steady_clock::now();
  // Sanitizers and a loaded machine included; a list walked for each route would take minutes.
  EXPECT_LT(applied - start, std::chrono::seconds(5));
  EXPECT_LT(observed - applied, std::chrono::seconds(2));
}

TEST_F(kernel_state, a_failing_step_stops_nothing_and_says_why) {
  make_device();
  const std::vector<Operation> steps{
      AddRoute{{*Prefix::parse("10.0.0.0/8"), RouteKind::kUnicast, "nodevice", 5300, 0}},
      AddRoute{route("10.1.0.1/8")},  // host bits: the kernel refuses with words of its own
      SetLink{kDevice, {67000, true}},
      SetSysctl{"net/ipv4/ip_forward", "maybe"},
      SetSysctl{"../../etc/passwd", "1"},
      SetOffload{{"wan0", "no-such-feature"}, true},
      AddRoute{route("10.0.0.0/8")},
  };
  const std::vector<Failure> failures = kernel->apply(steps);
  ASSERT_EQ(failures.size(), 6U);
  for (size_t i = 0; i < failures.size(); ++i) EXPECT_EQ(failures[i].index, i);
  EXPECT_EQ(failures[0].error.text(), "look up link nodevice: No such device");
  EXPECT_EQ(failures[1].error.text(),
            "add route 10.1.0.1/8 dev sallyport0 table 5300: Invalid prefix for given prefix "
            "length: Invalid argument");
  EXPECT_THAT(failures[2].error.text(), HasSubstr("MTU 67000: mtu greater than device maximum"));
  EXPECT_EQ(failures[3].error.text(), "set sysctl net/ipv4/ip_forward to maybe: Invalid argument");
  EXPECT_EQ(failures[4].error.code, std::errc::invalid_argument);
  EXPECT_THAT(failures[5].error.text(), HasSubstr("bit name not found"));
  EXPECT_THAT(observe().routes, ElementsAre(route("10.0.0.0/8")));
}

TEST_F(kernel_state, a_step_that_holds_back_ends_the_run) {
  make_device();
  const std::vector<Operation> steps{AddRoute{route("10.0.0.1/8")}, AddRoute{route("10.0.0.0/8")},
                                     SetSysctl{"net/ipv4/ip_forward", "maybe"},
                                     AddRoute{route("11.0.0.0/8")}};
  const auto failures =
      kernel->apply(steps, [](const Operation& o) { return std::holds_alternative<SetSysctl>(o); });
  ASSERT_EQ(failures.size(), 2U);
  EXPECT_EQ(failures[1].index, 2U);
  EXPECT_THAT(observe().routes, ElementsAre(route("10.0.0.0/8")));
}

TEST_F(kernel_state, what_is_not_ours_is_refused) {
  SetPeer foreign_peer;
  foreign_peer.device = "wg9";
  const std::vector<Operation> steps{
      CreateLink{"eth0"},
      SetLink{"wan0", {1300, false}},
      AddAddress{"wan0", *Prefix::parse("10.0.0.1/8")},
      AddRoute{{*Prefix::parse("10.0.0.0/8"), RouteKind::kUnreachable, "", 254, 0}},
      DeleteRoute{{*Prefix::parse("0.0.0.0/0"), RouteKind::kUnicast, "wan0", 254, 0}},
      AddRoutingRule{{Family::kV4, 5299, 0, 0, {}, 5300}},
      AddRoutingRule{{Family::kV4, 5391, 0, 0, {}, 5300}},
      AddRoutingRule{{Family::kV4, 5301, 1, 0xff0001, {}, 5300}},
      DeleteRoutingRule{{Family::kV4, 0, 0, 0, {}, 255}},
      foreign_peer};
  const std::string before = dump();
  const auto failures = kernel->apply(steps);
  ASSERT_EQ(failures.size(), steps.size());
  for (const Failure& f : failures) {
    EXPECT_EQ(f.error.code, std::errc::operation_not_permitted) << f.index;
  }
  EXPECT_EQ(dump(), before);
}

TEST_F(kernel_state, peer_steps_in_a_row_go_together) {
  SetPeer good;
  good.device = kDevice;
  SetPeer bad = good;
  bad.keepalive_s = TunAsWireGuard::kBadKeepalive;
  const RemovePeer removal{kDevice, {}};
  const std::vector<Operation> steps{good, bad, removal, CreateLink{kDevice}, good, good, bad};
  const auto failures = kernel->apply(steps);
  EXPECT_THAT(wireguard.batches, ElementsAre(3U, 3U));
  ASSERT_EQ(failures.size(), 2U);
  EXPECT_EQ(failures[0].index, 1U);
  EXPECT_EQ(failures[1].index, 6U);
}

}  // namespace
}  // namespace sallyport
