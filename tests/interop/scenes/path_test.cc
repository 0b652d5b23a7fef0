// SPDX-License-Identifier: BSD-3-Clause
// Which way the packets go, by what lies between, and how soon they go another way. Between a stock
// client and our gateway, as between two stock ones:
//
//   server -- gateway -- { NATs } -- internet: control, DERP, STUN -- { NATs } -- laptop (stock)
#include <gtest/gtest.h>

#include "tests/interop/scenes/branch.h"
#include "tests/support/scene/rung.h"
#include "tests/support/scene/traffic.h"

namespace sallyport::scene {
namespace {

class scene_path : public Played {};

constexpr std::chrono::milliseconds kDataAgain = 8s;

void becomes_direct(const std::string& scene, const std::vector<Nat>& gateway,
                    const std::vector<Nat>& laptop) {
  Tailnet tailnet(scene, gateway, laptop);
  tailnet.expect_page();
  EXPECT_TRUE(tailnet.direct()) << tailnet.dump();
  tailnet.expect_page();
}

void stays_on_derp(const std::string& scene, const std::vector<Nat>& gateway,
                   const std::vector<Nat>& laptop) {
  Tailnet tailnet(scene, gateway, laptop);
  tailnet.expect_page();
  EXPECT_TRUE(tailnet.stays_relayed()) << tailnet.dump();
  tailnet.expect_page(200'000);
}

TEST_F(scene_path, no_nat) { becomes_direct("path-no-nat", {}, {}); }
TEST_F(scene_path, easy_easy) { becomes_direct("path-easy", {Nat::kEasy}, {Nat::kEasy}); }
TEST_F(scene_path, double_nat) {
  becomes_direct("path-double", {Nat::kEasy, Nat::kEasy}, {Nat::kEasy, Nat::kEasy});
}
// The reference too gets through a hard NAT only where the other side's filters let it.
TEST_F(scene_path, easy_hard) {
  becomes_direct("path-open-hard", {}, {Nat::kHard});
  becomes_direct("path-hard-open", {Nat::kHard}, {});
  stays_on_derp("path-easy-hard", {Nat::kEasy}, {Nat::kHard});
}
TEST_F(scene_path, hard_hard) { stays_on_derp("path-hard", {Nat::kHard}, {Nat::kHard}); }
TEST_F(scene_path, udp_blocked) {
  stays_on_derp("path-no-udp-here", {Nat::kNoUdp}, {Nat::kEasy});
  stays_on_derp("path-no-udp-there", {Nat::kEasy}, {Nat::kNoUdp});
}

/// Datagrams between laptop and LAN that go on while something happens.
struct Traffic {
  explicit Traffic(Tailnet& tailnet) : tailnet(tailnet), server(tailnet.branch.server, kLanServer) {
    tailnet.laptop.start("s", "udp", std::string(kLanServer) + ":" + std::to_string(server.port()));
    EXPECT_TRUE(tailnet.laptop.flowing("s", 100)) << tailnet.dump();
  }
  /// They flow again in time.
  void expect_again() {
    EXPECT_TRUE(tailnet.laptop.flowing("s", 100, kDataAgain))
        << tailnet.laptop.now("s").text() << tailnet.dump();
  }
  Tailnet& tailnet;
  const EchoServer server;
};

TEST_F(scene_path, rebind) {
  Tailnet tailnet("path-rebind", {Nat::kEasy}, {Nat::kEasy});
  EXPECT_TRUE(tailnet.direct()) << tailnet.dump();
  Traffic traffic(tailnet);
  for (const Ground::Host* side : {&tailnet.laptop_host, &tailnet.branch.host}) {
    SCOPED_TRACE(side->netns);
    Ground::forget_mappings(side->routers.back());
    traffic.expect_again();
  }
  EXPECT_TRUE(tailnet.direct(30s)) << tailnet.dump();
  traffic.expect_again();
}

/// Cuts the direct path in one direction, behind the gateway's router.
void one_way(const std::string& scene, const char* match) {
  Tailnet tailnet(scene, {Nat::kEasy}, {Nat::kEasy});
  ASSERT_TRUE(tailnet.direct()) << tailnet.dump();
  Traffic traffic(tailnet);
  const std::string router = tailnet.branch.host.routers.back();
  Ground::drop(router, std::string(match) + " " + Ground::out_address(tailnet.laptop_host) +
                           " meta l4proto udp");
  traffic.expect_again();
  tailnet.expect_page();
  Ground::admit(router);
  EXPECT_TRUE(tailnet.direct(60s)) << tailnet.dump();
  traffic.expect_again();
}
// Our way out is cut, and the peer's way in works; and the reverse.
TEST_F(scene_path, one_way_out) { one_way("path-one-way-out", "ip daddr"); }
TEST_F(scene_path, one_way_in) { one_way("path-one-way-in", "ip saddr"); }

}  // namespace
}  // namespace sallyport::scene
