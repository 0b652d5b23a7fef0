// SPDX-License-Identifier: BSD-3-Clause
// What strangers and peers send: disco by UDP and by DERP, relayed packets.
#include "tests/unit/node/paths_world.h"

#ifdef __SANITIZE_ADDRESS__
// Of the sanitizer's run-time; g++ has no header for it.
extern "C" int __sanitizer_install_malloc_and_free_hooks(  // NOLINT(bugprone-reserved-identifier)
    void (*on_malloc)(const volatile void*, size_t), void (*on_free)(const volatile void*));
#endif

namespace sallyport {
namespace {

using namespace std::chrono_literals;

class paths_disco : public paths {
 protected:
  paths_disco() {
    join();
    us_->on_peer(peer_.as_peer(), now_);
  }
};

TEST_F(paths_disco, a_ping_is_answered_the_way_it_came) {
  say(disco::Ping{{4, 2}, peer_.key(), 0}, kElsewhere);
  auto sent = logged<SendDatagram>();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].to, kElsewhere);
  EXPECT_EQ(sent[0].from, kOurs);
  EXPECT_EQ(sent[0].ifindex, 3u);
  EXPECT_EQ(peer_.open(sent[0].bytes), (disco::Message{disco::Pong{{4, 2}, kElsewhere}}));

  log_.clear();
  say_relayed(disco::Ping{{4, 3}, peer_.key(), 0});
  EXPECT_TRUE(logged<SendDatagram>().empty());
  const auto relayed = logged<SendPacketBy>();
  ASSERT_EQ(relayed.size(), 1u);
  EXPECT_EQ(relayed[0].region, kRegion);
  EXPECT_EQ(relayed[0].peer, peer_.key());
  EXPECT_EQ(peer_.open(relayed[0].packet),
            (disco::Message{disco::Pong{{4, 3}, at("127.3.3.40:900")}}));
}

TEST_F(paths_disco, an_old_client_names_no_node_key) {
  say(disco::Ping{{1}, {}, 0});
  EXPECT_EQ(logged<SendDatagram>().size(), 1u);
}

TEST_F(paths_disco, a_machine_that_is_two_nodes) {
  PathPeer twin = peer_.as_peer();
  twin.node_key = Played().key();
  us_->on_peer(twin, now_);
  say(disco::Ping{{1}, {}, 0});
  EXPECT_EQ(us_->counters().disco_misplaced, 1u) << "which of them?";
  say(disco::Ping{{1}, twin.node_key, 0});
  say(disco::Ping{{2}, peer_.key(), 0});
  EXPECT_EQ(logged<SendDatagram>().size(), 2u);
  us_->on_peer_removed(twin.node_key, now_);
  say(disco::Ping{{3}, twin.node_key, 0});
  EXPECT_EQ(us_->counters().disco_misplaced, 2u);
  say(disco::Ping{{4}, peer_.key(), 0});
  EXPECT_EQ(logged<SendDatagram>().size(), 3u);
}

/// Each is dropped, counted under one name, and answered by nothing.
struct Refused {
  const char* what;
  uint64_t PathsCounters::* counter;
  Bytes datagram;
};

TEST_F(paths_disco, what_is_dropped) {
  const DiscoKey us = us_->disco_key();
  const Played stranger;
  const Bytes ping = peer_.seal(us, disco::Ping{{1}, peer_.key(), 0});
  Bytes forged = ping;
  forged.back() ^= 1;
  Bytes short_message = peer_.seal(us, disco::Ping{{1}, peer_.key(), 0});
  std::array<uint8_t, 2 * kWireEndpoint> buffer{};
  const disco::CallMeMaybe call{EndpointList(std::array{kHome, kElsewhere}, buffer)};
  const std::vector<Refused> rows = {
      {"of a stranger", &PathsCounters::disco_unknown,
       stranger.seal(us, disco::Ping{{1}, stranger.key(), 0})},
      {"of a stranger that names a peer", &PathsCounters::disco_unknown,
       stranger.seal(us, disco::Ping{{1}, peer_.key(), 0})},
      {"changed on the way", &PathsCounters::disco_unopened, forged},
      {"for somebody else", &PathsCounters::disco_unopened,
       peer_.seal(stranger.disco_key(), disco::Ping{{1}, peer_.key(), 0})},
      {"cut", &PathsCounters::disco_unopened, Bytes(ping.begin(), ping.begin() + 70)},
      {"by another node than its disco key's", &PathsCounters::disco_misplaced,
       peer_.seal(us, disco::Ping{{1}, stranger.key(), 0})},
      {"an answer to nothing", &PathsCounters::disco_misplaced,
       peer_.seal(us, disco::Pong{{1}, kHome})},
      {"call-me-maybe by UDP", &PathsCounters::disco_misplaced, peer_.seal(us, call)},
      {"WireGuard's", &PathsCounters::other_in, wireguard(WireguardType::kData)},
      {"nothing", &PathsCounters::other_in, {}},
  };
  for (const Refused& row : rows) {
    const uint64_t before = us_->counters().*row.counter;
    EXPECT_TRUE(us_->on_datagram({kElsewhere, kOurs, 3}, row.datagram, now_).empty()) << row.what;
    EXPECT_EQ(us_->counters().*row.counter, before + 1) << row.what;
  }
  EXPECT_EQ(us_->counters().disco_in, 0u);
}

TEST_F(paths_disco, a_pong_from_elsewhere_proves_nothing) {
  park();
  const auto pings = logged<SendDatagram>();
  ASSERT_EQ(pings.size(), 1u);
  const disco::Message ping = peer_.open(pings[0].bytes);
  log_.clear();
  say(disco::Pong{std::get<disco::Ping>(ping).tx, at("198.51.100.66:6")}, kElsewhere);
  EXPECT_EQ(us_->status(peer_.key())->kind, PathKind::kDerp);
  EXPECT_EQ(us_->counters().disco_misplaced, 1u);
  EXPECT_TRUE(logged<AnnounceEndpoints>().empty());
}

TEST_F(paths_disco, call_me_maybe_has_us_ping) {
  std::array<uint8_t, kWireEndpoint> buffer{};
  const disco::CallMeMaybe call{EndpointList(std::array{kElsewhere}, buffer)};
  say_relayed(call);
  std::set<Endpoint> pinged;
  for (const SendDatagram& sent : logged<SendDatagram>()) pinged.insert(sent.to);
  EXPECT_TRUE(pinged.contains(kElsewhere));
  EXPECT_TRUE(logged<SendPacketBy>().empty()) << "two nodes would call each other for ever";
}

TEST_F(paths_disco, call_me_maybe_of_another) {
  const Played other;
  us_->on_peer(other.as_peer(), now_);
  std::array<uint8_t, kWireEndpoint> buffer{};
  const disco::CallMeMaybe call{EndpointList(std::array{kElsewhere}, buffer)};
  // Its own disco key under somebody else's name.
  const Bytes packet = peer_.seal(us_->disco_key(), call);
  EXPECT_TRUE(relayed(other.key(), packet).actions.empty());
  EXPECT_EQ(us_->counters().disco_misplaced, 1u);
}

TEST_F(paths_disco, a_flood_is_bounded) {
  for (int i = 0; i < 1000; ++i) say(disco::Ping{{1}, peer_.key(), 0});
  EXPECT_EQ(us_->counters().disco_limited, 1000u - 128u);
  log_.clear();
  now_ += 10s;
  std::array<uint8_t, kWireEndpoint> buffer{};
  for (uint8_t i = 0; i < 100; ++i) {
    // Each would have us ping whomever it names.
    const Endpoint victim{IpAddress::v4(0xcb007100U + i), 53};
    say_relayed(disco::CallMeMaybe{EndpointList(std::array{victim}, buffer)});
  }
  std::set<Endpoint> pinged;
  for (const SendDatagram& sent : logged<SendDatagram>()) pinged.insert(sent.to);
  EXPECT_LE(pinged.size(), 6u);
}

TEST_F(paths_disco, a_relayed_packet_goes_to_the_peers_parking_address) {
  const Bytes packet = wireguard(WireguardType::kData);
  const auto from_derp = relayed(peer_.key(), packet);
  EXPECT_EQ(from_derp.inject, us_->parking_of(peer_.key()));
  EXPECT_EQ(us_->status(peer_.key())->kind, PathKind::kDerp);

  EXPECT_FALSE(relayed(Played().key(), packet).inject);
  EXPECT_EQ(us_->counters().derp_unknown, 1u);
  const Bytes junk(100, 0x55);
  EXPECT_FALSE(relayed(peer_.key(), junk).inject);
  EXPECT_EQ(us_->counters().derp_other, 1u);
}

TEST_F(paths_disco, initiations_that_cross) {
  park(WireguardType::kInitiation);
  now_ += 50ms;
  const Bytes initiation = wireguard(WireguardType::kInitiation);
  EXPECT_FALSE(relayed(peer_.key(), initiation).inject);
  EXPECT_EQ(us_->counters().derp_crossing, 1u);
  const Bytes response = wireguard(WireguardType::kResponse);
  EXPECT_TRUE(relayed(peer_.key(), response).inject);
  EXPECT_TRUE(relayed(peer_.key(), initiation).inject) << "the next handshake";
}

TEST_F(paths_disco, of_two_of_us_one_gives_way) {
  PathPeer peer = peer_.as_peer();
  peer.one_of_us = true;
  us_->on_peer(peer, now_);
  park(WireguardType::kInitiation);
  const Bytes initiation = wireguard(WireguardType::kInitiation);
  const bool ours_is_kept = own_.public_key() < peer_.key();
  EXPECT_EQ(relayed(peer_.key(), initiation).inject.has_value(), !ours_is_kept);
}

#ifdef __SANITIZE_ADDRESS__
uint64_t allocations = 0;

TEST_F(paths_disco, a_packet_costs_no_allocation) {
  say(disco::Ping{{1}, peer_.key(), 0});  // an address of the peer is known, as it mostly is
  const Bytes packet = wireguard(WireguardType::kData);
  const IpAddress parking = *us_->parking_of(peer_.key());
  const derp::Message message = derp::RecvPacket{peer_.key(), packet};
  const auto both_ways = [&] {
    const auto to = us_->on_parked(parking, packet, now_);
    const auto from = us_->on_derp_message(kRegion, message, now_);
    return to.route == DerpRoute::kNow && from.inject;
  };
  ASSERT_TRUE(both_ways());
  run(5100ms);
  ASSERT_TRUE(both_ways());

  __sanitizer_install_malloc_and_free_hooks([](const volatile void*, size_t) { ++allocations; },
                                            [](const volatile void*) {});
  const Bytes counted(packet);
  EXPECT_GT(allocations, 0u) << "nothing is counted";
  allocations = 0;
  bool all_went = true;
  for (int i = 0; i < 1000; ++i) all_went = both_ways() && all_went;
  EXPECT_EQ(allocations, 0u);
  EXPECT_TRUE(all_went);
  EXPECT_EQ(us_->status(peer_.key())->kind, PathKind::kDerp);
}
#endif

TEST_F(paths_disco, what_a_host_writes_to_the_relay_socket) {
  const IpAddress parking = *us_->parking_of(peer_.key());
  EXPECT_EQ(us_->on_parked(ip("127.77.1.1"), wireguard(WireguardType::kData), now_).route,
            DerpRoute::kNone);
  EXPECT_EQ(us_->on_parked(parking, Bytes(40, 0x41), now_).route, DerpRoute::kNone);
  EXPECT_EQ(us_->counters().parked_unknown, 2u);
  EXPECT_EQ(us_->status(peer_.key())->kind, PathKind::kNone) << "it woke nobody";
}

}  // namespace
}  // namespace sallyport
