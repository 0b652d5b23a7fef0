// SPDX-License-Identifier: BSD-3-Clause
// From the laptop to the LAN and back: what a rule allows passes, what none allows is answered and
// counted. The topology is drawn in tests/support/scene/office.h.
#include <gtest/gtest.h>

#include "tests/support/scene/office.h"

namespace sallyport::scene {
namespace {

constexpr std::chrono::milliseconds kSilence = 1500ms;

std::string ports(uint16_t a) { return std::to_string(a); }

void for_both(const std::function<void(const Side&)>& scene) {
  for (const Side* side : {&kV4, &kV6}) {
    SCOPED_TRACE(side->name);
    scene(*side);
  }
}

SCENE(lan, tcp) {
  Office office("lan-tcp");
  const EchoServer v4(office.server, kV4.server), v6(office.server, kV6.server);
  office.up("  - {id: web, from: [laptop], to: [lan], proto: [tcp], ports: [" + ports(v4.port()) +
            ", " + ports(v6.port()) + "]}");
  for_both([&](const Side& side) {
    const uint16_t port = &side == &kV4 ? v4.port() : v6.port();
    const auto allowed = office.gateway->verdicts("rule");
    const Connection open = tcp_connect(office.laptop, side.server, port);
    ASSERT_EQ(open.error, 0) << office.gateway->dump();
    EXPECT_TRUE(tcp_echo(open.socket, 300'000)) << office.gateway->dump();
    EXPECT_GT(office.gateway->verdicts("rule"), allowed);
    EXPECT_EQ((&side == &kV4 ? v4 : v6).last_client(), side.laptop);

    // Another port of the same host: no.
    const auto denied = office.gateway->verdicts("no_rule");
    EXPECT_EQ(tcp_connect(office.laptop, side.server, 1).error, ECONNREFUSED);
    EXPECT_EQ(office.gateway->verdicts("no_rule"), denied + 1);
    EXPECT_EQ(tcp_connect(office.laptop, side.server, port).error, 0) << office.gateway->dump();
  });
}

SCENE(lan, udp) {
  Office office("lan-udp");
  const EchoServer v4(office.server, kV4.server), v6(office.server, kV6.server);
  office.up("  - {id: dns, from: [laptop], to: [lan], proto: [udp], ports: [" + ports(v4.port()) +
            ", " + ports(v6.port()) + "]}");
  for_both([&](const Side& side) {
    const EchoServer& server = &side == &kV4 ? v4 : v6;
    const Fd socket = udp_socket(office.laptop, side.laptop);
    for (const size_t size : {size_t{1}, size_t{200}, size_t{1300}}) {
      ASSERT_EQ(send_to(socket, side.server, server.port(), std::string(size, 'x')), 0);
      const auto answer = receive(socket, 5s);
      ASSERT_TRUE(answer) << office.gateway->dump();
      EXPECT_EQ(answer->payload.size(), size);
      EXPECT_EQ(answer->from, side.server);
    }
    const auto denied = office.gateway->verdicts("no_rule");
    ASSERT_EQ(send_to(socket, side.server, 9, "x"), 0);
    EXPECT_FALSE(receive(socket, kSilence));
    EXPECT_EQ(office.gateway->verdicts("no_rule"), denied + 1);
    ASSERT_EQ(send_to(socket, side.server, server.port(), "x"), 0);
    EXPECT_TRUE(receive(socket, 5s)) << office.gateway->dump();
  });
}

SCENE(lan, ping) {
  Office office("lan-ping");
  office.up("  - {id: echo, from: [laptop], to: [lan], proto: [icmp, icmpv6]}");
  for_both([&](const Side& side) {
    EXPECT_EQ(pings(office.laptop, side.server, 3), 3) << office.gateway->dump();
    // Nobody allowed the gateway's own tunnel address.
    const auto denied = office.gateway->verdicts("no_rule");
    EXPECT_EQ(pings(office.laptop, side.gateway, 1, kSilence), 0);
    EXPECT_EQ(office.gateway->verdicts("no_rule"), denied + 1);
    EXPECT_EQ(pings(office.laptop, side.server), 1) << office.gateway->dump();
  });
}

SCENE(lan, denied) {
  Office office("lan-denied");
  const EchoServer v4(office.server, kV4.server), v6(office.server, kV6.server);
  const EchoServer closed4(office.server, kV4.server), closed6(office.server, kV6.server);
  office.up("  - {id: web, from: [laptop], to: [lan], proto: [tcp], ports: [" + ports(v4.port()) +
            ", " + ports(v6.port()) + "]}");
  for_both([&](const Side& side) {
    const uint16_t open = (&side == &kV4 ? v4 : v6).port();
    const uint16_t closed = (&side == &kV4 ? closed4 : closed6).port();
    EXPECT_EQ(tcp_connect(office.laptop, side.server, open).error, 0) << office.gateway->dump();

    const auto before = office.gateway->verdicts("no_rule");
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(tcp_connect(office.laptop, side.server, closed).error, ECONNREFUSED)
          << office.gateway->dump();
    }
    EXPECT_EQ(office.gateway->verdicts("no_rule"), before + 3);

    // Why? Both ways to ask give the same answer.
    const auto drops = office.gateway->json({"drops"});
    bool named = false;
    for (const auto& drop : drops.at("drops")) {
      const std::string to = drop.at("dst");
      if (to.find(":" + std::to_string(closed)) == std::string::npos) continue;
      if (to.find(side.server) == std::string::npos) continue;
      named = true;
      EXPECT_EQ(drop.at("reason"), "no_rule") << drop;
      EXPECT_EQ(drop.at("peer"), "laptop") << drop;
      EXPECT_EQ(drop.at("count"), 3) << drop;
    }
    EXPECT_TRUE(named) << drops.dump(1);
    const std::string target = side.server == kV6.server
                                   ? "[" + std::string(side.server) + "]:" + ports(closed)
                                   : std::string(side.server) + ":" + ports(closed);
    const Output why = office.gateway->cli({"--json", "explain", "laptop", target, "tcp"});
    EXPECT_EQ(why.exit, 10) << why.out << why.err;
    const auto answer = nlohmann::json::parse(why.out, nullptr, false);
    ASSERT_FALSE(answer.is_discarded()) << why.out << why.err;
    EXPECT_EQ(answer.at("verdict"), "deny");
    EXPECT_EQ(answer.at("reason"), "no_rule");

    EXPECT_EQ(tcp_connect(office.laptop, side.server, open).error, 0) << office.gateway->dump();
  });
}

SCENE(lan, to_peer) {
  Office office("lan-to-peer");
  // A server on the laptop that the LAN may reach, and a second port that it may not.
  office.up(
      "  - {id: support, from: [lan], to: [laptop], proto: [tcp], ports: [5900]}\n"
      "  - {id: hello, from: [laptop], to: [lan], proto: [icmp]}");
  const EchoServer v4(office.laptop, kV4.laptop, 5900), v6(office.laptop, kV6.laptop, 5900);
  const EchoServer other4(office.laptop, kV4.laptop, 5901), other6(office.laptop, kV6.laptop, 5901);
  for_both([&](const Side& side) {
    // The tunnel has to know where the laptop is.
    ASSERT_EQ(pings(office.laptop, side.server), 1) << office.gateway->dump();
    const Connection open = tcp_connect(office.server, side.laptop, 5900);
    ASSERT_EQ(open.error, 0) << office.gateway->dump();
    EXPECT_TRUE(tcp_echo(open.socket, 100'000)) << office.gateway->dump();
    // A SYN may be sent again, a datagram is not.
    EXPECT_NE(tcp_connect(office.server, side.laptop, 5901, kSilence).error, 0);
    const auto denied = office.gateway->verdicts("no_rule");
    const Fd datagrams = udp_socket(office.server, side.server);
    for (int i = 0; i < 5; ++i) ASSERT_EQ(send_to(datagrams, side.laptop, 5900, "x"), 0);
    EXPECT_FALSE(receive(datagrams, kSilence));
    EXPECT_EQ(office.gateway->verdicts("no_rule"), denied + 5) << office.gateway->dump();
    EXPECT_EQ(tcp_connect(office.server, side.laptop, 5900).error, 0) << office.gateway->dump();
  });
}

void snat_scene(bool on) {
  Office office(on ? "snat-on" : "snat-off");
  office.snat = on;
  const EchoServer v4(office.server, kV4.server), v6(office.server, kV6.server);
  office.up("  - {id: all, from: [laptop], to: [lan]}");
  for_both([&](const Side& side) {
    const EchoServer& server = &side == &kV4 ? v4 : v6;
    const std::string expected = on ? side.gateway_lan : side.laptop;
    const Connection tcp = tcp_connect(office.laptop, side.server, server.port());
    ASSERT_EQ(tcp.error, 0) << office.gateway->dump();
    EXPECT_TRUE(tcp_echo(tcp.socket, 1000));
    EXPECT_EQ(server.last_client(), expected);
    const Fd socket = udp_socket(office.laptop, side.laptop);
    ASSERT_EQ(send_to(socket, side.server, server.port(), "hello"), 0);
    ASSERT_TRUE(receive(socket, 5s)) << office.gateway->dump();
    EXPECT_EQ(server.last_client(), expected);
  });
}
SCENE(lan, snat_on) { snat_scene(true); }
SCENE(lan, snat_off) { snat_scene(false); }

SCENE(lan, frag) {
  Office office("lan-frag");
  const EchoServer v4(office.server, kV4.server), v6(office.server, kV6.server);
  office.up("  - {id: udp, from: [laptop], to: [lan], proto: [udp], ports: [" + ports(v4.port()) +
            ", " + ports(v6.port()) + "]}");
  for_both([&](const Side& side) {
    const EchoServer& server = &side == &kV4 ? v4 : v6;
    const Fd socket = udp_socket(office.laptop, side.laptop);
    for (const size_t size : {size_t{1400}, size_t{4000}}) {
      // The server's first answer may be lost: 1500 bytes do not fit into the tunnel, and only the
      // error about it teaches the server so.
      std::optional<Datagram> answer;
      for (int i = 0; i < 3 && !answer; ++i) {
        ASSERT_EQ(send_to(socket, side.server, server.port(), std::string(size, 'f')), 0);
        answer = receive(socket, 2s);
      }
      ASSERT_TRUE(answer) << size << office.gateway->dump();
      EXPECT_EQ(answer->payload.size(), size);
    }
    EXPECT_GT(office.gateway->verdicts("fragment"), 0U);
    // The later fragments of a denied packet are denied as what they are.
    const auto first = office.gateway->verdicts("no_rule");
    const auto later = office.gateway->verdicts("fragment_denied");
    ASSERT_EQ(send_to(socket, side.server, 9, std::string(4000, 'f')), 0);
    EXPECT_FALSE(receive(socket, kSilence));
    EXPECT_EQ(office.gateway->verdicts("no_rule"), first + 1);
    EXPECT_EQ(office.gateway->verdicts("fragment_denied"), later + 2);
    ASSERT_EQ(send_to(socket, side.server, server.port(), std::string(4000, 'f')), 0);
    EXPECT_TRUE(receive(socket, 5s)) << office.gateway->dump();
  });
}

}  // namespace
}  // namespace sallyport::scene
