// SPDX-License-Identifier: BSD-3-Clause
/// What others do is noticed, seen and can be repaired; other people's firewalls and devices are
/// shown.
///
///   wan1 --- wan0 [ namespace under test: sallyport0 (TUN) ] lan0 --- lan1
#include <gmock/gmock.h>
#include <poll.h>

#include "tests/netns/kernel_fixture.h"

namespace sallyport {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kDeadlineMs = 10'000;

const Route kRoute{*Prefix::parse("10.9.0.0/16"), RouteKind::kUnicast, kDevice, 5300, 0};
const RoutingRule kRule{Family::kV4, 5340, 0, 0, {}, 5300};

NftTable nft_table() {
  return {.wg_device = kDevice,
          .wg_port = 51820,
          .masquerades = {{"wan0", std::nullopt, Family::kV4}},
          .wan_devices = {"wan0"}};
}

class kernel_changes : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    make_device();
    apply({AddRoute{kRoute}, AddRoutingRule{kRule}, ReplaceNftTable{nft_table()}});
    kernel->drain_notifications();
  }
  [[nodiscard]] bool readable(int wait_ms) const {
    pollfd one{.fd = kernel->notification_fd(), .events = POLLIN, .revents = 0};
    return poll(&one, 1, wait_ms) == 1;
  }
  /// Does what others do, and says whether we were told to look again.
  bool noticed(const std::string& command) {
    EXPECT_FALSE(readable(0)) << "before " << command;
    shell(command);
    // The kernel queues its message before the command returns.
    return readable(kDeadlineMs) && kernel->drain_notifications();
  }
  void repair(const Operation& step) {
    apply({step});
    kernel->drain_notifications();
  }
};

TEST_F(kernel_changes, quiet_when_nothing_happens) {
  observe();
  EXPECT_FALSE(readable(0));
  EXPECT_FALSE(kernel->drain_notifications());
}

TEST_F(kernel_changes, a_deleted_route_is_noticed_seen_and_mended) {
  EXPECT_TRUE(noticed("ip route del 10.9.0.0/16 dev sallyport0 table 5300"));
  EXPECT_THAT(observe().routes, IsEmpty());
  repair(AddRoute{kRoute});
  EXPECT_THAT(observe().routes, ElementsAre(kRoute));
}

TEST_F(kernel_changes, a_deleted_rule_is_noticed_seen_and_mended) {
  EXPECT_TRUE(noticed("ip rule del pref 5340"));
  EXPECT_THAT(observe().rules, IsEmpty());
  repair(AddRoutingRule{kRule});
  EXPECT_THAT(observe().rules, ElementsAre(kRule));
}

TEST_F(kernel_changes, a_deleted_address_is_noticed_seen_and_mended) {
  EXPECT_TRUE(noticed("ip addr flush dev sallyport0"));
  EXPECT_THAT(observe().addresses, IsEmpty());
  repair(AddAddress{kDevice, *Prefix::parse("100.64.0.1/32")});
  EXPECT_THAT(observe().addresses, ElementsAre(*Prefix::parse("100.64.0.1/32")));
}

TEST_F(kernel_changes, a_link_set_down_is_noticed_seen_and_mended) {
  EXPECT_TRUE(noticed("ip link set sallyport0 down mtu 1300"));
  EXPECT_EQ(observe().link, (Link{1300, false}));
  EXPECT_THAT(observe().routes, IsEmpty());
  repair(SetLink{kDevice, {1420, true}});
  EXPECT_EQ(observe().link, (Link{1420, true}));
}

TEST_F(kernel_changes, a_deleted_link_is_noticed_and_seen) {
  EXPECT_TRUE(noticed("ip link del sallyport0"));
  EXPECT_FALSE(observe().link);
}

TEST_F(kernel_changes, a_deleted_table_is_noticed_seen_and_mended) {
  EXPECT_TRUE(noticed("nft delete table inet sallyport"));
  EXPECT_FALSE(observe().nft);
  repair(ReplaceNftTable{nft_table()});
  EXPECT_EQ(observe().nft, nft_table());
}

TEST_F(kernel_changes, a_table_that_others_changed_is_equal_to_no_wish) {
  for (const char* command :
       {"nft flush chain inet sallyport postrouting",
        "nft insert rule inet sallyport postrouting counter accept",
        "nft add chain inet sallyport extra '{ type filter hook forward priority 0; }'",
        "nft 'add table inet sallyport { flags dormant; }'",
        "nft add set inet sallyport s '{ type ipv4_addr; }'", "nft flush ruleset"}) {
    EXPECT_TRUE(noticed(command)) << command;
    EXPECT_NE(observe().nft, nft_table()) << command;
    repair(ReplaceNftTable{nft_table()});
    EXPECT_EQ(observe().nft, nft_table()) << command;
  }
}

TEST_F(kernel_changes, after_a_restart_our_table_is_not_taken_on_trust) {
  open_kernel();
  const auto seen = observe().nft;
  ASSERT_TRUE(seen);
  EXPECT_EQ(*seen, NftTable{});
  apply({ReplaceNftTable{nft_table()}});
  EXPECT_EQ(observe().nft, nft_table());
}

TEST_F(kernel_changes, tables_of_others_survive_ours) {
  shell("nft 'table inet theirs { chain f { type filter hook forward priority 0; }; }'");
  const std::string theirs = shell("nft list table inet theirs");
  apply({ReplaceNftTable{nft_table()}, DeleteNftTable{}, ReplaceNftTable{nft_table()}});
  EXPECT_EQ(shell("nft list table inet theirs"), theirs);
}

TEST_F(kernel_changes, what_concerns_us_of_others_is_noticed) {
  EXPECT_TRUE(noticed("ip link set lan0 down"));
  EXPECT_TRUE(noticed("ip addr add 10.3.0.1/24 dev wan0"));
  EXPECT_TRUE(noticed("ip route replace default via 192.0.2.9"));
  EXPECT_TRUE(noticed("nft add table ip theirs"));
  EXPECT_TRUE(noticed("nft add chain ip theirs f '{ type filter hook forward priority 0; }'"));
  EXPECT_TRUE(noticed("nft add rule ip theirs f drop"));
}

TEST_F(kernel_changes, what_does_not_is_not) {
  shell("nft add table ip theirs; nft add set ip theirs s '{ type ipv4_addr; }'");
  kernel->drain_notifications();
  EXPECT_FALSE(noticed("ip route add 10.44.0.0/16 via 192.0.2.1"));
  EXPECT_FALSE(noticed("nft add element ip theirs s '{ 10.0.0.1 }'"));
}

TEST_F(kernel_changes, an_overrun_means_look_again) {
  shell(
      "for i in $(seq 0 250); do for j in $(seq 0 79); do echo \"route add 172.$i.$j.0/24 via "
      "192.0.2.1\"; done; done | ip -batch -");
  EXPECT_TRUE(readable(0));
  EXPECT_TRUE(kernel->drain_notifications());
  EXPECT_FALSE(readable(0));
}

TEST_F(kernel_changes, devices_are_shown_with_their_roles) {
  const auto devices = kernel->devices();
  ASSERT_TRUE(devices);
  const auto find = [&](const std::string& name) {
    const auto at = std::ranges::find(*devices, name, &Device::name);
    return at == devices->end() ? Device{} : *at;
  };
  EXPECT_TRUE(find("lo").loopback);
  EXPECT_TRUE(find("lo").ethernet);
  EXPECT_FALSE(find(kDevice).ethernet);
  EXPECT_TRUE(find(kDevice).up);
  EXPECT_TRUE(find("wan0").ethernet);
  EXPECT_TRUE(find("wan0").default_route);
  EXPECT_FALSE(find("lan0").default_route);
  EXPECT_THAT(find("wan0").addresses,
              ElementsAre(*Prefix::parse("192.0.2.2/24"), *Prefix::parse("2001:db8::2/64")));
  EXPECT_THAT(find("lan0").addresses, ElementsAre(*Prefix::parse("10.1.2.1/24")));
}

TEST_F(kernel_changes, a_default_route_of_ipv6_or_of_several_hops_makes_wans) {
  shell("ip route del default; ip -6 route add default via 2001:db8::1 dev wan0");
  const auto wans = [&] {
    std::vector<std::string> names;
    const auto devices = kernel->devices();
    EXPECT_TRUE(devices);
    for (const Device& device : *devices) {
      if (device.default_route) names.push_back(device.name);
    }
    return names;
  };
  EXPECT_THAT(wans(), ElementsAre("wan0"));
  shell("ip -6 route del default; ip route add default table 99 dev lan0");
  EXPECT_THAT(wans(), IsEmpty());
  shell("ip route add default nexthop dev wan0 nexthop dev lan0");
  EXPECT_THAT(wans(), testing::UnorderedElementsAre("wan0", "lan0"));
}

TEST_F(kernel_changes, forward_chains_of_others_are_shown) {
  const auto none = kernel->foreign_forward_chains();
  ASSERT_TRUE(none);
  EXPECT_THAT(*none, IsEmpty());
  shell(
      "nft 'table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; "
      "iifname docker0 accept; }; chain INPUT { type filter hook input priority 0; policy drop; }; "
      "};"
      "table inet fw { chain f { type filter hook forward priority 5; ct state invalid drop; "
      "ip daddr 10.0.0.1 drop; }; chain quiet { type filter hook forward priority 6; }; "
      "chain no_hook { drop; }; }'");
  const auto found = kernel->foreign_forward_chains();
  ASSERT_TRUE(found);
  EXPECT_THAT(*found,
              testing::UnorderedElementsAre(
                  ForeignForwardChain{"ip",
                                      "filter",
                                      "FORWARD",
                                      true,
                                      1,
                                      {{{{"docker0"}, false}, {}, ForwardVerdict::kAccept}}},
                  ForeignForwardChain{"inet", "fw", "f", false, 2, {}}));
}

// As docker leaves a host; then what doctor prints is added.
TEST_F(kernel_changes, a_forward_chain_that_jumps_is_followed) {
  const auto stops = [&] {
    const auto found = kernel->foreign_forward_chains();
    EXPECT_TRUE(found);
    return found && std::ranges::any_of(*found, [](const ForeignForwardChain& chain) {
             return chain.stops(kDevice, "lan0") || chain.stops("lan0", kDevice);
           });
  };
  shell(
      "nft 'table ip filter { chain USER { return; }; chain OTHER { drop; }; "
      "chain FORWARD { type filter hook forward priority filter; policy drop; jump USER; "
      "iifname docker0 oifname docker0 accept; ct state established accept; "
      "iifname docker0 jump OTHER; }; }'");
  EXPECT_TRUE(stops());
  shell("nft insert rule ip filter USER iifname sallyport0 counter accept");
  EXPECT_TRUE(stops());
  shell("nft insert rule ip filter USER oifname { sallyport0, docker0 } counter accept");
  EXPECT_FALSE(stops());
  shell("nft flush chain ip filter USER");
  EXPECT_TRUE(stops());
  shell(
      "nft insert rule ip filter FORWARD iifname sallyport0 accept && nft insert rule ip filter "
      "FORWARD oifname sallyport0 accept");
  EXPECT_FALSE(stops());
  shell("nft insert rule ip filter FORWARD oifname lan0 drop");
  EXPECT_TRUE(stops());
}

TEST_F(kernel_changes, a_lan_behind_a_router_is_found_and_followed) {
  const Prefix far = *Prefix::parse("10.7.0.0/16");
  const Prefix far6 = *Prefix::parse("fd77::/48");
  const Prefix gone = *Prefix::parse("10.9.0.0/16");
  kernel->follow_routes({far, far6});
  const auto where = [&] {
    const auto devices = kernel->devices();
    EXPECT_TRUE(devices);
    const auto found = kernel->devices_towards({far, far6, gone}, *devices);
    EXPECT_TRUE(found) << found.error().text();
    return found ? *found : std::map<Prefix, std::string>{};
  };
  // The default route leads everywhere, and therefore tells nothing.
  EXPECT_THAT(where(), IsEmpty());
  kernel->drain_notifications();
  shell("ip route add 10.77.0.0/16 via 10.1.2.9 dev lan0");
  EXPECT_FALSE(kernel->drain_notifications());
  shell("ip route add 10.7.0.0/16 via 10.1.2.9 dev lan0; ip -6 addr add fd01::1/64 dev lan0 nodad");
  EXPECT_TRUE(kernel->drain_notifications());
  EXPECT_THAT(where(), ElementsAre(std::pair{far, std::string("lan0")}));
  shell("ip -6 route add fd00::/8 via fd01::9 dev lan0");
  EXPECT_TRUE(kernel->drain_notifications());
  EXPECT_THAT(where(), ElementsAre(std::pair{far, std::string("lan0")},
                                   std::pair{far6, std::string("lan0")}));
  shell("ip route replace 10.7.0.0/16 via 192.0.2.9 dev wan0");
  EXPECT_TRUE(kernel->drain_notifications());
  EXPECT_EQ(where().at(far), "wan0");
  // Only its upper half is routed.
  shell(
      "ip route del 10.7.0.0/16; ip route add 10.7.128.0/17 dev lan0; ip route add blackhole "
      "10.9.0.0/16");
  EXPECT_EQ(where().at(far), "lan0");
  EXPECT_FALSE(where().contains(gone));
}

}  // namespace
}  // namespace sallyport
