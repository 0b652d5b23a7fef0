// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/netmap_state.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/unit/node/netmap_example.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;
using tailcfg::MapResponse;
using tailcfg::PeerChange;

const WallTime kNow{1000h};
constexpr NodeId kTwo{2};
constexpr NodeId kThree{3};
constexpr NodeId kFour{4};

NetmapState with_peers(const std::vector<uint8_t>& peers) {
  NetmapState state;
  EXPECT_TRUE(state.apply(whole_frame(example_netmap(peers)), kNow));
  return state;
}
std::vector<NodeId> ids(const NetmapState& state) {
  std::vector<NodeId> out;
  for (const auto& [id, peer] : state.netmap().peers) out.push_back(id);
  return out;
}

TEST(netmap_state, begins_with_our_own_node) {
  NetmapState state;
  MapResponse frame;
  frame.domain = "example";
  EXPECT_EQ(state.apply(frame, kNow).error(), "the first netmap does not say who we are");
  EXPECT_EQ(state.netmap(), Netmap{});
  frame.node = example_node(1);
  const auto changes = state.apply(frame, kNow);
  ASSERT_TRUE(changes);
  EXPECT_TRUE(changes->self);
  EXPECT_EQ(state.netmap().self->allowed_ips, state.netmap().self->addresses);
}

TEST(netmap_state, the_whole_frame_makes_it_again) {
  Netmap netmap = example_netmap({2, 3});
  netmap.self->allowed_ips = netmap.self->addresses;
  netmap.derp_map.regions[5].id = 5;
  netmap.derp_map.region_score[5] = 0.5;
  netmap.dns.domains = {"tail.example"};
  netmap.domain = "example";
  netmap.filters["extra"] = {};
  netmap.health = {"ill"};
  netmap.messages["m"].title = "T";
  netmap.tka = {"head", false};
  netmap.ssh_policy = RawJson{"{}"};
  NetmapState state;
  const std::string saved = tailcfg::write_map_response(whole_frame(netmap));
  const auto frame = tailcfg::parse_map_response(saved);
  ASSERT_TRUE(frame) << frame.error().text();
  ASSERT_TRUE(state.apply(*frame, kNow));
  EXPECT_EQ(state.netmap(), netmap);
  // And says nothing new the second time.
  const auto again = state.apply(*frame, kNow);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->any());
}

struct Row {
  const char* what;
  std::function<void(MapResponse&)> frame;
  std::map<NodeId, uint8_t> changed;
  std::vector<NodeId> left;
};

TEST(netmap_state, deltas_touch_whom_they_name) {
  const auto changed = [](uint8_t n, const std::function<void(NetmapNode&)>& edit) {
    NetmapNode node = example_node(n);
    edit(node);
    return node;
  };
  const auto patch = [](NodeId id, const std::function<void(PeerChange&)>& edit) {
    return [=](MapResponse& f) {
      PeerChange change;
      change.node_id = id;
      edit(change);
      f.peers_changed_patch.push_back(change);
    };
  };
  const Row rows[] = {
      {"nothing", [](MapResponse&) {}, {}, {kTwo, kThree}},
      {"empty Peers is no list", [](MapResponse& f) { f.peers = {}; }, {}, {kTwo, kThree}},
      {"a whole list replaces, and other members about peers do not count",
       [&](MapResponse& f) {
         f.peers = {example_node(2), example_node(4)};
         f.peers_removed = {kTwo};
         f.online_change = {{kTwo, true}};
       },
       {{kThree, kPeerGone}, {kFour, kPeerNew}},
       {kTwo, kFour}},
      {"removed",
       [](MapResponse& f) { f.peers_removed = {kThree, kFour}; },
       {{kThree, kPeerGone}},
       {kTwo}},
      {"removed and there again: another one",
       [](MapResponse& f) {
         f.peers_removed = {kTwo};
         f.peers_changed = {example_node(2)};
       },
       {{kTwo, kPeerGone | kPeerNew}},
       {kTwo, kThree}},
      {"changed to the same",
       [](MapResponse& f) { f.peers_changed = {example_node(2)}; },
       {},
       {kTwo, kThree}},
      {"new route",
       [&](MapResponse& f) {
         f.peers_changed = {changed(2, [](NetmapNode& n) {
           n.allowed_ips = {prefix("100.64.0.2"), prefix("10.0.0.0/8")};
         })};
       },
       {{kTwo, kPeerTunnel}},
       {kTwo, kThree}},
      {"jail",
       [&](MapResponse& f) {
         f.peers_changed = {changed(2, [](NetmapNode& n) { n.jailed = true; })};
       },
       {{kTwo, kPeerTunnel | kPeerAccess}},
       {kTwo, kThree}},
      {"online",
       [](MapResponse& f) { f.online_change = {{kTwo, true}, {kFour, true}}; },
       {{kTwo, kPeerPresence}},
       {kTwo, kThree}},
      {"seen",
       [](MapResponse& f) { f.peer_seen_change = {{kThree, true}, {kTwo, false}}; },
       {{kThree, kPeerPresence}},
       {kTwo, kThree}},
      {"patched endpoints",
       patch(kTwo, [](PeerChange& c) { c.endpoints = {*Endpoint::parse("192.0.2.1:5")}; }),
       {{kTwo, kPeerPath}},
       {kTwo, kThree}},
      {"patched home",
       patch(kTwo, [](PeerChange& c) { c.derp_region = 4; }),
       {{kTwo, kPeerPath}},
       {kTwo, kThree}},
      {"patched to what it was",
       patch(kTwo, [](PeerChange& c) { c.derp_region = 1; }),
       {},
       {kTwo, kThree}},
      {"patched key and disco",
       patch(kTwo,
             [](PeerChange& c) {
               c.node_key = example_key(9);
               c.disco_key.emplace().bytes.fill(9);
             }),
       {{kTwo, kPeerTunnel | kPeerPath}},
       {kTwo, kThree}},
      {"patched expiry",
       patch(kTwo, [](PeerChange& c) { c.key_expiry.emplace(kNow); }),
       {{kTwo, kPeerTunnel}},
       {kTwo, kThree}},
      {"patched caps",
       patch(kTwo, [](PeerChange& c) { c.cap_map.emplace()["x"]; }),
       {{kTwo, kPeerAccess}},
       {kTwo, kThree}},
      {"patch of a stranger",
       patch(kFour, [](PeerChange& c) { c.derp_region = 4; }),
       {},
       {kTwo, kThree}},
      {"patches come after the list",
       [&](MapResponse& f) {
         f.peers_changed = {example_node(4)};
         patch(kFour, [](PeerChange& c) { c.online = true; })(f);
       },
       {{kFour, kPeerNew | kPeerPresence}},
       {kTwo, kThree, kFour}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    NetmapState state = with_peers({2, 3});
    MapResponse frame;
    row.frame(frame);
    const auto changes = state.apply(frame, kNow);
    ASSERT_TRUE(changes) << changes.error();
    NetmapChanges expected;
    expected.peers = row.changed;
    EXPECT_EQ(changes->peers, row.changed);
    EXPECT_EQ(*changes, expected);
    EXPECT_EQ(ids(state), row.left);
  }
}

TEST(netmap_state, the_values_of_deltas_arrive) {
  NetmapState state = with_peers({2, 3});
  MapResponse frame;
  frame.peer_seen_change = {{kTwo, true}};
  frame.online_change = {{kTwo, false}};
  PeerChange change;
  change.node_id = kTwo;
  change.derp_region = 12;
  change.cap = 140;
  change.endpoints = {*Endpoint::parse("192.0.2.1:5")};
  change.key_signature = Bytes{1};
  change.key_expiry.emplace(std::nullopt);
  frame.peers_changed_patch = {change};
  ASSERT_TRUE(state.apply(frame, kNow));
  const NetmapNode& peer = state.netmap().peers.at(kTwo);
  EXPECT_EQ(peer.last_seen, kNow);
  EXPECT_EQ(peer.online, false);
  EXPECT_EQ(peer.home_derp, 12);
  EXPECT_EQ(peer.cap, 140U);
  EXPECT_EQ(peer.endpoints.size(), 1U);
  EXPECT_EQ(peer.key_signature, Bytes{1});
  EXPECT_EQ(peer.key_expiry, std::nullopt);
  EXPECT_EQ(peer.name, "node2.tail.example.");
}

TEST(netmap_state, an_unsigned_peer_has_its_addresses_only) {
  NetmapState state = with_peers({2});
  MapResponse frame;
  frame.peers_changed = {example_node(2)};
  frame.peers_changed[0].unsigned_peerapi_only = true;
  frame.peers_changed[0].allowed_ips = {prefix("100.64.0.2"), prefix("10.0.0.0/8")};
  ASSERT_TRUE(state.apply(frame, kNow));
  EXPECT_EQ(state.netmap().peers.at(kTwo).allowed_ips, example_node(2).addresses);
}

TEST(netmap_state, filters_by_name) {
  const std::vector<FilterRule> some = {filter_rule({"*"}, {to("10.0.0.1")})};
  const std::vector<FilterRule> other = {filter_rule({"*"}, {to("10.0.0.2")})};
  const struct {
    const char* what;
    std::function<void(MapResponse&)> frame;
    std::map<std::string, std::vector<FilterRule>> left;
    bool changed;
  } rows[] = {
      {"absent", [](MapResponse&) {}, {{"base", some}, {"web", other}}, false},
      {"unnamed is base",
       [&](MapResponse& f) { f.packet_filter = other; },
       {{"base", other}, {"web", other}},
       true},
      {"the same",
       [&](MapResponse& f) { f.packet_filter = some; },
       {{"base", some}, {"web", other}},
       false},
      {"empty shuts",
       [](MapResponse& f) { f.packet_filter.emplace(); },
       {{"base", {}}, {"web", other}},
       true},
      {"null deletes",
       [](MapResponse& f) { f.packet_filters = {{"web", std::nullopt}, {"none", std::nullopt}}; },
       {{"base", some}},
       true},
      {"star clears first",
       [&](MapResponse& f) { f.packet_filters = {{"*", std::nullopt}, {"new", some}}; },
       {{"new", some}},
       true},
      {"star with rules is nothing",
       [&](MapResponse& f) { f.packet_filters = {{"*", other}}; },
       {{"base", some}, {"web", other}},
       false},
      {"both: names after the unnamed",
       [&](MapResponse& f) {
         f.packet_filter = other;
         f.packet_filters = {{"base", std::nullopt}};
       },
       {{"web", other}},
       true},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    NetmapState state = with_peers({});
    MapResponse first;
    first.packet_filters = {{"base", some}, {"web", other}};
    ASSERT_TRUE(state.apply(first, kNow));
    MapResponse frame;
    row.frame(frame);
    const auto changes = state.apply(frame, kNow);
    ASSERT_TRUE(changes);
    EXPECT_EQ(state.netmap().filters, row.left);
    EXPECT_EQ(changes->filter, row.changed);
  }
}

TEST(netmap_state, the_rest_is_kept_if_absent) {
  NetmapState state = with_peers({});
  MapResponse frame;
  frame.dns_config.emplace().domains = {"d"};
  frame.derp_map = {std::map<uint16_t, DerpRegion>{{5, {}}}, std::map<uint16_t, double>{{5, 2}},
                    false};
  frame.domain = "dom";
  frame.health = {{"ill"}};
  frame.display_messages = {{"a", DisplayMessage{}}, {"b", DisplayMessage{}}};
  frame.user_profiles = {{.id = UserId{9},
                          .login_name = "bob",
                          .display_name = {},
                          .profile_pic_url = {},
                          .groups = {}}};
  ASSERT_TRUE(state.apply(frame, kNow));
  const Netmap before = state.netmap();
  ASSERT_TRUE(state.apply(MapResponse{}, kNow));
  EXPECT_EQ(state.netmap(), before);

  MapResponse scores;
  scores.derp_map = {std::nullopt, std::map<uint16_t, double>{{5, 3}}, false};
  scores.health.emplace();
  scores.display_messages = {{"a", std::nullopt}};
  const auto changes = state.apply(scores, kNow);
  ASSERT_TRUE(changes);
  EXPECT_TRUE(changes->derp_map && changes->messages && !changes->dns && !changes->self);
  EXPECT_EQ(state.netmap().derp_map.regions.size(), 1U);
  EXPECT_EQ(state.netmap().derp_map.region_score.at(5), 3);
  EXPECT_TRUE(state.netmap().health.empty());
  EXPECT_EQ(state.netmap().messages.size(), 1U);
  EXPECT_EQ(state.netmap().users.size(), 2U);  // merged by id
  MapResponse clear;
  clear.display_messages = {{"*", std::nullopt}};
  ASSERT_TRUE(state.apply(clear, kNow));
  EXPECT_TRUE(state.netmap().messages.empty());
}

TEST(netmap_state, a_keepalive_tells_the_time_and_no_more) {
  NetmapState state = with_peers({2});
  MapResponse frame;
  frame.keep_alive = true;
  frame.control_time = kNow + 5s;
  frame.peers_removed = {kTwo};
  const auto changes = state.apply(frame, kNow);
  ASSERT_TRUE(changes);
  NetmapChanges expected;
  expected.clock = true;
  EXPECT_EQ(*changes, expected);
  EXPECT_EQ(state.netmap().clock_offset, Duration(5s));
  EXPECT_EQ(ids(state), std::vector{kTwo});
}

TEST(netmap_state, what_is_too_much_changes_nothing) {
  NetmapState state = with_peers({2});
  const Netmap before = state.netmap();
  MapResponse many;
  for (int64_t n = 0; n < static_cast<int64_t>(kMaxNetmapPeers); ++n) {
    many.peers_changed.push_back(example_node(3));
    many.peers_changed.back().id = NodeId{n + 10};
  }
  EXPECT_EQ(state.apply(many, kNow).error(), "more peers than we take");
  MapResponse rules;
  rules.node = example_node(9);
  rules.packet_filters = {{"a", std::vector<FilterRule>(8000)},
                          {"b", std::vector<FilterRule>(8385)}};
  EXPECT_EQ(state.apply(rules, kNow).error(), "more filter rules than we take");
  MapResponse nameless;
  nameless.peers_changed = {NetmapNode{}};
  EXPECT_EQ(state.apply(nameless, kNow).error(), "a peer has no id");
  EXPECT_EQ(state.netmap(), before);
  many.peers = std::move(many.peers_changed);  // as a whole list it is just enough
  EXPECT_TRUE(state.apply(many, kNow));
  EXPECT_EQ(state.netmap().peers.size(), kMaxNetmapPeers);
}

}  // namespace
}  // namespace sallyport
