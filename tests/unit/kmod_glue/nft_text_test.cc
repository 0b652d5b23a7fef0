// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/nft_text.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

NftTable office() {
  return {.wg_device = "sallyport0",
          .wg_port = 51820,
          .masquerades = {{"lan0", Prefix::parse("10.1.2.0/24"), Family::kV4},
                          {"wan0", std::nullopt, Family::kV4},
                          {"wan0", std::nullopt, Family::kV6}},
          .wan_devices = {"wan0", "wan1"}};
}

TEST(nft_text, whole_table) {
  const auto text = render_nft(office());
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, R"(add table inet sallyport
delete table inet sallyport
table inet sallyport {
  chain guard {
    type nat hook postrouting priority 99; policy accept;
    oifname "wan0" meta nfproto ipv4 udp sport 51820 fib saddr type != local masquerade to :20000-50000
    oifname "wan0" meta nfproto ipv6 udp sport 51820 fib saddr type != local masquerade to :20000-50000
    oifname "wan1" meta nfproto ipv4 udp sport 51820 fib saddr type != local masquerade to :20000-50000
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    iifname "sallyport0" oifname "lan0" ip daddr 10.1.2.0/24 meta l4proto { tcp, udp } masquerade to :20000-50000
    iifname "sallyport0" oifname "lan0" ip daddr 10.1.2.0/24 masquerade
    iifname "sallyport0" oifname "wan0" meta nfproto ipv4 meta l4proto { tcp, udp } masquerade to :20000-50000
    iifname "sallyport0" oifname "wan0" meta nfproto ipv4 masquerade
    iifname "sallyport0" oifname "wan0" meta nfproto ipv6 meta l4proto { tcp, udp } masquerade to :20000-50000
    iifname "sallyport0" oifname "wan0" meta nfproto ipv6 masquerade
  }
}
)");
}

TEST(nft_text, host_bits_and_default_prefixes_are_said_plainly) {
  NftTable table = office();
  table.masquerades = {{"lan0", Prefix::parse("10.1.2.77/24"), Family::kV4},
                       {"lan0", Prefix::parse("::/0"), Family::kV6}};
  const auto text = render_nft(table);
  ASSERT_TRUE(text);
  EXPECT_NE(text->find("ip daddr 10.1.2.0/24 masquerade\n"), std::string::npos);
  EXPECT_NE(text->find("\"lan0\" meta nfproto ipv6 masquerade\n"), std::string::npos);
  EXPECT_EQ(text->find("::/0"), std::string::npos);
}

TEST(nft_text, no_guard_while_the_port_is_unknown) {
  NftTable table = office();
  table.wg_port = 0;
  const auto text = render_nft(table);
  ASSERT_TRUE(text);
  EXPECT_EQ(text->find("sport"), std::string::npos);
}

TEST(nft_text, beside_a_node_its_ports_are_guarded_and_its_relay_is_not_tracked) {
  NftTable table = office();
  table.masquerades.pop_back();
  table.wan_devices.pop_back();
  table.agent_port = 30000;
  table.relay_port = 51822;
  const auto text = render_nft(table);
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, R"(add table inet sallyport
delete table inet sallyport
table inet sallyport {
  chain guard {
    type nat hook postrouting priority 99; policy accept;
    oifname "wan0" meta nfproto ipv4 udp sport { 51820, 30000 } fib saddr type != local masquerade to :30001-50000
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    iifname "sallyport0" oifname "lan0" ip daddr 10.1.2.0/24 meta l4proto { tcp, udp } masquerade to :30001-50000
    iifname "sallyport0" oifname "lan0" ip daddr 10.1.2.0/24 masquerade
    iifname "sallyport0" oifname "wan0" meta nfproto ipv4 meta l4proto { tcp, udp } masquerade to :30001-50000
    iifname "sallyport0" oifname "wan0" meta nfproto ipv4 masquerade
  }
  chain relay_out {
    type filter hook output priority raw; policy accept;
    oifname "lo" udp sport . udp dport { 51822 . 51820, 51820 . 51822 } notrack
  }
  chain relay_in {
    type filter hook prerouting priority raw; policy accept;
    iifname "lo" udp sport . udp dport { 51822 . 51820, 51820 . 51822 } notrack
  }
}
)");
}

struct PortRow {
  uint16_t wg_port;
  PortRange ports;
  uint16_t agent_port = 0;
};
TEST(nft_text, our_port_is_never_given_away) {
  for (const PortRow& row : {PortRow{51820, {20000, 50000}},
                             {0, {20000, 50000}},
                             {19999, {20000, 50000}},
                             {50001, {20000, 50000}},
                             {20000, {20001, 50000}},
                             {50000, {20000, 49999}},
                             {34999, {35000, 50000}},
                             {35001, {20000, 35000}},
                             {48000, {20000, 47999}},
                             {48000, {20000, 47999}, 51000},
                             {48000, {20000, 44999}, 45000},
                             {21000, {21001, 47999}, 48000},
                             {48000, {21001, 47999}, 21000},
                             {30000, {30002, 50000}, 30001}}) {
    const PortRange got = masquerade_ports(row.wg_port, row.agent_port);
    EXPECT_EQ(got, row.ports) << row.wg_port << " gave " << got.first << "-" << got.last;
  }
}

TEST(nft_text, names_that_mean_something_else_are_refused) {
  for (const char* name :
       {"", "eth*", "a\"b", "a b", "a;flush", "a\\", "{x}", "sixteen_letters_"}) {
    NftTable table = office();
    table.wan_devices = {name};
    const auto text = render_nft(table);
    ASSERT_FALSE(text) << name;
    EXPECT_EQ(text.error().code, std::errc::invalid_argument);
  }
  for (const char* name : {"eth0.100", "br-lan", "wlp0s20f3", "vlan@1", "fifteen_letters"}) {
    NftTable table = office();
    table.wan_devices = {name};
    EXPECT_TRUE(render_nft(table)) << name;
  }
}

TEST(nft_text, a_prefix_of_the_other_family_is_refused) {
  NftTable table = office();
  table.masquerades = {{"lan0", Prefix::parse("fd00::/64"), Family::kV4}};
  EXPECT_FALSE(render_nft(table));
}

}  // namespace
}  // namespace sallyport
