// SPDX-License-Identifier: BSD-3-Clause
// What changes at the control server ends what it forbids, and what fails beside the data path does
// not touch it.
//
//   server -- gateway -- NAT -- internet: control, DERP, STUN -- NAT -- laptop (stock)
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/interop/scenes/branch.h"
#include "tests/support/scene/rung.h"
#include "tests/support/scene/traffic.h"

namespace sallyport::scene {
namespace {

class scene_revoke : public Played {};
class scene_expired : public Played {};
class scene_jailed : public Played {};
class scene_control : public Played {};

const std::vector<Nat> kEasy{Nat::kEasy};
constexpr std::chrono::milliseconds kSilence = 1500ms;

bool full() { return std::getenv("SALLYPORT_TEST_FULL") != nullptr; }

std::string at(uint16_t port) { return std::string(kLanServer) + ":" + std::to_string(port); }

Json allow(const std::string& from, const std::vector<uint16_t>& ports) {
  Json destinations = Json::array();
  for (const uint16_t port : ports) {
    destinations.push_back({{"IP", kLanPrefix}, {"Ports", {{"First", port}, {"Last", port}}}});
  }
  return Json::array({{{"SrcIPs", {from}}, {"DstPorts", destinations}}});
}

/// Waits until nothing comes back any more, for a while.
bool ends(Stock& laptop, const std::string& flow, std::chrono::milliseconds limit = 5s) {
  return eventually([&] { return laptop.now(flow).silent >= kSilence; }, limit + kSilence);
}

TEST_F(scene_revoke, stream) {
  Tailnet tailnet("revoke-stream", kEasy, kEasy);
  const EchoServer cut(tailnet.branch.server, kLanServer);
  const EchoServer kept(tailnet.branch.server, kLanServer);
  ASSERT_TRUE(tailnet.direct()) << tailnet.dump();
  Stock& laptop = tailnet.laptop;
  laptop.start("cut-udp", "udp", at(cut.port()));
  laptop.start("cut-tcp", "tcp", at(cut.port()));
  laptop.start("kept-udp", "udp", at(kept.port()));
  laptop.start("kept-tcp", "tcp", at(kept.port()));
  for (const char* flow : {"cut-udp", "cut-tcp", "kept-udp", "kept-tcp"}) {
    EXPECT_TRUE(laptop.flowing(flow, 50)) << flow << tailnet.dump();
  }

  tailnet.ground.set_filter(tailnet.branch.key(), allow(laptop.ip(), {kept.port()}));
  EXPECT_TRUE(ends(laptop, "cut-udp")) << laptop.now("cut-udp").text() << tailnet.dump();
  EXPECT_TRUE(ends(laptop, "cut-tcp")) << laptop.now("cut-tcp").text() << tailnet.dump();
  // A denied packet has a reason, and the other flows have not noticed.
  EXPECT_GT(tailnet.branch.gateway.verdicts("revoked"), 0U) << tailnet.dump();
  for (const char* flow : {"kept-udp", "kept-tcp"}) {
    EXPECT_TRUE(laptop.flowing(flow, 50)) << flow << laptop.now(flow).text() << tailnet.dump();
  }
  EXPECT_FALSE(laptop.order("echo", {{"to", at(cut.port())}, {"bytes", 100}}, 3s));
  const Stock::Count count = laptop.stop("kept-udp");
  EXPECT_EQ(count.received, count.sent) << count.text();

  tailnet.ground.set_filter(tailnet.branch.key(), allow(laptop.ip(), {kept.port(), cut.port()}));
  EXPECT_TRUE(laptop.flowing("cut-udp", 50)) << tailnet.dump();
  laptop.ask("echo", {{"to", at(cut.port())}, {"bytes", 100}});
}

TEST_F(scene_revoke, peer_removed) {
  Tailnet tailnet("revoke-peer", kEasy, kEasy);
  const EchoServer server(tailnet.branch.server, kLanServer);
  ASSERT_TRUE(tailnet.direct()) << tailnet.dump();
  Stock& laptop = tailnet.laptop;
  laptop.start("udp", "udp", at(server.port()));
  EXPECT_TRUE(laptop.flowing("udp", 50)) << tailnet.dump();
  const int64_t id = tailnet.ground.node(laptop.key())["ID"];
  tailnet.ground.control("raw " + tailnet.branch.key() + R"( {"PeersRemoved":[)" +
                         std::to_string(id) + "]}");
  EXPECT_TRUE(ends(laptop, "udp")) << laptop.now("udp").text() << tailnet.dump();
  EXPECT_EQ(tailnet.branch.path_to(laptop.ip()), "");
}

TEST_F(scene_expired, peer) {
  Tailnet tailnet("expired", kEasy, kEasy);
  const EchoServer server(tailnet.branch.server, kLanServer);
  Stock& laptop = tailnet.laptop;
  laptop.start("udp", "udp", at(server.port()));
  EXPECT_TRUE(laptop.flowing("udp", 50)) << tailnet.dump();
  // Only the gateway is told: the laptop would end of itself.
  const auto expiry = [&](const char* when) {
    const Json patch{{"NodeID", tailnet.ground.node(laptop.key())["ID"]}, {"KeyExpiry", when}};
    tailnet.ground.control("raw " + tailnet.branch.key() + " " +
                           Json{{"PeersChangedPatch", Json::array({patch})}}.dump());
  };
  expiry("2020-01-01T00:00:00Z");
  EXPECT_TRUE(ends(laptop, "udp")) << laptop.now("udp").text() << tailnet.dump();
  expiry("2120-01-01T00:00:00Z");
  EXPECT_TRUE(laptop.flowing("udp", 50)) << laptop.now("udp").text() << tailnet.dump();
}

TEST_F(scene_jailed, peer) {
  Tailnet tailnet("jailed", kEasy, kEasy);
  const EchoServer server(tailnet.branch.server, kLanServer);
  constexpr uint16_t kPort = 8080;
  Stock& laptop = tailnet.laptop;
  laptop.ask("listen", {{"type", "tcp"}, {"port", kPort}});
  laptop.start("udp", "udp", at(server.port()));
  EXPECT_TRUE(laptop.flowing("udp", 50)) << tailnet.dump();
  const std::string both = tailnet.branch.key() + " " + laptop.key();
  tailnet.ground.control("jail " + both + " on");
  EXPECT_TRUE(ends(laptop, "udp")) << laptop.now("udp").text() << tailnet.dump();
  EXPECT_FALSE(laptop.order("echo", {{"to", at(server.port())}, {"bytes", 100}}, 3s));
  // It may still be asked.
  const Connection open = tcp_connect(tailnet.branch.server, laptop.ip(), kPort);
  EXPECT_EQ(open.error, 0) << tailnet.dump();
  EXPECT_TRUE(tcp_echo(open.socket, 1000)) << tailnet.dump();
  tailnet.ground.control("jail " + both + " off");
  EXPECT_TRUE(laptop.flowing("udp", 50)) << laptop.now("udp").text() << tailnet.dump();
}

TEST_F(scene_control, down) {
  Tailnet tailnet("control-down", kEasy, kEasy);
  ASSERT_TRUE(tailnet.direct()) << tailnet.dump();
  const EchoServer server(tailnet.branch.server, kLanServer);
  Stock& laptop = tailnet.laptop;
  laptop.start("udp", "udp", at(server.port()));
  tailnet.ground.control("stop");
  const auto end = Clock::now() + (full() ? 75s : 15s);
  // New flows all the time, and the one that was there.
  while (Clock::now() < end) {
    ASSERT_TRUE(laptop.flowing("udp", 100)) << tailnet.dump();
    tailnet.expect_page(2'000);
    if (testing::Test::HasFailure()) return;
  }
  tailnet.ground.control("start");
  const Stock::Count count = laptop.stop("udp");
  EXPECT_EQ(count.received, count.sent) << count.text();
  EXPECT_TRUE(eventually([&] {
    return tailnet.branch.gateway.json({"status"})["control"].value("connected", false);
  })) << tailnet.dump();
  tailnet.expect_page();
}

}  // namespace
}  // namespace sallyport::scene
