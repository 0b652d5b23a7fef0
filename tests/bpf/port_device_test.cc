// SPDX-License-Identifier: BSD-3-Clause
/// port_in on devices: one without a link header, one with it and with frames of a VLAN.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/bpf/gateway.h"
#include "tests/bpf/judged.h"
#include "tests/bpf/packets.h"
#include "tests/bpf/tun.h"
#include "tests/support/own_netns.h"

namespace sallyport::test {
namespace {

constexpr std::array<uint8_t, 6> kMac{2, 0, 0, 0, 0, 7};

Bytes frame(const Bytes& packet, std::optional<uint16_t> vlan = {}) {
  ByteWriter out;
  out.bytes(kMac);
  out.bytes(Bytes{2, 0, 0, 0, 0, 9});
  if (vlan) {
    out.u16(0x8100);
    out.u16(*vlan);
  }
  out.u16(packet.at(0) >> 4 == 4 ? 0x0800 : 0x86dd);
  out.bytes(packet);
  return std::move(out).finish();
}

class port_device : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(netns_.entered());
    gateway_.emplace();
    ASSERT_TRUE(gateway_->ready()) << gateway_->why_not();
    ASSERT_NE(gateway_->load(rules_of_gateway().blob()), 0U);
  }
  void attach(const char* device, sp_port_role role) {
    ASSERT_TRUE(gateway_->plane().attach({device, Hook::kPortIn}));
    ASSERT_TRUE(gateway_->plane().set_port(index(device), role));
  }
  static uint32_t index(const char* device) { return if_nametoindex(device); }
  static bool run(const std::string& command) { return std::system(command.c_str()) == 0; }
  // A socket that hears what reaches 192.168.7.1 port 999.
  static Fd listen() {
    Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(999);
    if (bind(socket.raw(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0) return {};
    return socket;
  }
  static bool hears(const Fd& socket) {
    pollfd ready{socket.raw(), POLLIN, 0};
    std::array<char, 64> data{};
    return poll(&ready, 1, 5000) == 1 && recv(socket.raw(), data.data(), data.size(), 0) > 0;
  }
  // The drops since the last call, in order: {verdict, device}. Waits for as many, 5 s at most.
  using Drop = std::pair<uint8_t, uint32_t>;
  std::vector<Drop> drops(size_t expected) {
    std::vector<Drop> out;
    for (int i = 0; i < 250; i++) {
      gateway_->plane().drain_drop_events(
          [&](const sp_drop_event& one) { out.emplace_back(one.verdict, one.ifindex); });
      if (out.size() >= expected) break;
      poll(nullptr, 0, 20);
    }
    return out;
  }

  OwnNetns netns_;
  std::optional<Judged> gateway_;
  const Bytes forged_ = udp("10.99.0.2", 1, "192.168.7.1", 999);
  const Bytes forged6_ = udp("fd99::2", 1, "fd07::1", 999);
  const Bytes honest_ = udp("192.168.7.9", 1, "192.168.7.1", 999);
  const Bytes to_peer_ = udp("192.168.7.9", 1, "10.99.0.2", 999);
};

TEST_F(port_device, without_a_link_header) {
  const Tun tun("ppp7");
  ASSERT_TRUE(tun.ready());
  ASSERT_TRUE(run("ip addr add 192.168.7.1/24 dev ppp7 && ip link set ppp7 up"));
  attach("ppp7", SP_PORT_WAN);
  const Fd socket = listen();
  for (const Bytes& packet : {forged_, forged6_, to_peer_, honest_}) {
    ASSERT_TRUE(tun.write(packet));
  }
  EXPECT_TRUE(hears(socket));  // the last one, so the others are through
  const uint32_t port = index("ppp7");
  EXPECT_EQ(drops(3), (std::vector<Drop>{{SP_DROP_SPOOFED, port},
                                         {SP_DROP_SPOOFED, port},
                                         {SP_DROP_TAILNET_FROM_WAN, port}}));
  pollfd more{socket.raw(), POLLIN, 0};
  EXPECT_EQ(poll(&more, 1, 0), 0);
}

// The VLAN may be a LAN while its carrier is a WAN, and has the program itself. (No VLAN device
// here: small kernels have none, but all take the tag off first.)
TEST_F(port_device, leaves_the_frames_of_a_vlan_to_the_vlan) {
  const Tun tap("tap7", IFF_TAP);
  ASSERT_TRUE(tap.ready());
  ASSERT_TRUE(
      run("ip addr add 192.168.7.1/24 dev tap7 &&"
          "ip link set tap7 address 02:00:00:00:00:07 up"));
  attach("tap7", SP_PORT_WAN);
  const Fd socket = listen();
  ASSERT_TRUE(tap.write(frame(to_peer_, 10)));
  ASSERT_TRUE(tap.write(frame(forged_, 10)));
  ASSERT_TRUE(tap.write(frame(to_peer_)));
  ASSERT_TRUE(tap.write(frame(forged_, 0)));  // a priority, no VLAN
  ASSERT_TRUE(tap.write(frame(forged6_)));
  ASSERT_TRUE(tap.write(frame(honest_)));
  EXPECT_TRUE(hears(socket));  // the last one, so the others are through
  const uint32_t port = index("tap7");
  EXPECT_EQ(drops(3), (std::vector<Drop>{{SP_DROP_TAILNET_FROM_WAN, port},
                                         {SP_DROP_SPOOFED, port},
                                         {SP_DROP_SPOOFED, port}}));
}

}  // namespace
}  // namespace sallyport::test
