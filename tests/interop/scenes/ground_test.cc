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

class interop_ground : public Played {};

struct Pair {
  Pair(const std::string& scene, const std::vector<Nat>& near, const std::vector<Nat>& far)
      : ground(scene),
        a(ground, ground.host("near", near), "near"),
        b(ground, ground.host("far", far), "far") {
    a.up();
    b.up();
    EXPECT_TRUE(eventually([&] { return a.peer(b.ip()).is_object(); })) << dump();
    b.ask("listen", {{"type", "tcp"}, {"port", 80}});
  }
  void expect_data() { a.ask("echo", {{"to", b.ip() + ":80"}, {"bytes", 100'000}}, 30s); }
  bool direct(std::chrono::milliseconds limit) {
    return eventually(
        [&] {
          a.order("ping", {{"to", b.ip()}, {"type", "disco"}}, 2s);
          return !a.direct_to(b.ip()).empty();
        },
        limit);
  }
  std::string dump() { return ground.dump() + a.dump() + b.dump(); }

  Ground ground;
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

}  // namespace
}  // namespace sallyport::scene
