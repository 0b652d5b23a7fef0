// SPDX-License-Identifier: BSD-3-Clause
/// The whole circle: desired state, reconcile, apply, observe. It comes to rest after one round,
/// whatever others did before.
#include <gmock/gmock.h>

#include "agent/guard/reconcile.h"
#include "tests/netns/kernel_fixture.h"

namespace sallyport {
namespace {

class kernel_reconcile : public KernelTest {
 protected:
  static KernelState desired() {
    KernelState state;
    state.wireguard = WgDevice{.name = kDevice, .private_key = {}, .peers = {}};
    state.link = Link{1420, true};
    state.addresses = {*Prefix::parse("100.64.0.1/10"), *Prefix::parse("fd7a::1/48")};
    for (const char* to : {"100.64.0.0/24", "10.9.0.0/16", "fd7a::/48"}) {
      state.routes.push_back({*Prefix::parse(to), RouteKind::kUnicast, kDevice, 5300, 0});
    }
    for (const Family family : {Family::kV4, Family::kV6}) {
      state.rules.push_back({family, 5320, 0x80000, 0xff0000, {}, 254});
      state.rules.push_back({family, 5340, 0, 0, {}, 5300});
    }
    state.nft = NftTable{.wg_device = kDevice,
                         .wg_port = 51820,
                         .masquerades = {{"wan0", std::nullopt, Family::kV4}},
                         .wan_devices = {"wan0"}};
    state.sysctls = {{"net/ipv4/ip_forward", "1"}, {"net/ipv4/conf/wan0/rp_filter", "2"}};
    state.offloads = {{{"wan0", "rx-gro-list"}, false}, {{"wan0", "rx-udp-gro-forwarding"}, true}};
    state.attachments = {{kDevice, Hook::kTailnetIn}, {kDevice, Hook::kTailnetOut}};
    std::ranges::sort(state.addresses);
    std::ranges::sort(state.routes);
    std::ranges::sort(state.rules);
    return state;
  }
  /// One round; how many steps it took.
  size_t round(const KernelState& wanted) {
    const auto steps = reconcile(wanted, observe());
    apply(steps);
    return steps.size();
  }
  static std::string words(const std::vector<Operation>& steps) {
    std::string all;
    for (const Operation& step : steps) {
      const Description said = describe(step);
      all += said.op + " " + said.object + " " + said.detail + "\n";
    }
    return all;
  }
  void expect_rest(const KernelState& wanted) {
    EXPECT_EQ(words(reconcile(wanted, observe())), "");
  }
};

TEST_F(kernel_reconcile, rests_after_one_round) {
  EXPECT_GT(round(desired()), 10U);
  expect_rest(desired());
}

TEST_F(kernel_reconcile, mends_what_others_broke_in_one_round) {
  round(desired());
  for (const char* command :
       {"ip rule del pref 5340; ip -6 rule del pref 5320", "ip link set sallyport0 down",
        "ip link set sallyport0 mtu 1280", "ip addr flush dev sallyport0",
        "ip addr add 100.64.0.77/32 dev sallyport0", "ip route flush table 5300",
        "ip route add 10.1.0.0/16 dev lan0 table 5300; ip rule add pref 5333 lookup 5300",
        "ip route replace 10.9.0.0/16 via 192.0.2.1 table 5300",
        "ip -6 route replace fd7a::/48 via 2001:db8::1 dev wan0 table 5300",
        "ip route replace unreachable 10.9.0.0/16 table 5300", "nft flush ruleset",
        "nft flush table inet sallyport", "sysctl -qw net.ipv4.ip_forward=0",
        "ethtool -K wan0 rx-udp-gro-forwarding off rx-gro-list on"}) {
    shell(command);
    EXPECT_GT(round(desired()), 0U) << command;
    EXPECT_EQ(words(reconcile(desired(), observe())), "") << command;
  }
}

TEST_F(kernel_reconcile, wants_nothing_and_leaves_nothing) {
  round(desired());
  round({});
  const KernelState seen = observe();
  EXPECT_FALSE(seen.link);
  EXPECT_FALSE(seen.nft);
  EXPECT_TRUE(seen.routes.empty());
  EXPECT_TRUE(seen.rules.empty());
  EXPECT_TRUE(seen.attachments.empty());
  expect_rest({});
}

}  // namespace
}  // namespace sallyport
