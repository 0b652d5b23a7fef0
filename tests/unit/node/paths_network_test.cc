// SPDX-License-Identifier: BSD-3-Clause
// Our own network: STUN, the report, home, and the relays.
#include "tests/unit/node/paths_world.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;

class paths_network : public paths {};

TEST_F(paths_network, the_first_report) {
  add(us_->on_local_addresses({kOurs}, kWgPort, now_));
  EXPECT_EQ(logged<AnnounceEndpoints>().at(0).endpoints,
            std::vector(1, OwnEndpoint{{kOurs, kWgPort}, EndpointKind::kLocal}));
  EXPECT_TRUE(logged<SendDatagram>().empty()) << "there is nobody to ask";
  log_.clear();

  add(us_->on_derp_map(derp_map(), now_));
  const auto probes = logged<SendDatagram>();
  ASSERT_EQ(probes.size(), 1u);
  EXPECT_EQ(probes[0].to, kStunServer);
  EXPECT_TRUE(stun::parse_request(probes[0].bytes));
  answer_stun(at("203.0.113.50:4000"));

  const auto reports = logged<NetcheckDone>();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_TRUE(reports[0].report.udp);
  EXPECT_EQ(reports[0].report.home, kRegion);
  EXPECT_EQ(us_->home(), kRegion);
  EXPECT_EQ(logged<AnnounceNetwork>().at(0).info.preferred_derp, kRegion);
  const auto announced = logged<AnnounceEndpoints>();
  ASSERT_EQ(announced.size(), 1u);
  EXPECT_EQ(announced[0].endpoints.at(0),
            (OwnEndpoint{at("203.0.113.50:4000"), EndpointKind::kStun}));
  const auto dials = logged<DialRegion>();
  ASSERT_EQ(dials.size(), 1u);
  EXPECT_EQ(dials[0].region, kRegion);
  EXPECT_EQ(dials[0].node.host_name, "derp.example.net");
}

TEST_F(paths_network, the_same_again_is_no_news) {
  join();
  for (int i = 0; i < 3; ++i) {
    add(us_->start_netcheck(now_));
    answer_stun();
  }
  EXPECT_EQ(logged<NetcheckDone>().size(), 3u);
  EXPECT_TRUE(logged<AnnounceNetwork>().empty());
  EXPECT_TRUE(logged<AnnounceEndpoints>().empty());
  EXPECT_TRUE(logged<DialRegion>().empty());
}

DerpMap named_map() {
  DerpMap map = derp_map();
  map.regions[kRegion].nodes[0].ipv4.clear();
  return map;
}

TEST_F(paths_network, names_are_looked_up_first) {
  add(us_->on_local_addresses({kOurs}, kWgPort, now_));
  add(us_->on_derp_map(named_map(), now_));
  ASSERT_EQ(logged<FindAddress>(), std::vector(1, FindAddress{"derp.example.net"}));
  EXPECT_TRUE(logged<SendDatagram>().empty());
  now_ += 50ms;
  add(us_->on_lookup("derp.example.net", {ip("192.0.2.90")}, now_));
  ASSERT_EQ(logged<SendDatagram>().size(), 1u);
  EXPECT_EQ(logged<SendDatagram>()[0].to, kStunServer);
  answer_stun();
  log_.clear();
  add(us_->start_netcheck(now_));
  EXPECT_TRUE(logged<FindAddress>().empty()) << "known";
  EXPECT_EQ(logged<SendDatagram>().size(), 1u);
}

TEST_F(paths_network, a_resolver_that_is_silent_stops_nothing) {
  add(us_->on_local_addresses({kOurs}, kWgPort, now_));
  add(us_->on_derp_map(named_map(), now_));
  run(20s);
  ASSERT_FALSE(logged<NetcheckDone>().empty());
  EXPECT_FALSE(logged<NetcheckDone>()[0].report.udp);
  EXPECT_EQ(logged<ProbeRegion>().at(0).region, kRegion);
  EXPECT_EQ(us_->home(), kRegion) << "the only one";
}

TEST_F(paths_network, without_udp_by_https) {
  us_->on_local_addresses({kOurs}, kWgPort, now_);
  add(us_->on_derp_map(derp_map(), now_));
  run(kStunPhase);
  ASSERT_EQ(logged<ProbeRegion>().size(), 1u);
  EXPECT_EQ(logged<ProbeRegion>()[0].node.host_name, "derp.example.net");
  add(us_->on_https(kRegion, 40ms, now_));
  ASSERT_EQ(logged<NetcheckDone>().size(), 1u);
  EXPECT_EQ(logged<NetcheckDone>()[0].report.latency.at(kRegion), 40ms);
  EXPECT_EQ(us_->regions().at(0).latency, 40ms);
  EXPECT_EQ(us_->home(), kRegion);
}

TEST_F(paths_network, a_packet_waits_for_the_login) {
  us_->on_peer(peer_.as_peer(), now_);
  add(us_->on_derp_map(derp_map(), now_));
  park();
  EXPECT_EQ(last_.route, DerpRoute::kHeld);
  EXPECT_EQ(logged<DialRegion>().size(), 1u);
  relay_up();
  const auto sent = logged<SendPacketBy>();
  ASSERT_GE(sent.size(), 1u);
  EXPECT_EQ(sent[0].packet, wireguard(WireguardType::kInitiation));
  EXPECT_EQ(logged<PathsNote>().at(0).event, PathsEvent::kDerpUp);
  park();
  EXPECT_EQ(last_.route, DerpRoute::kNow);
}

TEST_F(paths_network, no_relay_no_way) {
  PathPeer peer = peer_.as_peer();
  peer.home_region = 17;  // which the map has not
  us_->on_peer(peer, now_);
  join();
  park();
  EXPECT_EQ(last_.route, DerpRoute::kNone);
  EXPECT_EQ(us_->counters().parked_lost, 1u);
}

TEST_F(paths_network, a_relay_that_fails) {
  join();
  const auto up = us_->regions();
  EXPECT_EQ(up.at(0).state, DerpState::kUp);
  // Dials count up from one.
  add(us_->on_derp_closed(kRegion, 1, "reset", now_));
  const auto notes = logged<PathsNote>();
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0], (PathsNote{PathsEvent::kDerpDown, kRegion, {}, "reset"}));
  EXPECT_EQ(logged<SendDatagram>().size(), 1u) << "is it the network?";
  run(1s);
  EXPECT_FALSE(logged<DialRegion>().empty());
}

TEST_F(paths_network, the_relay_complains) {
  join();
  add(us_->on_derp_message(kRegion, derp::Health{"two of you"}, now_).actions);
  EXPECT_EQ(logged<PathsNote>().at(0),
            (PathsNote{PathsEvent::kDerpComplains, kRegion, {}, "two of you"}));
  EXPECT_EQ(us_->regions().at(0).problem, "two of you");
}

TEST_F(paths_network, a_peer_that_has_gone_from_another_relay) {
  DerpMap map = derp_map();
  map.regions[17] = map.regions[kRegion];
  map.regions[17].id = 17;
  PathPeer peer = peer_.as_peer();
  peer.home_region = 17;
  us_->on_peer(peer, now_);
  join();
  us_->on_derp_map(map, now_);
  const Bytes packet = wireguard(WireguardType::kData);
  relayed(peer_.key(), packet);
  EXPECT_EQ(us_->status(peer_.key())->region, kRegion) << "where it was heard";
  us_->on_derp_message(kRegion, derp::PeerGone{peer_.key(), derp::GoneReason::kNotHere}, now_);
  EXPECT_EQ(us_->status(peer_.key())->region, 17);
}

TEST_F(paths_network, another_network) {
  join();
  us_->on_peer(peer_.as_peer(), now_);
  go_direct();
  log_.clear();
  now_ += 1s;
  add(us_->on_local_addresses({ip("192.168.7.7")}, kWgPort, now_));
  add(us_->on_network_changed(now_));
  EXPECT_EQ(us_->status(peer_.key())->state, PathState::kDoubt);
  EXPECT_EQ(logged<SendFrame>().size(), 1u) << "does the relay still hear us?";
  bool stun = false;
  bool ping = false;
  for (const SendDatagram& sent : logged<SendDatagram>()) {
    stun = stun || sent.to == kStunServer;
    ping = ping || sent.to == kHome;
  }
  EXPECT_TRUE(stun);
  EXPECT_TRUE(ping);
}

TEST_F(paths_network, a_report_of_a_network_that_is_gone_counts_for_nothing) {
  us_->on_local_addresses({kOurs}, kWgPort, now_);
  add(us_->on_derp_map(derp_map(), now_));
  PathsActions first = std::exchange(log_, {});
  add(us_->on_local_addresses({ip("192.168.7.7")}, kWgPort, now_));
  PathsActions second = std::exchange(log_, std::move(first));
  answer_stun(at("203.0.113.1:1"));
  EXPECT_TRUE(logged<NetcheckDone>().empty());
  log_ = std::move(second);
  answer_stun(at("203.0.113.2:2"));
  ASSERT_EQ(logged<NetcheckDone>().size(), 1u);
  EXPECT_EQ(logged<NetcheckDone>()[0].report.seen, std::vector{at("203.0.113.2:2")});
}

TEST_F(paths_network, home_stays_without_a_control_server) {
  join();
  DerpMap map = derp_map();
  map.regions[17] = map.regions[kRegion];
  map.regions[17].id = 17;
  map.regions[17].nodes[0].ipv4 = "192.0.2.17";
  const auto much_nearer = [&] {
    now_ += kFullReportEvery + 1s;
    log_.clear();
    add(us_->on_derp_map(map, now_));
    add(us_->start_netcheck(now_));
    const PathsActions log = std::move(log_);
    log_.clear();
    for (const char* const first : {"192.0.2.17:3478", "192.0.2.90:3478"}) {
      now_ += 90ms;
      for (const SendDatagram& sent : all<SendDatagram>(log)) {
        const auto tx = stun::parse_request(sent.bytes);
        if (!tx || sent.to != at(first)) continue;
        Bytes response(stun::kMaxResponse);
        response.resize(stun::write_response(*tx, kHome, response).size());
        add(us_->on_datagram({sent.to, kOurs, 2}, response, now_));
      }
    }
    run(10s);
  };
  much_nearer();
  EXPECT_EQ(us_->home(), kRegion);
  us_->on_control(true, now_);
  much_nearer();
  EXPECT_EQ(us_->home(), 17);
  EXPECT_EQ(logged<AnnounceNetwork>().back().info.preferred_derp, 17);
}

}  // namespace
}  // namespace sallyport
