// SPDX-License-Identifier: BSD-3-Clause
// Packet sizes and the errors about them. The topology is drawn in tests/support/scene/office.h.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "tests/support/scene/office.h"

namespace sallyport::scene {
namespace {

void for_both(const std::function<void(const Side&)>& scene) {
  for (const Side* side : {&kV4, &kV6}) {
    SCOPED_TRACE(side->name);
    scene(*side);
  }
}

uint32_t send_mss(const Fd& socket) {
  tcp_info info{};
  socklen_t length = sizeof info;
  EXPECT_EQ(::getsockopt(socket.raw(), IPPROTO_TCP, TCP_INFO, &info, &length), 0);
  return info.tcpi_snd_mss;
}

// The LAN behind the gateway carries less than the tunnel: the laptop hears of it.
SCENE(lan, pmtud) {
  for_both([](const Side& side) {
    const bool six = &side == &kV6;
    Office office(std::string("pmtud-") + side.name);
    const EchoServer server(office.server, side.server);
    office.up(
        "  - {id: all, from: [laptop], to: [lan]}\n"
        "  - {id: back, from: [lan], to: [laptop], proto: [udp]}");
    office.net.ip(office.gw, "link set lan0 mtu 1300");
    const Fd socket = udp_socket(office.laptop, side.laptop);
    const int always = six ? IPV6_PMTUDISC_DO : IP_PMTUDISC_DO;
    ::setsockopt(socket.raw(), six ? IPPROTO_IPV6 : IPPROTO_IP,
                 six ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &always, sizeof always);
    const auto related = office.gateway->verdicts("related");
    ASSERT_EQ(send_to(socket, side.server, server.port(), std::string(1350, 'm')), 0);
    EXPECT_TRUE(eventually([&] {
      return send_to(socket, side.server, server.port(), std::string(1350, 'm')) == EMSGSIZE;
    })) << office.gateway->dump();
    EXPECT_GT(office.gateway->verdicts("related"), related);
    ASSERT_EQ(send_to(socket, side.server, server.port(), std::string(1200, 'm')), 0);
    EXPECT_TRUE(receive(socket, 5s));

    // From the LAN into the tunnel: 1500 bytes do not fit into 1420.
    const EchoServer laptop(office.laptop, side.laptop);
    office.net.ip(office.gw, "link set lan0 mtu 1500");
    const Fd inward = udp_socket(office.server, side.server);
    ::setsockopt(inward.raw(), six ? IPPROTO_IPV6 : IPPROTO_IP,
                 six ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &always, sizeof always);
    ASSERT_EQ(send_to(inward, side.laptop, laptop.port(), std::string(1440, 'm')), 0);
    EXPECT_TRUE(eventually([&] {
      return send_to(inward, side.laptop, laptop.port(), std::string(1440, 'm')) == EMSGSIZE;
    })) << office.gateway->dump();
    ASSERT_EQ(send_to(inward, side.laptop, laptop.port(), std::string(1300, 'm')), 0);
    EXPECT_TRUE(receive(inward, 5s)) << office.gateway->dump();
  });
}

// A client that believes in 1500 bytes is told the truth in both directions of the handshake.
SCENE(lan, mss) {
  for_both([](const Side& side) {
    const bool six = &side == &kV6;
    Office office(std::string("mss-") + side.name);
    office.up("  - {id: all, from: [laptop], to: [lan]}");
    office.net.ip(office.laptop, "link set wg0 mtu 1500");
    Fd listener;
    inside(office.server, [&] {
      listener = Fd(::socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      ASSERT_EQ(::listen(listener.raw(), 4), 0);  // any address, any port
    });
    const Connection open = tcp_connect(office.laptop, side.server, port_of(listener));
    ASSERT_EQ(open.error, 0) << office.gateway->dump();
    const Fd accepted(::accept(listener.raw(), nullptr, nullptr));
    const uint32_t most = 1420 - (six ? 60 : 40);
    for (const Fd* end : {&open.socket, &accepted}) {
      EXPECT_LE(send_mss(*end), most);
      EXPECT_GE(send_mss(*end), most - 40) << "clamped, not crippled";
    }
  });
}

uint16_t checksum(const uint8_t* data, size_t size) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < size; i += 2) sum += static_cast<uint32_t>(data[i] << 8 | data[i + 1]);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// "Port unreachable" from the server about a UDP packet laptop:source -> server:9.
void forge_error(const Office& office, const Side& side, uint16_t source) {
  const bool six = &side == &kV6;
  std::vector<uint8_t> packet(8, 0);
  packet[0] = six ? 1 : 3;
  packet[1] = six ? 4 : 3;
  std::vector<uint8_t> quote(six ? 48 : 28, 0);
  if (six) {
    quote[0] = 0x60;
    quote[5] = 8;
    quote[6] = IPPROTO_UDP;
    quote[7] = 60;
    inet_pton(AF_INET6, side.laptop, &quote[8]);
    inet_pton(AF_INET6, side.server, &quote[24]);
  } else {
    quote[0] = 0x45;
    quote[3] = 28;
    quote[8] = 60;
    quote[9] = IPPROTO_UDP;
    inet_pton(AF_INET, side.laptop, &quote[12]);
    inet_pton(AF_INET, side.server, &quote[16]);
  }
  const size_t ports = quote.size() - 8;
  quote[ports] = static_cast<uint8_t>(source >> 8);
  quote[ports + 1] = static_cast<uint8_t>(source);
  quote[ports + 3] = 9;
  quote[ports + 5] = 8;
  packet.insert(packet.end(), quote.begin(), quote.end());
  if (!six) {
    const uint16_t sum = checksum(packet.data(), packet.size());
    packet[2] = static_cast<uint8_t>(sum >> 8);
    packet[3] = static_cast<uint8_t>(sum);
  }
  inside(office.server, [&] {
    const Fd raw(::socket(six ? AF_INET6 : AF_INET, SOCK_RAW,
                          six ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP}));
    EXPECT_EQ(send_to(raw, side.laptop, 0, {packet.begin(), packet.end()}), 0);
  });
}

SCENE(lan, icmp_error) {
  for_both([](const Side& side) {
    Office office(std::string("icmp-error-") + side.name);
    office.up("  - {id: all, from: [laptop], to: [lan], proto: [udp]}");
    const Fd socket = udp_socket(office.laptop, side.laptop);
    // A real one: nobody listens there. A connected socket hears the error.
    const auto related = office.gateway->verdicts("related");
    sockaddr_storage to{};
    auto* four = reinterpret_cast<sockaddr_in*>(&to);
    auto* six = reinterpret_cast<sockaddr_in6*>(&to);
    if (&side == &kV4) {
      *four = {AF_INET, htons(9), {}, {}};
      inet_pton(AF_INET, side.server, &four->sin_addr);
    } else {
      six->sin6_family = AF_INET6;
      six->sin6_port = htons(9);
      inet_pton(AF_INET6, side.server, &six->sin6_addr);
    }
    const Fd connected = udp_socket(office.laptop, side.laptop);
    ASSERT_EQ(::connect(connected.raw(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    EXPECT_TRUE(eventually([&] {
      return ::send(connected.raw(), "x", 1, 0) < 0 && errno == ECONNREFUSED;
    })) << office.gateway->dump();
    EXPECT_GT(office.gateway->verdicts("related"), related);

    // A forged one about a flow that nobody knows.
    const auto stray = office.gateway->verdicts("icmp_no_flow");
    for (int i = 0; i < 5; ++i) forge_error(office, side, 4);
    EXPECT_TRUE(
        eventually([&] { return office.gateway->verdicts("icmp_no_flow") == stray + 5; }, 3s))
        << office.gateway->dump();
    // The same about a known one passes: it is the flow that counts.
    const auto again = office.gateway->verdicts("related");
    forge_error(office, side, port_of(connected));
    EXPECT_TRUE(eventually([&] { return office.gateway->verdicts("related") > again; }, 3s));
  });
}

}  // namespace
}  // namespace sallyport::scene
