// SPDX-License-Identifier: BSD-3-Clause
// Two ends of a tunnel on an internet with NATs and faults. Most run with 200 seeds, against
// an end of ours and against one that does as a stock client; a failing seed is printed and replays
// exactly: SALLYPORT_SIM_SEED=N.
#include <gtest/gtest.h>

#include "tests/sim/pair.h"

namespace sallyport::sim {
namespace {

/// Boxes and logins are sealed and opened there.
uint64_t seeds_of(const Scene& scene) { return scene.whole ? kWholeSeeds : kSeeds; }

void becomes_direct(const Scene& scene, Duration within) {
  const auto run = [&](uint64_t seed) {
    Pair pair(scene, seed);
    pair.talk(100ms, 10s);
    pair.net.clock.run(within);
    EXPECT_TRUE(pair.left->direct()) << "ours";
    EXPECT_TRUE(pair.right->direct()) << "the other";
    pair.net.clock.run(11s - within);
    EXPECT_EQ(pair.left->received.size(), pair.right->sent) << "nothing is lost on the way";
    EXPECT_EQ(pair.right->received.size(), pair.left->sent);
  };
  each_seed(run, seeds_of(scene));
}

constexpr auto kEasy = NatKind::kPortRestricted;
constexpr auto kHard = NatKind::kSymmetric;

TEST(paths, no_nat) { becomes_direct({}, 1s); }
TEST(paths, no_nat_stock) { becomes_direct({.stock = true}, 1s); }
TEST(paths, easy_easy) { becomes_direct({kEasy, kEasy}, 1s); }
TEST(paths, easy_easy_stock) { becomes_direct({kEasy, kEasy, true}, 1s); }
TEST(paths, easy_none_stock) { becomes_direct({kEasy, NatKind::kNone, true}, 1s); }
TEST(paths, none_hard) { becomes_direct({NatKind::kNone, kHard}, 1s); }
TEST(paths, none_hard_stock) { becomes_direct({NatKind::kNone, kHard, true}, 7s); }
TEST(paths, full_cone_hard) { becomes_direct({NatKind::kEndpointIndependent, kHard}, 1s); }

void stays_relayed(const Scene& scene, const std::function<void(Pair&)>& before) {
  const auto run = [&](uint64_t seed) {
    Pair pair(scene, seed);
    before(pair);
    pair.talk(200ms, 30s);
    pair.net.clock.run(31s);
    EXPECT_FALSE(pair.left->direct());
    EXPECT_EQ(pair.left->received.size(), pair.right->sent);
    EXPECT_EQ(pair.right->received.size(), pair.left->sent);
  };
  each_seed(run, seeds_of(scene));
}

TEST(paths, hard_hard) {
  stays_relayed({kHard, kHard}, [](Pair&) {});
}
TEST(paths, hard_hard_stock) {
  stays_relayed({kHard, kHard, true}, [](Pair&) {});
}
TEST(paths, udp_blocked) {
  stays_relayed({.stock = true}, [](Pair& pair) { pair.left->host.udp_blocked = true; });
}

constexpr Scene whole(NatKind left, NatKind right, bool stock) {
  return {.left_nat = left, .right_nat = right, .stock = stock, .whole = true};
}
TEST(whole_paths, no_nat) { becomes_direct(whole(NatKind::kNone, NatKind::kNone, false), 1s); }
TEST(whole_paths, no_nat_stock) { becomes_direct(whole(NatKind::kNone, NatKind::kNone, true), 1s); }
TEST(whole_paths, easy_easy) { becomes_direct(whole(kEasy, kEasy, false), 1s); }
TEST(whole_paths, easy_easy_stock) { becomes_direct(whole(kEasy, kEasy, true), 1s); }
TEST(whole_paths, none_hard) { becomes_direct(whole(NatKind::kNone, kHard, false), 1s); }
TEST(whole_paths, hard_hard) {
  stays_relayed(whole(kHard, kHard, false), [](Pair&) {});
}
TEST(whole_paths, hard_hard_stock) {
  stays_relayed(whole(kHard, kHard, true), [](Pair&) {});
}
TEST(whole_paths, udp_blocked) {
  stays_relayed(whole(kEasy, NatKind::kNone, true),
                [](Pair& pair) { pair.left->host.udp_blocked = true; });
}

/// Direct, with traffic; then the fault; from 8 s after it on, everything arrives again.
void recovers(const Scene& scene, const std::function<void(Pair&)>& fault) {
  const auto run = [&](uint64_t seed) {
    Pair pair(scene, seed);
    pair.talk(100ms, 30s);
    pair.net.clock.run(Duration(2s) + std::chrono::milliseconds(pair.net.random() % 3000));
    ASSERT_TRUE(pair.both_direct());
    fault(pair);
    pair.net.clock.run(8s);
    const Instant since = pair.net.clock.now();
    const uint64_t left = pair.left->sent;
    const uint64_t right = pair.right->sent;
    pair.net.clock.run(10s);
    EXPECT_GE(Pair::share(*pair.left, *pair.right, left, since), 99u) << "ours to the other";
    EXPECT_GE(Pair::share(*pair.right, *pair.left, right, since), 99u) << "the other to ours";
  };
  each_seed(run, seeds_of(scene));
}

struct Fault {
  const char* name;
  Scene scene;
  void (*happens)(Pair&);
};

class faults : public testing::TestWithParam<Fault> {};

TEST_P(faults, data_again_within_8_s) { recovers(GetParam().scene, GetParam().happens); }

void left_rebind(Pair& pair) { pair.left->host.rebind(); }
void right_rebind(Pair& pair) { pair.right->host.rebind(); }
void left_moves(Pair& pair) {
  pair.left->host.move(Pair::ip("10.9.0.1"), Pair::ip("198.51.100.77"));
  pair.left->on_network_changed();
}
void right_moves(Pair& pair) {
  pair.right->host.move(Pair::ip("10.9.1.2"), Pair::ip("203.0.113.77"));
  pair.right->on_network_changed();
}
void left_out(Pair& pair) { pair.left->host.out_cut = true; }
void left_in(Pair& pair) { pair.left->host.in_cut = true; }
void left_disco(Pair& pair) { pair.left->host.disco_cut = true; }
void left_udp(Pair& pair) { pair.left->host.udp_blocked = true; }
void derp_restarts(Pair& pair) {
  pair.net.set_derp(kRegion, false);
  pair.net.clock.after(5s, [&pair] { pair.net.set_derp(kRegion, true); });
}

INSTANTIATE_TEST_SUITE_P(
    paths, faults,
    testing::Values(Fault{"rebind", {kEasy, kEasy}, left_rebind},
                    Fault{"rebind_stock", {kEasy, kEasy, true}, left_rebind},
                    Fault{"peer_rebind_stock", {kEasy, kEasy, true}, right_rebind},
                    Fault{"wan_change", {kEasy, kEasy}, left_moves},
                    Fault{"wan_change_stock", {kEasy, kEasy, true}, left_moves},
                    Fault{"wan_change_no_nat", {}, left_moves},
                    Fault{"peer_wan_change_stock", {kEasy, kEasy, true}, right_moves},
                    Fault{"one_way_out", {kEasy, kEasy}, left_out},
                    Fault{"one_way_out_stock", {kEasy, kEasy, true}, left_out},
                    Fault{"one_way_in", {kEasy, kEasy}, left_in},
                    Fault{"one_way_in_stock", {kEasy, kEasy, true}, left_in},
                    Fault{"disco_cut_stock", {.stock = true}, left_disco},
                    Fault{"udp_cut", {.stock = true}, left_udp},
                    Fault{"derp_killed", {.stock = true}, derp_restarts},
                    Fault{"derp_killed_relayed", {kEasy, kEasy}, derp_restarts}),
    [](const auto& info) { return std::string(info.param.name); });

INSTANTIATE_TEST_SUITE_P(
    whole_paths, faults,
    testing::Values(Fault{"rebind", whole(kEasy, kEasy, false), left_rebind},
                    Fault{"rebind_stock", whole(kEasy, kEasy, true), left_rebind},
                    Fault{"peer_rebind_stock", whole(kEasy, kEasy, true), right_rebind},
                    Fault{"wan_change", whole(kEasy, kEasy, false), left_moves},
                    Fault{"wan_change_stock", whole(kEasy, kEasy, true), left_moves},
                    Fault{"peer_wan_change_stock", whole(kEasy, kEasy, true), right_moves},
                    Fault{"one_way_out", whole(kEasy, kEasy, false), left_out},
                    Fault{"one_way_out_stock", whole(kEasy, kEasy, true), left_out},
                    Fault{"one_way_in_stock", whole(kEasy, kEasy, true), left_in},
                    Fault{"disco_cut_stock", whole(NatKind::kNone, NatKind::kNone, true),
                          left_disco},
                    Fault{"udp_cut_stock", whole(NatKind::kNone, NatKind::kNone, true), left_udp},
                    Fault{"derp_killed", whole(kEasy, kEasy, false), derp_restarts}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(paths, one_seed_replays_exactly) {
  const auto run = [](uint64_t seed) {
    Pair pair({kEasy, kHard, true, 5}, seed);
    pair.talk(20ms, 10s);
    pair.net.clock.run(12s);
    return pair.net.trace();
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST(paths, a_switch_under_1000_packets_a_second_loses_none) {
  for (const bool stock : {false, true}) {
    each_seed(
        [&](uint64_t seed) {
          Pair pair({kEasy, kEasy, stock}, seed);
          pair.talk(1ms, 10s);
          pair.net.clock.run(2s);
          ASSERT_TRUE(pair.both_direct());
          pair.left->host.disco_cut = true;  // WireGuard still passes
          pair.net.clock.run(9s);
          EXPECT_FALSE(pair.left->direct()) << "back on DERP";
          EXPECT_EQ(pair.left->received.size(), pair.right->sent);
          EXPECT_EQ(pair.right->received.size(), pair.left->sent);
        },
        kSeeds / 40);
  }
}

TEST(paths, lossy_links_do_not_make_it_flap) {
  each_seed(
      [&](uint64_t seed) {
        Pair pair({NatKind::kNone, NatKind::kNone, true, 5}, seed);
        pair.talk(50ms, 120s);
        pair.net.clock.run(10s);
        const uint64_t before = pair.net.relayed();
        pair.net.clock.run(110s);
        // Ten per cent of the pings are lost each way; doubt sends copies, and that is its use.
        EXPECT_LT(pair.net.relayed() - before, pair.left->sent + pair.right->sent)
            << "mostly direct";
        EXPECT_TRUE(pair.left->direct());
      },
      kSeeds / 10);
}

TEST(paths, a_path_that_only_disco_gets_through_is_left) {
  each_seed([&](uint64_t seed) {
    Pair pair({.stock = true}, seed);
    auto& ours = dynamic_cast<OurEnd&>(*pair.left);
    ours.input_drops_wireguard = true;
    pair.talk(100ms, 15s);
    pair.net.clock.run(15s);
    EXPECT_FALSE(pair.left->direct());
    EXPECT_EQ(ours.disco_only, 1u);
  });
}

TEST(paths, idle_pairs_are_silent) {
  Pair pair({kEasy, kEasy}, 1);
  pair.talk(20ms, 1s);
  pair.net.clock.run(60s);
  const uint64_t trace = pair.net.trace();
  pair.net.clock.run(1h);
  EXPECT_EQ(pair.net.trace(), trace);
  EXPECT_FALSE(pair.left->direct());
}

}  // namespace
}  // namespace sallyport::sim
