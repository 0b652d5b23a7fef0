// SPDX-License-Identifier: BSD-3-Clause
/// Packets for WireGuard that are made to come in by another way: whole frames. Real sockets and
/// devices: path_device_test.
#include <gtest/gtest.h>
#include <net/if.h>

#include <cstdlib>
#include <string_view>
#include <vector>

#include "tests/bpf/judged.h"
#include "tests/bpf/packets.h"
#include "tests/bpf/tun.h"
#include "tests/bpf/wire_datagrams.h"
#include "tests/support/own_netns.h"

namespace sallyport::test {
namespace {

constexpr uint16_t kWg = 55555, kAgent = 55556, kRelay = 55557, kPeerPort = 41641;
constexpr uint32_t kLookalike = 0x02000000;
constexpr std::string_view kParked = "127.1.2.3", kLo = "127.0.0.1";
const IpAddress kParking = *IpAddress::parse(kParked);

class Pins : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(netns_.entered());
    tap_.emplace("wan0", IFF_TAP);
    ASSERT_TRUE(tap_->ready());
    ASSERT_EQ(std::system("ip link set wan0 address 02:00:00:00:00:07 up"), 0);
    gateway_.emplace();
    ASSERT_TRUE(gateway_->ready()) << gateway_->why_not();
    paths().set_ports({kWg, kAgent, kRelay, {0x80000, 0xff0000}});
  }
  PathMaps& paths() { return gateway_->plane().paths(); }
  [[nodiscard]] Endpoint peer() const { return {*IpAddress::parse(peer_), kPeerPort}; }
  [[nodiscard]] Pin pin() const { return {peer(), *IpAddress::parse(us_), if_nametoindex("wan0")}; }
  static Bytes relayed(const Bytes& payload) {
    return ethernet(udp(kParked, kRelay, kLo, kWg, payload));
  }
  [[nodiscard]] Bytes direct(const Bytes& payload, const Bytes& macs = Bytes(12)) const {
    return ethernet(udp(peer_, kPeerPort, us_, kWg, payload), macs);
  }
  uint64_t counted(sp_path_count what) {
    const auto counts = paths().counts();
    return counts ? counts->at(what) : UINT64_MAX;
  }
  void unchanged(Way way, const std::vector<Bytes>& frames) {
    for (size_t i = 0; i < frames.size(); i++) {
      SCOPED_TRACE(i);
      const Seen seen = gateway_->judge(way, frames[i]);
      EXPECT_TRUE(seen.passed);
      EXPECT_EQ(seen.packet, frames[i]);
      EXPECT_EQ(seen.mark, 0U);
    }
  }

  const bool v6_ = GetParam();
  const std::string_view us_ = v6_ ? "2001:db8::1" : "198.51.100.1";
  const std::string_view peer_ = v6_ ? "2001:db8:9::9" : "203.0.113.9";
  const Bytes wan_mac_{2, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0};
  OwnNetns netns_;
  std::optional<Tun> tap_;
  std::optional<Judged> gateway_;
};

TEST_P(Pins, make_a_relayed_packet_look_direct) {
  ASSERT_TRUE(paths().pin(kParking, pin()));
  for (const Bytes& payload : {initiation(), response(), data(), data(32), data(1312)}) {
    const Seen seen = gateway_->judge(Way::kLoopback, relayed(payload));
    EXPECT_TRUE(seen.redirected);
    EXPECT_EQ(seen.packet, direct(payload, wan_mac_));
    EXPECT_EQ(seen.mark, kLookalike);
  }
  EXPECT_EQ(counted(SP_PATH_PINNED), 5U);
}

TEST_P(Pins, leave_everything_else_on_lo_as_it_is) {
  ASSERT_TRUE(paths().pin(kParking, pin()));
  unchanged(Way::kLoopback,
            {ethernet(udp("127.1.2.4", kRelay, kLo, kWg, data())),  // another peer's
             ethernet(udp(kParked, kRelay + 1, kLo, kWg, data())),  // another socket's
             ethernet(udp(kParked, kRelay, kLo, kWg + 1, data())),  // to another one
             ethernet(udp(kParked, kRelay, "127.0.0.2", kWg, data())),
             ethernet(udp(kLo, kWg, kParked, kRelay, data())),  // WireGuard's answer
             ethernet(tcp(kParked, kRelay, kLo, kWg, kSyn)),
             ethernet(udp("::1", kRelay, "::1", kWg, data())),
             ethernet(fragment(udp(kParked, kRelay, kLo, kWg, data(900)), 0, 408, 5))});
  ASSERT_TRUE(paths().unpin(kParking));
  unchanged(Way::kLoopback, {relayed(data())});
  EXPECT_EQ(counted(SP_PATH_PINNED), 0U);
}

TEST_P(Pins, are_seen_by_the_port_and_lose_their_mark) {
  ASSERT_TRUE(paths().watch(peer(), std::chrono::seconds(1)));
  const Seen seen = gateway_->judge(Way::kPort, direct(data(), wan_mac_), {.mark = kLookalike});
  EXPECT_TRUE(seen.passed);
  EXPECT_EQ(seen.packet, direct(data(), wan_mac_));
  EXPECT_EQ(seen.mark, 0U);
  EXPECT_EQ(counted(SP_PATH_PINNED_SEEN), 1U);
  EXPECT_FALSE(paths().heard(peer()).value());  // it was not on the wire
}

TEST_P(Pins, reversed_make_a_direct_packet_look_relayed) {
  ASSERT_TRUE(paths().set_reverse(peer(), kParking));
  for (const Bytes& payload : {initiation(), response(), data(), data(32), data(1312)}) {
    const Seen seen = gateway_->judge(Way::kPort, direct(payload, wan_mac_));
    EXPECT_TRUE(seen.redirected);
    EXPECT_EQ(seen.packet, relayed(payload));
    EXPECT_EQ(seen.mark, 0U);
  }
  EXPECT_EQ(counted(SP_PATH_REVERSE_PINNED), 5U);
  EXPECT_EQ(paths().heard(peer()).value()->packets, 5U);
}

TEST_P(Pins, reversed_leave_what_is_not_the_peers_wireguard) {
  ASSERT_TRUE(paths().set_reverse(peer(), kParking));
  const Bytes disco_to_node = ethernet(udp(peer_, kPeerPort, us_, kAgent, disco()));
  EXPECT_EQ(gateway_->judge(Way::kPort, direct(disco())).packet, disco_to_node);
  unchanged(Way::kPort, {ethernet(udp(peer_, kPeerPort + 1, us_, kWg, data())),
                         ethernet(udp(peer_, kPeerPort, us_, kWg + 9, data())),
                         ethernet(udp(us_, kPeerPort, peer_, kWg, data()))});
  ASSERT_TRUE(paths().clear_reverse(peer()));
  unchanged(Way::kPort, {direct(data())});
  EXPECT_EQ(counted(SP_PATH_REVERSE_PINNED), 0U);
}

// Together they give back what there was.
TEST_P(Pins, and_reverse_pins_undo_each_other) {
  ASSERT_TRUE(paths().set_reverse(peer(), kParking));
  ASSERT_TRUE(paths().pin(kParking, pin()));
  const Bytes before = direct(data(1201), wan_mac_);
  const Seen parked = gateway_->judge(Way::kPort, before);
  EXPECT_EQ(gateway_->judge(Way::kLoopback, parked.packet).packet, before);
}

TEST_P(Pins, are_values_of_the_maps) {
  EXPECT_FALSE(paths().pin_of(kParking).value());
  ASSERT_TRUE(paths().pin(kParking, pin()));
  EXPECT_EQ(paths().pin_of(kParking).value(), pin());
  ASSERT_TRUE(paths().set_reverse(peer(), kParking));
  EXPECT_EQ(paths().reverse_of(peer()).value(), kParking);
  size_t pins = 0;
  ASSERT_TRUE(paths().for_each_pin([&](const IpAddress& parking, const Pin& one) {
    pins++;
    EXPECT_EQ(parking, kParking);
    EXPECT_EQ(one, pin());
  }));
  EXPECT_EQ(pins, 1U);
  size_t endpoints = 0;
  ASSERT_TRUE(paths().for_each_endpoint([&](const Endpoint& from, const sp_endpoint_state&) {
    endpoints++;
    EXPECT_EQ(from, peer());
  }));
  EXPECT_EQ(endpoints, 1U);
  ASSERT_TRUE(paths().clear());
  EXPECT_FALSE(paths().pin_of(kParking).value());
  EXPECT_FALSE(paths().reverse_of(peer()).value());
  EXPECT_EQ(paths().ports(), PathPorts{});

  const auto code = [](const Result<void>& result) {
    return result ? 0 : result.error().code.value();
  };
  EXPECT_EQ(code(paths().pin(*IpAddress::parse("10.0.0.1"), pin())), EINVAL);
  EXPECT_EQ(code(paths().pin(kParking, {peer(), pin().ours, 9999})), ENODEV);
  const IpAddress other = *IpAddress::parse(v6_ ? "192.0.2.1" : "2001:db8::7");
  EXPECT_EQ(code(paths().pin(kParking, {peer(), other, pin().ifindex})), EAFNOSUPPORT);
  EXPECT_TRUE(paths().unpin(kParking));  // there is none: fine
  EXPECT_TRUE(paths().forget(peer()));
}

INSTANTIATE_TEST_SUITE_P(families, Pins, testing::Bool(),
                         [](const auto& info) { return info.param ? "v6" : "v4"; });

}  // namespace
}  // namespace sallyport::test
