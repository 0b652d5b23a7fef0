// SPDX-License-Identifier: BSD-3-Clause
/// Other ports of the gateway: who may speak for whom. A test run's device is lo, number 1, and its
/// packets are Ethernet frames.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "tests/bpf/gateway.h"
#include "tests/bpf/judged.h"
#include "tests/bpf/packets.h"

namespace sallyport::test {
namespace {

constexpr uint32_t kPort = 1;
constexpr std::string_view kPasses = "none";  // what passes is not counted

Bytes frame(uint16_t ethertype, const Bytes& payload) {
  Bytes out(12, 0);
  out.push_back(static_cast<uint8_t>(ethertype >> 8));
  out.push_back(static_cast<uint8_t>(ethertype));
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}
Bytes frame(const Bytes& packet) { return frame(packet.at(0) >> 4 == 4 ? 0x0800 : 0x86dd, packet); }
struct Row {
  std::string_view name;
  Bytes frame;
  std::string_view on_lan;
  std::string_view on_wan;
};

std::vector<Row> rows(bool v6) {
  const auto pick = [&](std::string_view four, std::string_view six) { return v6 ? six : four; };
  const auto laptop = pick("10.99.0.2", "fd99::2");
  const auto member = pick("10.99.0.4", "fd99::4");
  const auto nobody = pick("10.99.0.9", "fd99::9");  // beside them, nobody's
  const auto self = pick("10.99.0.1", "fd99::1");
  const auto lan = pick("192.168.7.9", "fd07::9");
  const auto internet = pick("203.0.113.77", "2001:db8:5::77");
  const auto link_local = pick("169.254.3.3", "fe80::1");
  const Bytes from_laptop = udp(laptop, 5000, lan, 53);
  return {
      {"a peer's address as source", frame(from_laptop), "spoofed_source", "spoofed_source"},
      {"another's, TCP", frame(tcp(member, 1, internet, 443, kSyn)), "spoofed_source",
       "spoofed_source"},
      {"from peer to peer", frame(udp(laptop, 1, member, 2)), "spoofed_source", "spoofed_source"},
      {"a later fragment", frame(fragment(udp(laptop, 1, lan, 53, 3000), 1480, 1480, 7)),
       "spoofed_source", "spoofed_source"},
      {"a peer's ping", frame(icmp(laptop, lan, v6 ? 128 : 8, 0, 5)), "spoofed_source",
       "spoofed_source"},
      {"our own address", frame(udp(self, 5000, laptop, 53)), "spoofed_source", "spoofed_source"},
      {"the address beside it", frame(udp(nobody, 5000, lan, 53)), kPasses, kPasses},
      {"LAN to internet", frame(tcp(lan, 5000, internet, 443, kSyn)), kPasses, kPasses},
      {"internet to us", frame(udp(internet, 41641, self, 51820)), kPasses, kPasses},
      {"to a peer", frame(tcp(lan, 5000, laptop, 443, kSyn)), kPasses, "tailnet_from_wan"},
      {"to a peer from afar", frame(udp(internet, 53, member, 53)), kPasses, "tailnet_from_wan"},
      {"to the address beside it", frame(udp(internet, 53, nobody, 53)), kPasses, kPasses},
      {"a neighbour's link-local source", frame(udp(link_local, 53, lan, 53)), kPasses, kPasses},
      {"a link-local source to a peer", frame(udp(link_local, 53, laptop, 53)), kPasses,
       "tailnet_from_wan"},
      {"ARP", frame(0x0806, Bytes(28, 1)), kPasses, kPasses},
      {"a VLAN's frame, which its own port judges", frame(0x8100, Bytes(60, 1)), kPasses, kPasses},
      {"a PPPoE session's frame", frame(0x8864, Bytes(60, 1)), kPasses, kPasses},
  };
}

class Port : public testing::TestWithParam<bool> {};

TEST_P(Port, judges_by_source_destination_and_role) {
  Judged gateway;
  ASSERT_TRUE(gateway.ready()) << gateway.why_not();
  // A router that is fe80::1 on the LAN owns it there only.
  const auto policy = rules_of_gateway()
                          .addresses("fe80::1", SP_PEER_SELF, kSelf)
                          .addresses("169.254.3.3", SP_PEER_SELF, kSelf)
                          .blob();
  ASSERT_NE(gateway.load(policy), 0U);
  for (const bool wan : {true, false}) {
    ASSERT_TRUE(gateway.plane().set_port(kPort, wan ? SP_PORT_WAN : SP_PORT_LAN));
    for (const Row& row : rows(GetParam())) {
      SCOPED_TRACE(fmt::format("{} on a {}", row.name, wan ? "WAN" : "LAN"));
      const Seen seen = gateway.judge(Way::kPort, row.frame);
      const std::string_view expected = wan ? row.on_wan : row.on_lan;
      EXPECT_EQ(seen.verdict, expected);
      EXPECT_EQ(seen.passed, expected == kPasses);
      EXPECT_EQ(seen.packet, row.frame);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(families, Port, testing::Bool(),
                         [](const auto& info) { return info.param ? "v6" : "v4"; });

TEST(port, lets_everything_pass_without_a_policy) {
  Judged gateway;
  ASSERT_TRUE(gateway.ready()) << gateway.why_not();
  const Bytes forged = frame(udp("10.99.0.2", 1, "192.168.7.9", 2));
  EXPECT_EQ(gateway.judge(Way::kPort, forged).verdict, kPasses);
  ASSERT_NE(gateway.load(rules_of_gateway().blob()), 0U);
  EXPECT_EQ(gateway.judge(Way::kPort, forged).verdict, "spoofed_source");
}

TEST(port, a_drop_has_an_event_that_names_the_port_and_the_owner) {
  Judged gateway;
  ASSERT_TRUE(gateway.ready()) << gateway.why_not();
  ASSERT_NE(gateway.load(rules_of_gateway().blob()), 0U);
  gateway.judge(Way::kPort, frame(udp("fd99::3", 1234, "fd07::9", 53)));
  std::vector<sp_drop_event> events;
  gateway.plane().drain_drop_events([&](const sp_drop_event& one) { events.push_back(one); });
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].verdict, SP_DROP_SPOOFED);
  EXPECT_EQ(events[0].hook, SP_HOOK_PORT_IN);
  EXPECT_EQ(events[0].peer, 2U);
  EXPECT_EQ(events[0].ifindex, kPort);
  EXPECT_EQ(events[0].proto, 17);
  EXPECT_EQ(events[0].length, 56);
  EXPECT_EQ(__builtin_bswap16(events[0].src_port_be), 1234);
  EXPECT_EQ(__builtin_bswap16(events[0].dst_port_be), 53);
  EXPECT_EQ(events[0].src_addr[15], 3);
  const auto counts = gateway.plane().verdicts();
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->at(SP_HOOK_PORT_IN).at(SP_DROP_SPOOFED).bytes, 56U);
}

}  // namespace
}  // namespace sallyport::test
