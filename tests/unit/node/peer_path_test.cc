// SPDX-License-Identifier: BSD-3-Clause
// One path alone, told what happens; two of them against each other: tests/sim.
#include "agent/node/peer_path.h"

#include <gtest/gtest.h>

#include <utility>

#include "tests/support/seeded_random.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;

Endpoint at(const char* text) { return *Endpoint::parse(text); }
const Endpoint kHome = at("203.0.113.1:41641");
const Endpoint kLan = at("10.0.0.7:41641");
const Endpoint kOther = at("203.0.113.9:2000");
const IpAddress kOurs = *IpAddress::parse("198.51.100.1");
constexpr uint16_t kRegion = 900;
const DirectPath kDirect{kHome, kOurs, 3};
using Endpoints = std::vector<Endpoint>;

template <class Action>
std::vector<Action> all(const PathActions& actions) {
  std::vector<Action> out;
  for (const PathAction& action : actions) {
    if (const auto* one = std::get_if<Action>(&action)) out.push_back(*one);
  }
  return out;
}
Endpoints pinged(const PathActions& actions) {
  Endpoints out;
  for (const SendPing& ping : all<SendPing>(actions)) {
    if (const auto* endpoint = std::get_if<Endpoint>(&ping.to)) out.push_back(*endpoint);
  }
  return out;
}

class peer_path : public testing::Test {
 protected:
  peer_path() { path_.on_peer(peer(), now_); }
  static PathPeer peer(Endpoints endpoints = {kHome}) {
    PathPeer out;
    out.node_key.bytes[0] = 1;
    out.disco_key.bytes[0] = 2;
    out.home_region = kRegion;
    out.endpoints = std::move(endpoints);
    return out;
  }
  static DiscoSource udp(const Endpoint& from) { return UdpArrival{from, kOurs, 3}; }

  /// Lets time pass, waking the machine whenever it asks for it; what it did.
  PathActions run(Duration length) {
    const Instant end = now_ + length;
    PathActions out;
    int wakes = 0;
    while (const auto next = path_.next_wake()) {
      if (*next > end) break;
      EXPECT_LT(++wakes, 1000) << "it spins";
      if (wakes >= 1000) break;
      now_ = std::max(now_, *next);
      if (talking_) seen_.last_tx = seen_.last_rx = now_;
      if (sending_) seen_.last_tx = now_;
      for (PathAction& action : path_.on_wake(seen_, now_)) {
        if (const auto* ping = std::get_if<SendPing>(&action)) {
          const auto* to = std::get_if<Endpoint>(&ping->to);
          if (to != nullptr && answering_ == *to) {
            pongs_.push_back(ping->tx);
          }
        }
        out.push_back(std::move(action));
      }
      if (!pongs_.empty()) now_ += rtt_;
      for (const TxId& tx : std::exchange(pongs_, {})) {
        for (PathAction& action : path_.on_pong(tx, udp(*answering_), now_))
          out.push_back(std::move(action));
      }
    }
    now_ = std::max(now_, end);
    return out;
  }
  PathActions pong(const PathActions& pings, const Endpoint& from, Duration rtt = 10ms) {
    for (const SendPing& ping : all<SendPing>(pings)) {
      if (ping.to != PingTarget(from)) continue;
      now_ += rtt;
      return path_.on_pong(ping.tx, udp(from), now_);
    }
    ADD_FAILURE() << "no ping to " << from.text();
    return {};
  }
  /// Direct to kHome, with traffic both ways.
  void go_direct(Duration rtt = 10ms) {
    pong(path_.on_parked(now_), kHome, rtt);
    ASSERT_EQ(path_.state(), PathState::kDirect);
    seen_.last_tx = seen_.last_rx = now_;
    path_.on_wake(seen_, now_);
  }

  SeededRandom random_{1};
  PeerPath path_{random_};
  Instant now_{1h};
  PathObserved seen_;
  bool talking_ = false;
  bool sending_ = false;
  std::optional<Endpoint> answering_;
  Duration rtt_{};  // of what it answers
  std::vector<TxId> pongs_;
};

TEST_F(peer_path, a_cold_peer_costs_nothing) {
  EXPECT_EQ(path_.state(), PathState::kIdle);
  EXPECT_EQ(path_.next_wake(), std::nullopt);
  EXPECT_EQ(path_.relay_region(), kRegion);
}

TEST_F(peer_path, a_parked_packet_begins_discovery) {
  const auto did = path_.on_parked(now_);
  EXPECT_EQ(pinged(did), Endpoints{kHome});
  EXPECT_EQ(all<SendCallMeMaybe>(did), std::vector{SendCallMeMaybe{kRegion}});
  EXPECT_EQ(path_.state(), PathState::kProbing);
  EXPECT_TRUE(all<SetKernelPath>(did).empty()) << "it is parked already";
}

TEST_F(peer_path, probes_are_repeated_soon_and_then_with_the_gap) {
  path_.on_parked(now_);
  EXPECT_EQ(pinged(run(199ms)).size(), 0u);
  EXPECT_EQ(pinged(run(1ms)).size(), 1u);
  EXPECT_EQ(pinged(run(299ms)).size(), 0u);
  EXPECT_EQ(pinged(run(1ms)).size(), 1u);
  EXPECT_EQ(pinged(run(4499ms)).size(), 0u);
  const auto next = run(1ms);
  EXPECT_EQ(all<SendCallMeMaybe>(next).size(), 1u);
}

TEST_F(peer_path, a_pong_makes_it_direct) {
  const auto up = pong(path_.on_parked(now_), kHome);
  const auto set = all<SetKernelPath>(up);
  ASSERT_EQ(set.size(), 1u);
  EXPECT_EQ(set[0].path, (KernelPath{kDirect, {}}));
  EXPECT_EQ(set[0].steps, (std::vector<KernelStep>{SetPin{kDirect}, PointAt{kHome, false}}));
  EXPECT_EQ(path_.state(), PathState::kDirect);
  EXPECT_EQ(path_.rtt(), 10ms);
  EXPECT_EQ(all<PathChanged>(up), (std::vector{PathChanged{PathState::kDirect, kHome, 10ms, {}}}));
}

TEST_F(peer_path, a_pong_counts_only_for_where_it_came_from) {
  const auto ping = all<SendPing>(path_.on_parked(now_)).at(0);
  EXPECT_EQ(path_.on_pong(ping.tx, udp(kOther), now_ + 10ms), PathActions{});
  EXPECT_EQ(path_.on_pong(ping.tx, DerpRegionId{kRegion}, now_ + 10ms), PathActions{});
  TxId forged = ping.tx;
  forged[0] ^= 1;
  EXPECT_EQ(path_.on_pong(forged, udp(kHome), now_ + 10ms), PathActions{});
  EXPECT_EQ(path_.state(), PathState::kProbing);
  EXPECT_EQ(pong({ping}, kHome).empty(), false) << "the true one still counts";
  EXPECT_EQ(path_.on_pong(ping.tx, udp(kHome), now_), PathActions{}) << "once";
}

TEST_F(peer_path, a_late_pong_is_none) {
  const auto ping = all<SendPing>(path_.on_parked(now_)).at(0);
  run(kPingTimeout);
  EXPECT_EQ(path_.on_pong(ping.tx, udp(kHome), now_), PathActions{});
}

TEST_F(peer_path, a_ping_is_answered_where_it_came_from_and_pinged_back_at_once) {
  const TxId tx{7};
  EXPECT_EQ(path_.on_ping(tx, DerpRegionId{3}, now_), (PathActions{SendPong{tx, DerpRegionId{3}}}));
  path_.on_parked(now_);
  const auto did = path_.on_ping(tx, udp(kOther), now_);
  EXPECT_EQ(did.at(0), PathAction(SendPong{tx, udp(kOther)}));
  EXPECT_EQ(pinged(did), Endpoints{kOther});
  EXPECT_EQ(pinged(path_.on_ping(tx, udp(kOther), now_ + 199ms)), Endpoints{})
      << "two of us would ping each other for ever";
  pong(did, kOther);
  EXPECT_EQ(path_.endpoint(), kOther);
}

TEST_F(peer_path, where_the_peer_was_seen_its_direct_packets_look_relayed) {
  const auto did = path_.on_ping({1}, udp(kOther), now_);
  ASSERT_EQ(all<SetKernelPath>(did).size(), 1u);
  EXPECT_EQ(all<SetKernelPath>(did)[0].steps, std::vector<KernelStep>{SetReverse{kOther}});
  go_direct();
  EXPECT_EQ(path_.memory().kernel, (KernelPath{kDirect, {}}));
}

TEST_F(peer_path, call_me_maybe_is_answered_with_pings_only) {
  const auto did = path_.on_call_me_maybe(Endpoints{kOther}, now_);
  EXPECT_EQ(pinged(did), (Endpoints{kHome, kOther}));
  EXPECT_TRUE(all<SendCallMeMaybe>(did).empty());
  EXPECT_EQ(pinged(run(200ms)).size(), 2u);
  EXPECT_EQ(pinged(run(300ms)).size(), 2u);
  EXPECT_TRUE(all<SendCallMeMaybe>(run(4s)).empty());
}

TEST_F(peer_path, heartbeats_keep_it_while_there_is_traffic) {
  go_direct();
  talking_ = true;
  answering_ = kHome;
  const auto did = run(30s);
  EXPECT_EQ(pinged(did).size(), 10u);
  EXPECT_TRUE(all<SetKernelPath>(did).empty());
  EXPECT_TRUE(all<PathChanged>(did).empty());
}

TEST_F(peer_path, idle_after_45_s_it_goes_back_to_its_relay_address) {
  go_direct();
  answering_ = kHome;
  const auto did = run(kSessionActive + 1s);
  EXPECT_EQ(path_.state(), PathState::kIdle);
  const auto set = all<SetKernelPath>(did);
  ASSERT_EQ(set.size(), 1u);
  EXPECT_EQ(set[0].path, (KernelPath{{}, {kHome}}));
  EXPECT_EQ(set[0].steps, (std::vector<KernelStep>{ClearPin{}, SetReverse{kHome}, PointAt{}}));
  EXPECT_TRUE(all<Duplicate>(did).empty()) << "not by doubt";
  EXPECT_EQ(path_.next_wake(), std::nullopt);
}

TEST_F(peer_path, one_lost_heartbeat_raises_doubt_and_a_pong_ends_it) {
  go_direct();
  talking_ = true;
  const auto did = run(kHeartbeat + kPatience);
  EXPECT_EQ(path_.state(), PathState::kDoubt);
  EXPECT_EQ(all<Duplicate>(did), std::vector{Duplicate{true}});
  EXPECT_TRUE(all<SetKernelPath>(did).empty()) << "a lost heartbeat alone never flips";
  EXPECT_EQ(pinged(did).size(), 2u) << "the heartbeat and the first of the doubt";
  const auto more = run(300ms);
  EXPECT_EQ(pinged(more).size(), 2u) << "at 100 and 300 ms";
  const auto end = pong(more, kHome);
  EXPECT_EQ(path_.state(), PathState::kDirect);
  EXPECT_EQ(all<Duplicate>(end), std::vector{Duplicate{false}});
}

TEST_F(peer_path, while_packets_keep_coming_trust_ends_it_and_not_lost_pings) {
  go_direct();
  const Instant up = now_;
  talking_ = true;
  run(kTrustAfterPong - 1ms);
  EXPECT_EQ(path_.state(), PathState::kDoubt);
  const auto down = run(1ms);
  EXPECT_EQ(now_, up + kTrustAfterPong);
  ASSERT_EQ(all<SetKernelPath>(down).size(), 1u);
  EXPECT_EQ(all<SetKernelPath>(down)[0].path, (KernelPath{{}, {kHome}}));
  EXPECT_EQ(all<SendCallMeMaybe>(down).size(), 1u);
}

TEST_F(peer_path, silence_flips_within_three_seconds) {
  go_direct();
  talking_ = true;
  answering_ = kHome;
  run(10s);
  talking_ = false;
  sending_ = true;
  answering_.reset();
  const auto did = run(3s);
  EXPECT_EQ(path_.state(), PathState::kProbing);
  ASSERT_GE(all<PathChanged>(did).size(), 2u);
  EXPECT_EQ(all<PathChanged>(did)[0].cause, DoubtCause::kSilence);
  ASSERT_EQ(all<SetKernelPath>(did).size(), 1u);
  EXPECT_FALSE(all<SetKernelPath>(did)[0].path.direct);
}

TEST_F(peer_path, silence_that_a_pong_explains_is_not_asked_about_again) {
  go_direct();
  sending_ = true;
  answering_ = kHome;
  const auto did = run(40s);
  EXPECT_EQ(all<Duplicate>(did), (std::vector{Duplicate{true}, Duplicate{false}}));
  EXPECT_EQ(path_.state(), PathState::kDirect);
}

TEST_F(peer_path, a_long_round_trip_is_given_more_time) {
  go_direct(900ms);
  sending_ = true;
  run(2600ms);
  EXPECT_EQ(path_.state(), PathState::kDirect);
  run(1s);
  EXPECT_EQ(path_.state(), PathState::kDoubt);
}

TEST_F(peer_path, relayed_data_from_a_trusted_peer_raises_doubt_after_a_while) {
  go_direct();
  EXPECT_TRUE(all<Duplicate>(path_.on_derp_packet(kRegion, now_)).empty()) << "still on its way";
  talking_ = true;
  answering_ = kHome;
  run(2s);
  const auto did = path_.on_derp_packet(7, now_);
  EXPECT_EQ(path_.state(), PathState::kDoubt);
  pong(did, kHome);
  EXPECT_EQ(path_.relay_region(), 7) << "the peer's last packet came through it";
  EXPECT_TRUE(all<Duplicate>(path_.on_derp_packet(7, now_ + 1s)).empty()) << "not every time";
  EXPECT_EQ(path_.state(), PathState::kDirect);
}

TEST_F(peer_path, a_region_that_has_lost_the_peer_is_not_used_for_it) {
  path_.on_derp_packet(7, now_);
  path_.on_peer_gone(8);
  EXPECT_EQ(path_.relay_region(), 7);
  path_.on_peer_gone(7);
  EXPECT_EQ(path_.relay_region(), kRegion);
}

TEST_F(peer_path, a_changed_network_doubts_and_tries_everything) {
  path_.on_peer(peer({kHome, kLan}), now_);
  go_direct();
  const auto did = path_.on_network_changed(now_);
  EXPECT_EQ(path_.state(), PathState::kDoubt);
  EXPECT_EQ(all<SendCallMeMaybe>(did).size(), 1u);
  pong(did, kLan);
  EXPECT_EQ(path_.endpoint(), kLan) << "in doubt the first that answers wins";
  EXPECT_EQ(path_.state(), PathState::kDirect);
}

TEST_F(peer_path, a_pong_from_before_the_doubt_does_not_end_it) {
  go_direct();
  talking_ = true;
  const auto before = run(kHeartbeat);
  now_ += 1ms;
  path_.on_network_changed(now_);
  const auto heartbeat = all<SendPing>(before).at(0);
  path_.on_pong(heartbeat.tx, udp(kHome), now_ + 1ms);
  EXPECT_EQ(path_.state(), PathState::kDoubt);
}

TEST_F(peer_path, a_better_path_is_taken_and_a_worse_one_is_not) {
  path_.on_peer(peer({kHome, kLan}), now_);
  const auto pings = path_.on_parked(now_);
  pong(pings, kHome, 10ms);
  pong(pings, kLan, 1ms);
  EXPECT_EQ(path_.endpoint(), kLan) << "private";
  const auto back = path_.on_ping({1}, udp(kOther), now_);
  pong(back, kOther, 20ms);
  EXPECT_EQ(path_.endpoint(), kLan);
}

TEST_F(peer_path, a_slow_direct_path_looks_for_a_better_one_every_minute) {
  go_direct();
  talking_ = true;
  answering_ = kHome;
  rtt_ = 20ms;
  const auto did = run(121s);
  EXPECT_EQ(all<SendCallMeMaybe>(did).size(), 2u);
  rtt_ = 4ms;
  EXPECT_EQ(all<SendCallMeMaybe>(run(180s)).size(), 0u) << "good enough";
  EXPECT_EQ(path_.state(), PathState::kDirect);
}

TEST_F(peer_path, another_disco_key_forgets_what_was_proven) {
  go_direct();
  PathPeer restarted = peer();
  restarted.disco_key.bytes[0] = 99;
  const auto did = path_.on_peer(restarted, now_);
  EXPECT_EQ(path_.state(), PathState::kProbing);
  ASSERT_EQ(all<SetKernelPath>(did).size(), 1u);
  EXPECT_EQ(all<SetKernelPath>(did)[0].path, KernelPath{});
  EXPECT_EQ(pinged(did), Endpoints{kHome}) << "not waiting for the gap";
}

TEST_F(peer_path, packets_that_lead_nowhere_make_it_leave) {
  go_direct();
  sending_ = true;
  answering_ = kHome;
  PathActions did;
  for (int i = 0; i < 8 && path_.state() != PathState::kProbing; ++i) {
    seen_.wire_rx += 2;
    for (PathAction& action : run(500ms)) did.push_back(std::move(action));
  }
  EXPECT_EQ(all<DiscoOnly>(did), std::vector{DiscoOnly{kHome}});
  EXPECT_FALSE(path_.endpoint());
  EXPECT_EQ(pinged(run(30s)), Endpoints{}) << "barred";
}

TEST_F(peer_path, packets_that_arrive_do_not) {
  go_direct();
  talking_ = true;
  answering_ = kHome;
  for (int i = 0; i < 20; ++i) {
    seen_.wire_rx += 100;
    EXPECT_TRUE(all<DiscoOnly>(run(500ms)).empty());
  }
}

TEST_F(peer_path, a_quiet_sessions_handshakes_are_no_proof) {
  go_direct();
  sending_ = true;
  answering_ = kHome;
  for (int i = 0; i < 6; ++i) {
    seen_.wire_rx += 1;
    EXPECT_TRUE(all<DiscoOnly>(run(120s)).empty());
  }
}

TEST_F(peer_path, a_parked_packet_of_a_direct_peer_means_a_lost_race) {
  go_direct();
  EXPECT_TRUE(all<SetKernelPath>(path_.on_parked(now_)).empty()) << "parked before the switch";
  now_ += 500ms;
  const auto again = all<SetKernelPath>(path_.on_parked(now_));
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].steps, (std::vector<KernelStep>{SetPin{kDirect}, PointAt{kHome, true}}));
  EXPECT_TRUE(all<SetKernelPath>(path_.on_parked(now_ + 1ms)).empty());
}

TEST_F(peer_path, a_restart_goes_on_where_it_was) {
  go_direct();
  const PathMemory memory = path_.memory();
  PeerPath after(random_);
  after.on_peer(peer(), now_);
  const auto did = after.resume(memory, now_);
  EXPECT_EQ(after.state(), PathState::kDirect);
  EXPECT_TRUE(all<SetKernelPath>(did).empty());
  EXPECT_EQ(pinged(did), Endpoints{kHome});
  EXPECT_EQ(after.memory(), memory);
}

TEST_F(peer_path, asked_by_a_person_it_pings_the_way_in_use) {
  const auto relayed = all<SendPing>(path_.ask(false, now_));
  ASSERT_EQ(relayed.size(), 1u);
  EXPECT_EQ(relayed[0].to, PingTarget(DerpRegionId{kRegion}));
  const auto answer = path_.on_pong(relayed[0].tx, DerpRegionId{kRegion}, now_ + 30ms);
  EXPECT_EQ(all<PingAnswered>(answer),
            (std::vector{PingAnswered{relayed[0].tx, DerpRegionId{kRegion}, 30ms}}));
}

TEST_F(peer_path, a_peer_with_only_wireguard_has_its_endpoint_and_no_disco) {
  PeerPath path(random_);
  PathPeer plain = peer({kHome, kOther});
  plain.wireguard_only = true;
  const auto set = all<SetKernelPath>(path.on_peer(plain, now_));
  ASSERT_EQ(set.size(), 1u);
  EXPECT_EQ(set[0].path, (KernelPath{DirectPath{kHome, {}, 0}, {}}));
  EXPECT_EQ(path.on_ping({1}, udp(kHome), now_), PathActions{});
  EXPECT_EQ(path.relay_region(), 0);
  PathObserved seen;
  PathActions did;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(path.next_wake());
    now_ = *path.next_wake();
    if (!seen.last_tx) seen.last_tx = now_;
    for (PathAction& action : path.on_wake(seen, now_)) did.push_back(std::move(action));
  }
  ASSERT_EQ(all<SetKernelPath>(did).size(), 1u) << "the first does not answer";
  EXPECT_EQ(all<SetKernelPath>(did)[0].path.direct->peer, kOther);
}

}  // namespace
}  // namespace sallyport
