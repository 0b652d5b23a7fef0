// SPDX-License-Identifier: BSD-3-Clause
// Peers: from the first packet to a direct path and back, and what outlives a restart. What
// strangers send: paths_disco_test.cc; our own network: paths_network_test.cc.
#include "agent/node/paths.h"

#include "agent/node/parking.h"
#include "tests/unit/node/paths_world.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;

TEST_F(paths, nothing_is_sent_without_a_node_key) {
  us_ = std::make_unique<Paths>(random_, "", now_);
  add(us_->on_peer(peer_.as_peer(), now_));
  say(disco::Ping{{1}, peer_.key(), 0});
  park();
  EXPECT_EQ(last_.route, DerpRoute::kNone);
  EXPECT_TRUE(logged<SendDatagram>().empty());
  EXPECT_TRUE(logged<SendPacketBy>().empty());
}

TEST_F(paths, the_first_packet_wakes_the_path) {
  join();
  add(us_->on_peer(peer_.as_peer(), now_));
  const IpAddress parking = *us_->parking_of(peer_.key());
  EXPECT_TRUE(is_parking(parking));
  EXPECT_EQ(us_->endpoint_of(peer_.key(), kRelayPort),
            (WireguardEndpoint{{parking, kRelayPort}, 0}));
  EXPECT_EQ(us_->status(peer_.key())->kind, PathKind::kNone);

  park();
  EXPECT_EQ(last_.route, DerpRoute::kNow);
  EXPECT_EQ(last_.region, kRegion);
  EXPECT_EQ(last_.peer, peer_.key());
  EXPECT_EQ(us_->status(peer_.key())->kind, PathKind::kDerp);

  const auto pings = logged<SendDatagram>();
  ASSERT_EQ(pings.size(), 1u);
  EXPECT_EQ(pings[0].to, kHome);
  const disco::Message ping = peer_.open(pings[0].bytes);
  ASSERT_TRUE(std::holds_alternative<disco::Ping>(ping));
  EXPECT_EQ(std::get<disco::Ping>(ping).node_key, own_.public_key());

  const auto calls = logged<SendPacketBy>();
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].peer, peer_.key());
  const disco::Message call = peer_.open(calls[0].packet);
  ASSERT_TRUE(std::holds_alternative<disco::CallMeMaybe>(call));
  const EndpointList& list = std::get<disco::CallMeMaybe>(call).endpoints;
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0], at("198.51.100.77:5555")) << "as STUN saw us";
  EXPECT_EQ(list[1], (Endpoint{kOurs, kWgPort}));
}

TEST_F(paths, a_pong_makes_it_direct) {
  join();
  us_->on_peer(peer_.as_peer(), now_);
  park();
  now_ += 20ms;
  answer_pings(kHome);
  const auto steps = logged<StepKernel>();
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].peer, peer_.key());
  const DirectPath path{kHome, kOurs, 3};
  EXPECT_EQ(steps[0].steps, (std::vector<KernelStep>{SetPin{path}, PointAt{kHome, false}}));
  EXPECT_EQ(us_->endpoint_of(peer_.key(), kRelayPort),
            (WireguardEndpoint{kHome, kDirectKeepaliveS}));
  const auto status = us_->status(peer_.key());
  EXPECT_EQ(status->kind, PathKind::kDirect);
  EXPECT_EQ(status->endpoint, kHome);
  EXPECT_EQ(status->rtt, 20ms);
  EXPECT_EQ(status->since, now_);
  EXPECT_EQ(logged<StatusChanged>().back().status, *status);
}

TEST_F(paths, without_pongs_it_goes_back_to_the_relay) {
  join();
  us_->on_peer(peer_.as_peer(), now_);
  go_direct();
  log_.clear();
  run(10s);
  EXPECT_EQ(us_->status(peer_.key())->kind, PathKind::kDerp);
  const auto steps = logged<StepKernel>();
  ASSERT_FALSE(steps.empty());
  EXPECT_EQ(steps.back().steps,
            (std::vector<KernelStep>{ClearPin{}, SetReverse{kHome}, PointAt{}}));
}

TEST_F(paths, the_kernels_counters_are_asked_for_while_it_is_direct) {
  join();
  us_->on_peer(peer_.as_peer(), now_);
  go_direct();
  log_.clear();
  run(1s);
  EXPECT_GE(logged<Observe>().size(), 1u);
  EXPECT_LE(logged<Observe>().size(), 3u);
  EXPECT_EQ(logged<Observe>().at(0).peers, std::vector{peer_.key()});
  // Packets went out a second ago, and none came: doubt, though nobody has missed a pong.
  const PathObserved before{now_ - 1500ms, now_ - 1600ms, 0};
  add(us_->on_observed(peer_.key(), before, now_));
  EXPECT_EQ(us_->status(peer_.key())->state, PathState::kDoubt);
  EXPECT_EQ(logged<StatusChanged>().back().doubt, DoubtCause::kSilence);
}

TEST_F(paths, an_idle_peer_is_let_alone) {
  join();
  us_->on_peer(peer_.as_peer(), now_);
  park();
  const auto a_minute = [&] {
    run(1min);
    add(us_->on_derp_message(kRegion, derp::KeepAlive{}, now_).actions);
  };
  a_minute();
  EXPECT_EQ(us_->status(peer_.key())->state, PathState::kIdle);
  log_.clear();
  for (int minute = 0; minute < 10; ++minute) a_minute();
  EXPECT_TRUE(logged<SendDatagram>().empty()) << "no STUN either";
  EXPECT_TRUE(logged<Observe>().empty());
}

TEST_F(paths, a_person_asks) {
  join();
  us_->on_peer(peer_.as_peer(), now_);
  add(us_->ask(peer_.key(), false, now_));
  const auto sent = logged<SendPacketBy>();
  ASSERT_EQ(sent.size(), 1u);
  const disco::Message ping = peer_.open(sent[0].packet);
  ASSERT_TRUE(std::holds_alternative<disco::Ping>(ping));
  now_ += 30ms;
  say_relayed(disco::Pong{std::get<disco::Ping>(ping).tx, at("127.3.3.40:900")});
  EXPECT_EQ(logged<PeerAnswered>(),
            std::vector(1, PeerAnswered{peer_.key(), DerpRegionId{kRegion}, 30ms}));
  EXPECT_TRUE(us_->ask(Played().key(), true, now_).empty());
}

TEST_F(paths, a_peer_that_goes_leaves_nothing_behind) {
  join();
  us_->on_peer(peer_.as_peer(), now_);
  go_direct();
  log_.clear();
  const IpAddress parking = *us_->parking_of(peer_.key());
  add(us_->on_peer_removed(peer_.key(), now_));
  EXPECT_EQ(logged<StepKernel>(), std::vector(1, StepKernel{peer_.key(), {ClearPin{}}}));
  EXPECT_EQ(us_->endpoint_of(peer_.key(), kRelayPort), std::nullopt);
  EXPECT_EQ(us_->on_parked(parking, wireguard(WireguardType::kData), now_).route, DerpRoute::kNone);
  say(disco::Ping{{1}, peer_.key(), 0});
  EXPECT_EQ(us_->counters().disco_unknown, 1u);
  log_.clear();
  run(1min);
  EXPECT_TRUE(logged<SendDatagram>().empty());
}

TEST_F(paths, a_wireguard_only_peer_has_its_endpoint_and_no_more) {
  join();
  PathPeer peer = peer_.as_peer();
  peer.wireguard_only = true;
  peer.disco_key = {};
  add(us_->on_peer(peer, now_));
  EXPECT_EQ(us_->endpoint_of(peer.node_key, kRelayPort),
            (WireguardEndpoint{kHome, kDirectKeepaliveS}));
  park();
  EXPECT_EQ(last_.route, DerpRoute::kNone);
  const Bytes packet = wireguard(WireguardType::kData);
  EXPECT_FALSE(relayed(peer.node_key, packet).inject);
  EXPECT_TRUE(logged<SendDatagram>().empty());
}

NetmapNode node_of(const Played& peer, int64_t id) {
  NetmapNode out;
  out.id = NodeId{id};
  out.node_key = peer.key();
  out.disco_key = peer.disco_key();
  out.home_derp = kRegion;
  out.endpoints = {kHome};
  return out;
}

TEST_F(paths, follows_the_netmap) {
  const Played other;
  Netmap netmap;
  netmap.derp_map = derp_map();
  netmap.peers[NodeId{1}] = node_of(peer_, 1);
  netmap.peers[NodeId{2}] = node_of(other, 2);
  us_->on_netmap(netmap, {}, true, now_);
  EXPECT_EQ(us_->peers(), 2u);
  EXPECT_EQ(us_->regions().size(), 1u);

  const Played renewed;  // the same node with another key
  netmap.peers[NodeId{1}] = node_of(renewed, 1);
  us_->on_netmap(netmap, {.peers = {{NodeId{1}, kPeerTunnel}}}, false, now_);
  EXPECT_EQ(us_->peers(), 2u);
  EXPECT_FALSE(us_->parking_of(peer_.key()));
  EXPECT_TRUE(us_->parking_of(renewed.key()));

  netmap.peers[NodeId{2}].expired = true;
  us_->on_netmap(netmap, {.peers = {{NodeId{2}, kPeerTunnel}}}, false, now_);
  EXPECT_FALSE(us_->parking_of(other.key()));

  netmap.peers.clear();
  us_->on_netmap(netmap, {}, true, now_);
  EXPECT_EQ(us_->peers(), 0u);
}

TEST_F(paths, presence_alone_is_no_news) {
  Netmap netmap;
  netmap.peers[NodeId{1}] = node_of(peer_, 1);
  EXPECT_TRUE(us_->on_netmap(netmap, {.peers = {{NodeId{1}, kPeerPresence}}}, false, now_).empty());
  EXPECT_EQ(us_->peers(), 0u);
}

TEST(path_peer, knows_one_of_us) {
  NetmapNode node = node_of(Played(), 1);
  EXPECT_FALSE(path_peer(node).one_of_us);
  node.hostinfo.emplace().app = "sallyport";
  EXPECT_TRUE(path_peer(node).one_of_us);
}

TEST_F(paths, goes_on_after_a_restart_where_it_was) {
  join();
  us_->on_peer(peer_.as_peer(), now_);
  go_direct();
  run(1s);
  ASSERT_FALSE(logged<SaveMemory>().empty());
  const std::string memory = us_->memory();
  const IpAddress parking = *us_->parking_of(peer_.key());
  const DiscoKey disco = us_->disco_key();
  log_.clear();

  us_.reset();
  us_ = std::make_unique<Paths>(random_, memory, now_);
  EXPECT_EQ(us_->disco_key(), disco);
  add(us_->on_node_key(own_, now_));
  EXPECT_EQ(logged<AnnounceNetwork>().at(0).info.preferred_derp, kRegion)
      << "home, before a report";
  add(us_->on_derp_map(derp_map(), now_));
  EXPECT_EQ(logged<DialRegion>().size(), 1u);
  add(us_->on_peer(peer_.as_peer(), now_));
  EXPECT_EQ(us_->parking_of(peer_.key()), parking);
  EXPECT_EQ(us_->endpoint_of(peer_.key(), kRelayPort),
            (WireguardEndpoint{kHome, kDirectKeepaliveS}));
  EXPECT_TRUE(logged<StepKernel>().empty()) << "the kernel has it still";
  bool pinged = false;
  for (const SendDatagram& sent : logged<SendDatagram>()) pinged = pinged || sent.to == kHome;
  EXPECT_TRUE(pinged);
  answer_pings(kHome);
  EXPECT_EQ(us_->status(peer_.key())->state, PathState::kDirect);
}

TEST_F(paths, the_memory_is_written_at_once_but_not_all_the_time) {
  join();
  us_->on_peer(peer_.as_peer(), now_);
  run(10s);
  log_.clear();
  go_direct();
  run(100ms);
  EXPECT_EQ(logged<SaveMemory>().size(), 1u);
  for (int i = 0; i < 20; ++i) {
    us_->on_peer_removed(peer_.key(), now_);
    us_->on_peer(peer_.as_peer(), now_);
    run(100ms);
  }
  EXPECT_LE(logged<SaveMemory>().size(), 4u);
}

TEST_F(paths, another_node_key_is_another_login) {
  join();
  us_->on_peer(peer_.as_peer(), now_);
  add(us_->on_node_key(PrivateKey::generate(), now_));
  EXPECT_EQ(logged<CloseRegion>().size(), 1u);
  EXPECT_EQ(logged<DialRegion>().size(), 1u);
  EXPECT_EQ(us_->home(), kRegion);
  log_.clear();
  add(us_->on_node_key(own_, now_));
  add(us_->on_node_key(own_, now_));
  EXPECT_EQ(logged<CloseRegion>().size(), 1u);
}

PathsMemory example_memory() {
  PathsMemory memory;
  memory.disco = PrivateKey::generate();
  memory.home = 7;
  RememberedPeer& peer = memory.peers[Played().key()];
  peer.parking = ip("127.9.8.7");
  peer.path.kernel.direct = DirectPath{kHome, kOurs, 3};
  peer.path.rtt = 12ms;
  peer.path.last_region = 8;
  peer.path.seen = {kElsewhere, kHome};
  RememberedPeer& relayed = memory.peers[Played().key()];
  relayed.parking = ip("127.255.1.1");
  relayed.path.seen = {kHome, at("[2001:db8::1]:9")};
  relayed.path.kernel.reversed = relayed.path.seen;
  std::ranges::sort(relayed.path.kernel.reversed);
  return memory;
}

TEST(paths_memory, comes_back_as_it_was) {
  const PathsMemory memory = example_memory();
  EXPECT_EQ(parse_paths_memory(write_paths_memory(memory)), memory);
}

TEST(paths_memory, what_is_damaged_is_left_out) {
  const PathsMemory memory = example_memory();
  const std::string text = write_paths_memory(memory);
  for (const char* const nonsense : {"", "{", "[]", "null", "{\"v\":2}", "{\"v\":1}"})
    EXPECT_FALSE(parse_paths_memory(nonsense)) << nonsense;
  for (size_t length = 0; length + 2 < text.size(); ++length)
    ASSERT_FALSE(parse_paths_memory(std::string_view(text).substr(0, length))) << length;

  std::string loopback = text;
  loopback.replace(loopback.find("127.9.8.7"), 9, "127.0.0.1");
  EXPECT_EQ(parse_paths_memory(loopback)->peers.size(), 1u);
  std::string nowhere = text;
  nowhere.replace(nowhere.find("203.0.113.1:41641\",\"rtt"), 17, "224.0.0.1:4164100");
  const auto parsed = parse_paths_memory(nowhere);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->peers.size(), 1u);
}

TEST(parking, is_told_by_the_key) {
  std::set<IpAddress> seen;
  for (uint8_t i = 0; i < 100; ++i) {
    NodeKey key;
    key.bytes[7] = i;
    for (uint32_t attempt = 0; attempt < 3; ++attempt) {
      const IpAddress address = parking_for(key, attempt * 1000);
      EXPECT_TRUE(is_parking(address)) << address.text();
      EXPECT_EQ(address, parking_for(key, attempt * 1000));
      seen.insert(address);
    }
  }
  EXPECT_EQ(seen.size(), 300u);
  for (const char* const not_one :
       {"127.0.0.1", "127.0.255.7", "127.1.1.0", "127.1.1.255", "128.1.1.1", "::1", "10.1.1.1"})
    EXPECT_FALSE(is_parking(ip(not_one))) << not_one;
}

TEST_F(paths, two_peers_never_share_an_address) {
  PathPeer one = peer_.as_peer();
  PathPeer two = one;
  // The first 8 bytes tell the address.
  two.node_key.bytes[31] ^= 1;
  us_->on_peer(one, now_);
  us_->on_peer(two, now_);
  EXPECT_NE(us_->parking_of(one.node_key), us_->parking_of(two.node_key));
  const IpAddress second = *us_->parking_of(two.node_key);
  const std::string memory = us_->memory();

  start(memory);
  us_->on_peer(two, now_);  // in the other order
  us_->on_peer(one, now_);
  EXPECT_EQ(us_->parking_of(two.node_key), second);
}

TEST(allowance, a_burst_and_then_one_at_a_time) {
  Allowance allowance({.burst = 3, .refill = 100ms});
  Instant now{1h};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(allowance.take(now));
  EXPECT_FALSE(allowance.take(now));
  EXPECT_FALSE(allowance.take(now + 99ms));
  EXPECT_TRUE(allowance.take(now + 100ms));
  EXPECT_FALSE(allowance.take(now + 100ms));
  now += 10s;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(allowance.take(now));
  EXPECT_FALSE(allowance.take(now));
}

}  // namespace
}  // namespace sallyport
