// SPDX-License-Identifier: BSD-3-Clause
// A stock client behind a NAT reaches the corporate LAN, and the internet, through our gateway
// behind another: encrypted, the first packets by DERP, then over a path through both NATs.
//
//   server -- gateway -- NAT -- internet: control, DERP, STUN -- NAT -- laptop (stock)
#include <gtest/gtest.h>

#include "tests/interop/scenes/branch.h"
#include "tests/support/scene/rung.h"
#include "tests/support/scene/traffic.h"

namespace sallyport::scene {
namespace {

class scene_subnet : public Played {};
class scene_exit : public Played {};
class scene_peer : public Played {};

const std::vector<Nat> kEasy{Nat::kEasy};

std::string at(const std::string& address, uint16_t port) {
  return address + ":" + std::to_string(port);
}

TEST_F(scene_subnet, tcp) {
  Tailnet tailnet("subnet-tcp", kEasy, kEasy);
  const EchoServer server(tailnet.branch.server, kLanServer);
  tailnet.laptop.ask("echo", {{"to", at(kLanServer, server.port())}, {"bytes", 100'000}}, 30s);
  EXPECT_EQ(server.last_client(), "10.0.0.1");
  EXPECT_TRUE(tailnet.direct()) << tailnet.dump();
  tailnet.laptop.ask("echo", {{"to", at(kLanServer, server.port())}, {"bytes", 100'000}}, 30s);
  tailnet.expect_page();
  EXPECT_GT(tailnet.branch.gateway.verdicts("rule"), 0U) << tailnet.dump();
}

TEST_F(scene_subnet, udp) {
  Tailnet tailnet("subnet-udp", kEasy, kEasy);
  const EchoServer server(tailnet.branch.server, kLanServer);
  const auto expect_datagrams = [&] {
    for (const int bytes : {1, 200, 1200}) {
      tailnet.laptop.ask("datagrams", {{"to", at(kLanServer, server.port())}, {"bytes", bytes}});
    }
  };
  expect_datagrams();
  EXPECT_TRUE(tailnet.direct()) << tailnet.dump();
  expect_datagrams();
}

TEST_F(scene_subnet, ping) {
  Tailnet tailnet("subnet-ping", kEasy, kEasy);
  const auto expect_answers = [&] {
    tailnet.laptop.ask("ping", {{"to", kLanServer}, {"type", "icmp"}});
    tailnet.laptop.ask("ping", {{"to", tailnet.branch.ip()}, {"type", "icmp"}});
    tailnet.laptop.ask("ping", {{"to", tailnet.branch.ip()}, {"type", "disco"}});
    ASSERT_FALSE(HasFailure()) << tailnet.dump();
  };
  expect_answers();
  EXPECT_TRUE(tailnet.direct()) << tailnet.dump();
  expect_answers();
}

TEST_F(scene_subnet, large) {
  Tailnet tailnet("subnet-large", kEasy, kEasy);
  constexpr size_t kBytes = 1'000'000;
  tailnet.expect_page(kBytes);
  EXPECT_TRUE(tailnet.direct()) << tailnet.dump();
  tailnet.expect_page(kBytes);
}

TEST_F(scene_exit, tcp) {
  Tailnet tailnet("exit-tcp", kEasy, kEasy);
  const EchoServer server(tailnet.ground.internet, kInternetHost);
  const std::string to = at(kInternetHost, server.port());
  // The laptop has its own way too: which one was taken shows at the server.
  ASSERT_EQ(tcp_connect(tailnet.laptop.netns(), kInternetHost, server.port()).error, 0);
  EXPECT_TRUE(
      eventually([&] { return server.last_client() == Ground::out_address(tailnet.laptop_host); }));
  tailnet.laptop.set({.exit_node = tailnet.branch.ip()});
  tailnet.laptop.ask("echo", {{"to", to}, {"bytes", 100'000}}, 30s);
  EXPECT_EQ(server.last_client(), Ground::out_address(tailnet.branch.host)) << tailnet.dump();
  EXPECT_TRUE(tailnet.direct()) << tailnet.dump();
  tailnet.laptop.ask("echo", {{"to", to}, {"bytes", 100'000}}, 30s);
  EXPECT_EQ(server.last_client(), Ground::out_address(tailnet.branch.host)) << tailnet.dump();
}

TEST_F(scene_peer, both_ways) {
  Tailnet tailnet("both-ways", kEasy, kEasy);
  constexpr uint16_t kPort = 8080;
  tailnet.laptop.ask("listen", {{"type", "tcp"}, {"port", kPort}});
  const uint16_t datagrams = tailnet.laptop.ask("listen", {{"type", "udp"}, {"port", 0}})["port"];
  const auto expect_answers = [&] {
    const Connection open = tcp_connect(tailnet.branch.server, tailnet.laptop.ip(), kPort);
    ASSERT_EQ(open.error, 0) << tailnet.dump();
    EXPECT_TRUE(tcp_echo(open.socket, 100'000)) << tailnet.dump();
    const Fd socket = udp_socket(tailnet.branch.server, kLanServer);
    std::optional<Datagram> answer;
    EXPECT_TRUE(eventually(
        [&] {
          send_to(socket, tailnet.laptop.ip(), datagrams, "hello");
          return (answer = receive(socket, 500ms)).has_value();
        },
        10s))
        << tailnet.dump();
    EXPECT_EQ(answer.value_or(Datagram{}).payload, "hello");
    EXPECT_EQ(pings(tailnet.branch.server, tailnet.laptop.ip(), 3), 3) << tailnet.dump();
  };
  expect_answers();
  EXPECT_TRUE(tailnet.direct()) << tailnet.dump();
  expect_answers();
  tailnet.expect_page();
}

}  // namespace
}  // namespace sallyport::scene
