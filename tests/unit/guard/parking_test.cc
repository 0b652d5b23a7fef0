// SPDX-License-Identifier: BSD-3-Clause
// Where a joined node may park peers, and by which steps it may move them.
#include <gtest/gtest.h>

#include <optional>

#include "agent/guard/bounds.h"
#include "tests/support/hostile_node.h"

namespace sallyport {
namespace {

constexpr uint16_t kRelay = 55000;

struct Parking : testing::Test {
  Victim victim;
  BoundsFacts facts{victim.own_key, victim.devices, kRelay};
  NodeState state;

  Parking() {
    for (size_t i = 0; i < facts.devices.size(); ++i) {
      facts.devices[i].index = static_cast<uint32_t>(i + 1);
    }
  }
  static TailnetPeer peer(uint8_t n, const char* parking) {
    TailnetPeer out;
    out.node_key = Victim::key(n);
    out.allowed_ips = {Prefix::host(IpAddress::v4(0x64400000U + n))};
    out.parking = IpAddress::parse(parking);
    out.endpoint = Endpoint{*out.parking, kRelay};
    return out;
  }
  std::optional<Refusal> judge() {
    const auto refused = check_bounds(state, victim.config, facts);
    if (refused.empty()) return {};
    return refused.front().reason;
  }
  std::optional<Refusal> steps(const std::vector<KernelStep>& list) {
    return check_steps({Victim::key(11), list}, state, victim.config, facts);
  }
};

Endpoint endpoint(const char* text) { return Endpoint::parse(text).value(); }

TEST_F(Parking, is_a_loopback_address_of_the_peers_own) {
  put(state, peer(11, "127.1.2.3"));
  put(state, peer(12, "127.1.2.4"));
  EXPECT_EQ(judge(), std::nullopt);
  put(state, peer(12, "127.1.2.3"));
  EXPECT_EQ(judge(), Refusal::kBadParking) << "another one is there";
  for (const char* text : {"127.0.0.1", "127.0.255.1", "10.1.0.7", "192.0.2.1"}) {
    state = {};
    put(state, peer(11, text));
    EXPECT_EQ(judge(), Refusal::kBadParking) << text;
  }
}

TEST_F(Parking, is_nobodys_without_a_tailnet) {
  facts.relay_port = 0;
  put(state, peer(11, "127.1.2.3"));
  EXPECT_EQ(judge(), Refusal::kBadParking);
  state = {};
  put(state, WireguardKey{PrivateKey::generate()});
  EXPECT_EQ(judge(), Refusal::kNotJoined);
}

TEST_F(Parking, is_the_only_loopback_endpoint_and_only_at_the_relays_port) {
  TailnetPeer one = peer(11, "127.1.2.3");
  for (const char* text : {"127.1.2.3:55001", "127.1.2.4:55000", "127.0.0.1:55000"}) {
    one.endpoint = endpoint(text);
    state = {};
    put(state, one);
    EXPECT_EQ(judge(), Refusal::kBadEndpoint) << text;
  }
  one.endpoint = endpoint("203.0.113.9:41641");
  state = {};
  put(state, one);
  EXPECT_EQ(judge(), std::nullopt);
}

TEST_F(Parking, the_tailnets_key_is_nobody_elses) {
  const PrivateKey key = PrivateKey::generate();
  put(state, WireguardKey{key});
  EXPECT_EQ(judge(), std::nullopt);
  victim.config.peers[0].public_key = key.public_key();
  EXPECT_EQ(judge(), Refusal::kConfiguredKey);
}

TEST_F(Parking, steps_lead_to_places_where_a_peer_can_be) {
  put(state, peer(11, "127.1.2.3"));
  const Endpoint away = endpoint("203.0.113.9:41641");
  const DirectPath path{away, IpAddress::parse("198.51.100.2").value(), 2};
  EXPECT_EQ(steps({SetPin{path}, PointAt{away, false}}), std::nullopt);
  EXPECT_EQ(steps({ClearPin{}, SetReverse{away}, PointAt{}}), std::nullopt);
  EXPECT_EQ(steps({ClearReverse{away}}), std::nullopt);

  for (const char* text : {"127.1.2.3:55000", "198.51.100.2:51820", "224.0.0.1:1"}) {
    EXPECT_EQ(steps({PointAt{endpoint(text), false}}), Refusal::kBadEndpoint) << text;
    EXPECT_EQ(steps({SetReverse{endpoint(text)}}), Refusal::kBadEndpoint) << text;
  }
  DirectPath wrong = path;
  wrong.ours = IpAddress::parse("198.51.100.3").value();
  EXPECT_EQ(steps({SetPin{wrong}}), Refusal::kBadEndpoint) << "not ours";
  wrong = path;
  wrong.ifindex = 3;
  EXPECT_EQ(steps({SetPin{wrong}}), Refusal::kBadEndpoint) << "another port's";
  wrong = {away, IpAddress::parse("127.0.0.1").value(), 1};
  EXPECT_EQ(steps({SetPin{wrong}}), Refusal::kBadEndpoint) << "loopback is no port";
}

TEST_F(Parking, only_a_parked_peer_of_the_tailnet_is_moved) {
  EXPECT_EQ(steps({ClearPin{}}), Refusal::kUnknownPeer);
  TailnetPeer one = peer(11, "127.1.2.3");
  one.wireguard_only = true;
  put(state, one);
  EXPECT_EQ(steps({ClearPin{}}), Refusal::kUnknownPeer);
  one.wireguard_only = false;
  one.parking.reset();
  put(state, one);
  EXPECT_EQ(steps({ClearPin{}}), Refusal::kBadParking);
  EXPECT_EQ(check_steps({Victim::key(1), {ClearPin{}}}, state, victim.config, facts),
            Refusal::kUnknownPeer)
      << "a configured peer";
}

}  // namespace
}  // namespace sallyport
