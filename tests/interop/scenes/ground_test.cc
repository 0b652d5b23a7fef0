// SPDX-License-Identifier: BSD-3-Clause
// The ground itself: two stock nodes on it behave as they do on the internet. Drawn in ground.h.
#include "tests/interop/scenes/ground.h"

#include <gtest/gtest.h>

#include "tests/interop/scenes/stock.h"
#include "tests/support/scene/rung.h"

namespace sallyport::scene {
namespace {

// Two stock nodes behind two home routers need 5 s where their first probes cross.
constexpr std::chrono::milliseconds kDirectLimit = 20s;
constexpr std::chrono::milliseconds kStays = 6s;
// A node asks for its own address every 20 to 26 s.
constexpr std::chrono::milliseconds kNextStun = 60s;

class interop_ground : public Played {};

struct Pair {
  Pair(const std::string& scene, const std::vector<Nat>& near, const std::vector<Nat>& far)
      : ground(scene),
        a_host(ground.host("near", near)),
        b_host(ground.host("far", far)),
        a(ground, a_host, "near"),
        b(ground, b_host, "far") {
    a.up();
    b.up();
    EXPECT_TRUE(eventually([&] { return a.peer(b.ip()).is_object(); })) << dump();
    b.ask("listen", {{"type", "tcp"}, {"port", 80}});
  }
  void expect_data() { a.ask("echo", {{"to", b.ip() + ":80"}, {"bytes", 100'000}}, 30s); }
  bool direct(std::chrono::milliseconds limit) {
    return eventually(
        [&] {
          a.nudge(b.ip());
          return !a.direct_to(b.ip()).empty();
        },
        limit);
  }
  std::string dump() { return ground.dump() + a.dump() + b.dump(); }

  Ground ground;
  Ground::Host a_host, b_host;
  Stock a, b;
};

void becomes_direct(const std::string& scene, const std::vector<Nat>& near,
                    const std::vector<Nat>& far) {
  Pair pair(scene, near, far);
  pair.expect_data();
  EXPECT_TRUE(pair.direct(kDirectLimit)) << pair.dump();
  pair.expect_data();
}

void stays_on_derp(const std::string& scene, const std::vector<Nat>& near,
                   const std::vector<Nat>& far) {
  Pair pair(scene, near, far);
  pair.expect_data();
  EXPECT_FALSE(pair.direct(kStays)) << pair.dump();
  pair.expect_data();
  EXPECT_NE(pair.a.peer(pair.b.ip()).value("Relay", ""), "") << pair.dump();
}

TEST_F(interop_ground, direct_without_nat) { becomes_direct("flat", {}, {}); }
TEST_F(interop_ground, direct_between_easy_nats) {
  becomes_direct("easy", {Nat::kEasy}, {Nat::kEasy});
}
TEST_F(interop_ground, direct_through_two_nats) {
  becomes_direct("double", {Nat::kEasy, Nat::kEasy}, {Nat::kEasy});
}
TEST_F(interop_ground, relayed_between_hard_nats) {
  stays_on_derp("hard", {Nat::kHard}, {Nat::kHard});
}
TEST_F(interop_ground, relayed_between_an_easy_and_a_hard_nat) {
  stays_on_derp("mixed", {Nat::kEasy}, {Nat::kHard});
}
TEST_F(interop_ground, relayed_without_udp) { stays_on_derp("noudp", {Nat::kNoUdp}, {}); }

TEST_F(interop_ground, a_router_forgets) {
  Pair pair("forgets", {Nat::kEasy}, {Nat::kEasy});
  ASSERT_TRUE(pair.direct(kDirectLimit)) << pair.dump();
  const std::string before = pair.a.direct_to(pair.b.ip());
  Ground::forget_mappings(pair.b_host.routers.back());
  EXPECT_TRUE(eventually(
      [&] {
        pair.a.nudge(pair.b.ip());
        const std::string now = pair.a.direct_to(pair.b.ip());
        return !now.empty() && now != before;
      },
      kNextStun))
      << pair.dump();
  pair.expect_data();
}

TEST_F(interop_ground, a_direction_is_cut) {
  Pair pair("cut", {Nat::kEasy}, {Nat::kEasy});
  ASSERT_TRUE(pair.direct(kDirectLimit)) << pair.dump();
  const std::string router = pair.b_host.routers.back();
  Ground::drop(router, "ip daddr " + Ground::out_address(pair.a_host) + " meta l4proto udp");
  EXPECT_TRUE(eventually([&] {
    pair.a.nudge(pair.b.ip());
    return pair.a.direct_to(pair.b.ip()).empty();
  })) << pair.dump();
  pair.expect_data();
  Ground::admit(router);
  EXPECT_TRUE(pair.direct(kDirectLimit)) << pair.dump();
}

}  // namespace
}  // namespace sallyport::scene
