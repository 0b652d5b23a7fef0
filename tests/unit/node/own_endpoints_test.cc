// SPDX-License-Identifier: BSD-3-Clause
// Where peers may find us: order and age of the list, and when STUN runs.
#include "agent/node/own_endpoints.h"

#include <gtest/gtest.h>

#include "tests/support/seeded_random.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;

Endpoint at(const char* text) { return *Endpoint::parse(text); }
IpAddress ip(const char* text) { return *IpAddress::parse(text); }
constexpr uint16_t kPort = 20001;
const Endpoint kSeen = at("198.51.100.1:4000");
const Endpoint kSeenSix = at("[2001:db8::1]:20001");
const OwnEndpoint kLan{at("10.0.0.1:20001"), EndpointKind::kLocal};
using List = std::vector<OwnEndpoint>;

class own_endpoints : public testing::Test {
 protected:
  EndpointActions start() { return own_.on_local({ip("10.0.0.1"), ip("127.0.0.1")}, kPort, now_); }
  void settle() {
    start();
    own_.on_stun({{kSeen}, false}, now_);
  }
  static NodeKey peer(uint8_t n) {
    NodeKey key;
    key.bytes[0] = n;
    return key;
  }
  SeededRandom random_{1};
  OwnEndpoints own_{random_};
  Instant now_{1h};
};

TEST_F(own_endpoints, the_first_addresses_are_announced_and_start_stun) {
  EXPECT_EQ(start(), (EndpointActions{AnnounceEndpoints{{kLan}}, RunStun{}}));
  EXPECT_EQ(start(), EndpointActions{}) << "nothing new";
  EXPECT_EQ(own_.on_stun({{kSeen, kSeenSix}, false}, now_),
            (EndpointActions{AnnounceEndpoints{
                {{kSeen, EndpointKind::kStun}, {kSeenSix, EndpointKind::kStun}, kLan}}}));
}

TEST_F(own_endpoints, order) {
  start();
  const Endpoint mapped = at("198.51.100.1:7000");
  const Endpoint configured = at("192.0.2.5:20001");
  own_.on_port_mapped(mapped, now_);
  own_.on_configured({configured}, now_);
  own_.on_stun({{kSeen}, true}, now_);
  EXPECT_EQ(own_.list(now_), (List{{mapped, EndpointKind::kPortMapped},
                                   {kSeen, EndpointKind::kStun},
                                   {at("198.51.100.1:20001"), EndpointKind::kStunLocalPort},
                                   {configured, EndpointKind::kExplicit},
                                   kLan}));
}

TEST_F(own_endpoints, loopback_only_if_there_is_nothing_else) {
  own_.on_local({ip("127.0.0.1"), ip("::1"), ip("fe80::1")}, kPort, now_);
  EXPECT_EQ(own_.list(now_), (List{{at("[::1]:20001"), EndpointKind::kLocal},
                                   {at("127.0.0.1:20001"), EndpointKind::kLocal}}));
  own_.on_stun({{kSeen}, false}, now_);
  EXPECT_EQ(own_.list(now_), (List{{kSeen, EndpointKind::kStun}}));
}

TEST_F(own_endpoints, what_was_seen_once_and_not_lately_does_not_count) {
  settle();
  const Endpoint next = at("198.51.100.1:4001");
  now_ += 25s;
  own_.on_stun({{next}, false}, now_);
  EXPECT_EQ(own_.list(now_), (List{{next, EndpointKind::kStun}, kLan}));
  now_ += 25s;
  own_.on_stun({{kSeen}, false}, now_);
  now_ += 25s;
  own_.on_stun({{next}, false}, now_);
  EXPECT_EQ(own_.list(now_),
            (List{{next, EndpointKind::kStun}, {kSeen, EndpointKind::kStun}, kLan}))
      << "seen twice";
  EXPECT_EQ(own_.list(now_ + kStunRemembered - 25s), (List{{next, EndpointKind::kStun}, kLan}));
  EXPECT_EQ(own_.list(now_ + kStunRemembered), (List{kLan}));
}

TEST_F(own_endpoints, six_ports_of_one_address_are_remembered) {
  start();
  StunRound round;
  for (uint16_t port = 1; port <= 9; ++port) round.seen.push_back({kSeen.address, port});
  own_.on_stun(round, now_);
  EXPECT_EQ(own_.list(now_).size(), kStunPerAddress + 1);
}

TEST_F(own_endpoints, pongs_of_two_peers_must_agree) {
  start();
  own_.on_stun({}, now_);
  EXPECT_EQ(own_.on_seen(kSeen, at("203.0.113.1:1"), now_), EndpointActions{});
  EXPECT_EQ(own_.on_seen(kSeen, at("203.0.113.1:1"), now_ + 3s), EndpointActions{});
  EXPECT_EQ(own_.on_seen(kSeen, at("203.0.113.2:1"), now_ + 3s),
            (EndpointActions{AnnounceEndpoints{{{kSeen, EndpointKind::kStun}, kLan}}}));
  EXPECT_EQ(own_.on_seen({kLan.endpoint.address, 9}, at("203.0.113.2:1"), now_), EndpointActions{});
}

TEST_F(own_endpoints, stun_is_repeated_at_a_random_time_while_there_is_traffic) {
  settle();
  EXPECT_EQ(own_.next_wake(), std::nullopt) << "nobody needs it";
  own_.on_active(true, now_);
  std::vector<Duration> waits;
  for (int i = 0; i < 50; ++i) {
    const Instant due = *own_.next_wake();
    waits.push_back(due - now_);
    EXPECT_EQ(own_.on_wake(due - 1ns), EndpointActions{});
    now_ = due;
    EXPECT_EQ(own_.on_wake(now_), EndpointActions{RunStun{}});
    own_.on_stun({{kSeen}, false}, now_);
  }
  const auto [least, most] = std::ranges::minmax(waits);
  EXPECT_GE(least, kRestunMin);
  EXPECT_LT(most, kRestunMax);
  EXPECT_GT(most - least, 3s);
}

TEST_F(own_endpoints, a_call_waits_for_fresh_endpoints) {
  settle();
  EXPECT_EQ(own_.call_me_maybe(peer(1), now_ + 26s),
            EndpointActions{(CallPeers{{peer(1)}, {kSeen, kLan.endpoint}})});
  now_ += kEndpointsFresh;
  EXPECT_EQ(own_.call_me_maybe(peer(1), now_), EndpointActions{RunStun{}});
  EXPECT_EQ(own_.call_me_maybe(peer(2), now_), EndpointActions{}) << "it runs already";
  EXPECT_EQ(own_.call_me_maybe(peer(1), now_), EndpointActions{});
  EXPECT_EQ(own_.on_stun({{kSeen}, false}, now_),
            EndpointActions{(CallPeers{{peer(1), peer(2)}, {kSeen, kLan.endpoint}})});
}

TEST_F(own_endpoints, a_round_that_never_ends_keeps_nobody_waiting) {
  start();
  own_.call_me_maybe(peer(1), now_);
  EXPECT_EQ(own_.next_wake(), now_ + kStunRound);
  EXPECT_EQ(own_.on_wake(now_ + kStunRound),
            EndpointActions{(CallPeers{{peer(1)}, {kLan.endpoint}})});
}

TEST_F(own_endpoints, another_network_is_another_list) {
  settle();
  const List elsewhere = {{at("192.168.1.5:20001"), EndpointKind::kLocal}};
  EXPECT_EQ(own_.on_local({ip("192.168.1.5")}, kPort, now_),
            (EndpointActions{AnnounceEndpoints{elsewhere}, RunStun{}}));
}

}  // namespace
}  // namespace sallyport
