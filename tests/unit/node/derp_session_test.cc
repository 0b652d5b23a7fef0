// SPDX-License-Identifier: BSD-3-Clause
// One region's connection against a scripted server, and the pool of them.
#include "agent/node/derp_session.h"

#include <gtest/gtest.h>

#include "agent/node/derp_pool.h"
#include "tests/support/derp_login.h"
#include "tests/support/seeded_random.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;

DerpRegion region(uint16_t id, size_t nodes = 1) {
  DerpRegion out;
  out.id = id;
  out.nodes.resize(nodes);
  return out;
}
template <class Action>
std::vector<Action> all(const DerpActions& actions) {
  std::vector<Action> out;
  for (const DerpAction& action : actions) {
    if (const auto* one = std::get_if<Action>(&action)) out.push_back(*one);
  }
  return out;
}
class derp_session : public testing::Test {
 protected:
  DerpActions to_login() {
    const auto dials = all<DialDerp>(session_.open(now_));
    EXPECT_EQ(dials.size(), 1u);
    dial_ = dials.at(0).dial;
    return session_.on_connected(dial_, now_);
  }
  DerpActions to_up() {
    to_login();
    const auto sent = all<SendDerp>(session_.on_message(server_.hello(), now_));
    return session_.on_message(server_.answer(sent.at(0).frame), now_);
  }
  DerpActions wake() {
    now_ = *session_.next_wake();
    return session_.on_wake(now_);
  }

  SeededRandom random_{1};
  PrivateKey own_ = PrivateKey::generate();
  DerpSession session_{random_, own_, region(1, 3)};
  DerpLogin server_;
  Instant now_{1h};
  uint64_t dial_ = 0;
};

TEST_F(derp_session, login) {
  session_.set_home(true, now_);
  const auto up = to_up();
  ASSERT_TRUE(server_.client);
  EXPECT_TRUE(server_.client->can_ack_pings);
  EXPECT_EQ(server_.client->version, derp::kVersion);
  EXPECT_EQ(session_.state(), DerpState::kUp);
  EXPECT_EQ(session_.server_info().bytes_burst, 70000u);
  EXPECT_EQ(all<DerpUp>(up).size(), 1u);
  const derp::Message noted = parsed(all<SendDerp>(up).at(0).frame);
  EXPECT_TRUE(std::get<derp::NotePreferred>(noted).home);
  const derp::Message moved = parsed(all<SendDerp>(session_.set_home(false, now_)).at(0).frame);
  EXPECT_FALSE(std::get<derp::NotePreferred>(moved).home);
}

TEST_F(derp_session, a_server_that_does_not_own_its_key) {
  to_login();
  const auto sent = all<SendDerp>(session_.on_message(server_.hello(), now_));
  DerpLogin other;
  const derp::Message message = parsed(sent.at(0).frame);
  const auto& box = std::get<derp::ClientInfoBox>(message);
  const Bytes forged =
      derp::write_server_info({}, *BoxKey::between(other.key, box.client.bytes), {});
  EXPECT_EQ(session_.on_message(parsed(forged), now_), DerpActions{CloseDerp{dial_}});
  EXPECT_EQ(session_.state(), DerpState::kWaiting);
}

TEST_F(derp_session, info_before_the_key_is_refused) {
  to_login();
  EXPECT_EQ(session_.on_message(derp::ServerInfoBox{}, now_), DerpActions{CloseDerp{dial_}});
}

TEST_F(derp_session, nodes_are_tried_in_order_each_for_a_while_relays_only) {
  DerpRegion some = region(1, 4);
  some.nodes[1].stun_only = true;
  DerpSession session(random_, own_, some);
  EXPECT_EQ(session.open(now_), (DerpActions{DialDerp{1, 0}}));
  EXPECT_EQ(session.next_wake(), now_ + kDialNode);
  now_ += kDialNode;
  EXPECT_EQ(session.on_wake(now_), (DerpActions{CloseDerp{1}, DialDerp{2, 2}}));
  EXPECT_EQ(session.on_connected(1, now_), DerpActions{});
  EXPECT_EQ(session.state(), DerpState::kDialing) << "given up before";
  EXPECT_EQ(session.on_closed(2, "refused", now_), (DerpActions{DialDerp{3, 3}}));
  EXPECT_EQ(session.on_closed(3, "refused", now_), DerpActions{});
  EXPECT_EQ(session.state(), DerpState::kWaiting);
  now_ = *session.next_wake();
  EXPECT_EQ(session.on_wake(now_), (DerpActions{DialDerp{4, 0}})) << "from the first again";
}

TEST_F(derp_session, a_region_of_many_dead_nodes_is_given_up_after_ten_seconds) {
  DerpSession session(random_, own_, region(1, 20));
  session.open(now_);
  const Instant began = now_;
  while (session.state() == DerpState::kDialing) {
    now_ = *session.next_wake();
    session.on_wake(now_);
  }
  EXPECT_EQ(now_ - began, kDialRegion);
}

TEST_F(derp_session, backoff_grows_to_five_seconds_and_not_more) {
  DerpSession session(random_, own_, region(1));
  uint64_t dial = all<DialDerp>(session.open(now_)).at(0).dial;
  Duration longest{};
  for (int i = 0; i < 20; ++i) {
    session.on_closed(dial, "refused", now_);
    const Duration waited = *session.next_wake() - now_;
    longest = std::max(longest, waited);
    EXPECT_LE(waited, kDerpBackoffMin * (1 << std::min(i, 10)));
    now_ += waited;
    dial = all<DialDerp>(session.on_wake(now_)).at(0).dial;
  }
  EXPECT_LE(longest, kDerpBackoffMax);
  EXPECT_GE(longest, kDerpBackoffMax / 2);
}

TEST_F(derp_session, a_login_that_hangs) {
  to_login();
  EXPECT_EQ(wake(), DerpActions{CloseDerp{dial_}});
  EXPECT_EQ(session_.state(), DerpState::kWaiting);
}

TEST_F(derp_session, silence_ends_it_any_frame_keeps_it) {
  to_up();
  const Instant up = now_;
  now_ += 119s;
  session_.on_message(derp::KeepAlive{}, now_);
  EXPECT_EQ(session_.next_wake(), up + 119s + kDerpSilence);
  const auto down = wake();
  EXPECT_EQ(all<CloseDerp>(down).size(), 1u);
  EXPECT_EQ(all<DerpDown>(down).size(), 1u);
  EXPECT_EQ(all<DialDerp>(wake()).size(), 1u);
}

TEST_F(derp_session, pings_are_answered) {
  to_up();
  const auto sent = all<SendDerp>(session_.on_message(derp::Ping{{1, 2, 3}}, now_));
  const derp::Message pong = parsed(sent.at(0).frame);
  EXPECT_EQ(std::get<derp::Pong>(pong).data, (std::array<uint8_t, 8>{1, 2, 3}));
}

TEST_F(derp_session, after_a_network_change_a_dead_connection_is_found_in_seconds) {
  to_up();
  const auto sent = all<SendDerp>(session_.on_network_changed(now_));
  const derp::Message ping = parsed(sent.at(0).frame);
  session_.on_message(derp::Pong{std::get<derp::Ping>(ping).data}, now_ + 40ms);
  EXPECT_EQ(session_.rtt(), 40ms);
  session_.on_network_changed(now_);
  EXPECT_EQ(session_.next_wake(), now_ + kDerpPong);
  const auto again = wake();
  EXPECT_EQ(all<CloseDerp>(again).size(), 1u);
  EXPECT_EQ(all<DialDerp>(again).size(), 1u);
}

TEST_F(derp_session, health_comes_and_goes) {
  to_up();
  EXPECT_EQ(session_.on_message(derp::Health{"twice"}, now_), DerpActions{DerpHealth{"twice"}});
  EXPECT_EQ(session_.on_message(derp::Health{"twice"}, now_), DerpActions{});
  EXPECT_EQ(session_.on_message(derp::Health{""}, now_), DerpActions{DerpHealth{}});
}

TEST_F(derp_session, an_announced_restart_is_waited_for) {
  to_up();
  session_.on_message(derp::Restarting{2s, 10s}, now_);
  const auto down = session_.on_closed(dial_, "closed", now_);
  EXPECT_EQ(down, DerpActions{DerpDown{"closed"}});
  EXPECT_GE(*session_.next_wake(), now_ + 2s);
  EXPECT_LT(*session_.next_wake(), now_ + 2s + kDerpBackoffMin);
}

TEST_F(derp_session, a_hostile_restart_keeps_us_away_for_half_a_minute_at_most) {
  to_up();
  session_.on_message(derp::Restarting{std::chrono::hours(1000), 1s}, now_);
  session_.on_closed(dial_, "closed", now_);
  EXPECT_LE(*session_.next_wake(), now_ + kDerpRestartMax + kDerpBackoffMin);
}

TEST_F(derp_session, another_definition_is_dialled_anew) {
  to_up();
  EXPECT_EQ(session_.on_region(session_.region(), now_), DerpActions{});
  const auto again = session_.on_region(region(1, 1), now_);
  EXPECT_EQ(all<CloseDerp>(again).size(), 1u);
  EXPECT_EQ(all<DialDerp>(again).size(), 1u);
}

class derp_pool : public testing::Test {
 protected:
  derp_pool() {
    for (const uint16_t id : {uint16_t{1}, uint16_t{2}}) map_.regions[id] = region(id);
    pool_.on_map(map_, now_);
  }
  template <class Action>
  std::vector<std::pair<uint16_t, Action>> of_regions(const PoolActions& actions) {
    std::vector<std::pair<uint16_t, Action>> out;
    for (const PoolAction& action : actions) {
      const auto* one = std::get_if<RegionAction>(&action);
      if (one == nullptr) continue;
      if (const auto* what = std::get_if<Action>(&one->action))
        out.emplace_back(one->region, *what);
    }
    return out;
  }
  static std::vector<Bytes> held(const PoolActions& actions) {
    std::vector<Bytes> out;
    for (const PoolAction& action : actions) {
      if (const auto* one = std::get_if<SendHeld>(&action)) out.push_back(one->packet);
    }
    return out;
  }
  PoolActions bring_up(uint16_t id, uint64_t dial) {
    DerpLogin server;
    pool_.on_connected(id, dial, now_);
    const auto sent = of_regions<SendDerp>(pool_.on_message(id, server.hello(), now_));
    return pool_.on_message(id, server.answer(sent.at(0).second.frame), now_);
  }
  static NodeKey peer(uint8_t n) {
    NodeKey key;
    key.bytes[0] = n;
    return key;
  }

  SeededRandom random_{1};
  PrivateKey own_ = PrivateKey::generate();
  DerpPool pool_{random_, own_};
  DerpMap map_;
  Instant now_{1h};
};

TEST_F(derp_pool, home_is_dialled_at_once_and_stays) {
  EXPECT_EQ(pool_.next_wake(), std::nullopt);
  EXPECT_EQ(of_regions<DialDerp>(pool_.set_home(1, now_)).size(), 1u);
  bring_up(1, 1);
  now_ += kDerpIdle;
  pool_.on_message(1, derp::KeepAlive{}, now_);
  EXPECT_TRUE(of_regions<CloseDerp>(pool_.on_wake(now_)).empty());
}

TEST_F(derp_pool, the_newest_eight_packets_wait_for_a_region_that_is_being_dialled) {
  for (uint8_t i = 0; i < 10; ++i) {
    const auto sending = pool_.send(2, peer(1), Bytes{i}, now_);
    EXPECT_EQ(sending.route, DerpRoute::kHeld);
    EXPECT_EQ(of_regions<DialDerp>(sending.actions).size(), i == 0 ? 1u : 0u);
  }
  pool_.send(2, peer(2), Bytes{99}, now_);
  const auto packets = held(bring_up(2, 1));
  ASSERT_EQ(packets.size(), 9u);
  EXPECT_EQ(packets.front(), Bytes{2}) << "the oldest that is left, and in order";
  EXPECT_EQ(packets.back(), Bytes{99});
  EXPECT_EQ(pool_.dropped(), 2u);
  EXPECT_EQ(pool_.send(2, peer(1), Bytes{1}, now_).route, DerpRoute::kNow);
}

TEST_F(derp_pool, they_do_not_wait_for_ever) {
  pool_.send(2, peer(1), Bytes{1}, now_);
  now_ += kHeldFor;
  EXPECT_TRUE(held(bring_up(2, 1)).empty());
  EXPECT_EQ(pool_.dropped(), 1u);
}

TEST_F(derp_pool, no_such_region) {
  EXPECT_EQ(pool_.send(9, peer(1), Bytes{1}, now_).route, DerpRoute::kNone);
  EXPECT_EQ(pool_.session(9), nullptr);
}

TEST_F(derp_pool, others_are_closed_after_a_minute_without_use) {
  pool_.send(2, peer(1), Bytes{1}, now_);
  bring_up(2, 1);
  now_ += 59s;
  pool_.on_received(2, now_);
  now_ += 59s;
  EXPECT_TRUE(of_regions<CloseDerp>(pool_.on_wake(now_)).empty());
  now_ += 1s;
  EXPECT_EQ(of_regions<CloseDerp>(pool_.on_wake(now_)).size(), 1u);
  EXPECT_EQ(pool_.session(2), nullptr);
}

TEST_F(derp_pool, a_new_home_is_told_to_both) {
  pool_.set_home(1, now_);
  bring_up(1, 1);
  const auto actions = pool_.set_home(2, now_);
  ASSERT_EQ(of_regions<SendDerp>(actions).size(), 1u);
  const derp::Message message = parsed(of_regions<SendDerp>(actions)[0].second.frame);
  EXPECT_FALSE(std::get<derp::NotePreferred>(message).home);
  EXPECT_EQ(of_regions<DialDerp>(actions).at(0).first, 2);
}

TEST_F(derp_pool, a_region_that_is_gone_is_closed) {
  pool_.set_home(1, now_);
  bring_up(1, 1);
  map_.regions.erase(1);
  EXPECT_EQ(of_regions<CloseDerp>(pool_.on_map(map_, now_)).size(), 1u);
  EXPECT_EQ(pool_.session(1), nullptr);
}

}  // namespace
}  // namespace sallyport
