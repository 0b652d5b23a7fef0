// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/netmap_plan.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "agent/policy/special_ranges.h"
#include "tests/unit/node/netmap_example.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;

const WallTime kNow{1000h};
constexpr NodeId kTwo{2};
constexpr NodeId kThree{3};

std::vector<Prefix> prefixes(const std::vector<std::string>& texts) {
  std::vector<Prefix> out;
  for (const std::string& text : texts) out.push_back(prefix(text));
  std::ranges::sort(out);
  return out;
}
std::vector<Prefix> own(uint8_t n) {
  auto out = example_node(n).addresses;
  std::ranges::sort(out);
  return out;
}
std::vector<Prefix> own_and(uint8_t n, const std::vector<std::string>& more) {
  auto out = prefixes(more);
  for (const Prefix& address : own(n)) out.push_back(address);
  std::ranges::sort(out);
  return out;
}

struct Situation {
  Netmap netmap = example_netmap({2, 3});
  JoinPrefs prefs;
  PlanFacts facts;
  NetmapNode& peer(NodeId id) { return netmap.peers.at(id); }
  void add_routes(NodeId id, const std::vector<std::string>& routes) {
    for (const std::string& route : routes) peer(id).allowed_ips->push_back(prefix(route));
  }
};
NetmapPlan planned(const Situation& s, WallTime now = kNow) {
  NetmapPlanner planner(s.prefs, s.facts);
  (void)planner.replan(s.netmap, now);
  return planner.plan();
}

using Owned = std::map<NodeId, std::vector<Prefix>>;

TEST(netmap_plan, who_has_which_prefix) {
  const struct {
    const char* what;
    std::function<void(Situation&)> change;
    Owned owned;
  } rows[] = {
      {"addresses", [](Situation&) {}, {{kTwo, own(2)}, {kThree, own(3)}}},
      {"routes are not taken unasked",
       [](Situation& s) { s.add_routes(kTwo, {"10.9.0.0/16"}); },
       {{kTwo, own(2)}, {kThree, own(3)}}},
      {"routes are taken",
       [](Situation& s) {
         s.prefs.accept_routes = true;
         s.add_routes(kTwo, {"10.9.0.0/16"});
       },
       {{kTwo, own_and(2, {"10.9.0.0/16"})}, {kThree, own(3)}}},
      {"a service address is no route",
       [](Situation& s) { s.add_routes(kTwo, {"100.99.0.7"}); },
       {{kTwo, own_and(2, {"100.99.0.7"})}, {kThree, own(3)}}},
      {"host bits are cleared",
       [](Situation& s) {
         s.prefs.accept_routes = true;
         s.add_routes(kTwo, {"10.9.1.1/16"});
       },
       {{kTwo, own_and(2, {"10.9.0.0/16"})}, {kThree, own(3)}}},
      {"no default route",
       [](Situation& s) {
         s.prefs.accept_routes = true;
         s.add_routes(kTwo, {"0.0.0.0/0", "::/0"});
       },
       {{kTwo, own(2)}, {kThree, own(3)}}},
      {"but from the exit node",
       [](Situation& s) {
         s.prefs.exit_node = "s2";
         s.add_routes(kTwo, {"0.0.0.0/0", "::/0", "10.9.0.0/16"});
         s.add_routes(kThree, {"0.0.0.0/0", "::/0"});
       },
       {{kTwo, own_and(2, {"0.0.0.0/0", "::/0"})}, {kThree, own(3)}}},
      {"not what we are connected to, serve, or are",
       [](Situation& s) {
         s.prefs.accept_routes = true;
         s.facts.local_networks = {prefix("10.8.1.0/24")};
         s.prefs.advertise_routes = {prefix("10.7.0.0/16"), prefix("0.0.0.0/0")};
         s.add_routes(kTwo, {"10.8.0.0/16", "10.7.3.0/24", "100.64.0.1", "10.9.0.0/16"});
       },
       {{kTwo, own_and(2, {"10.9.0.0/16"})}, {kThree, own(3)}}},
      {"one prefix has one owner, the lower id",
       [](Situation& s) {
         s.prefs.accept_routes = true;
         s.add_routes(kTwo, {"10.9.0.0/16"});
         s.add_routes(kThree, {"10.9.0.0/16", "10.9.1.0/24"});
       },
       {{kTwo, own_and(2, {"10.9.0.0/16"})}, {kThree, own_and(3, {"10.9.1.0/24"})}}},
      {"an address goes before a route",
       [](Situation& s) {
         s.prefs.accept_routes = true;
         s.peer(kThree).addresses.push_back(prefix("10.9.0.3"));
         s.add_routes(kThree, {"10.9.0.3"});
         s.add_routes(kTwo, {"10.9.0.3"});
       },
       {{kTwo, own(2)}, {kThree, own_and(3, {"10.9.0.3"})}}},
      {"without IPv6",
       [](Situation& s) { s.facts.ipv6 = false; },
       {{kTwo, prefixes({"100.64.0.2"})}, {kThree, prefixes({"100.64.0.3"})}}},
      {"expired", [](Situation& s) { s.peer(kTwo).expired = true; }, {{kThree, own(3)}}},
      {"its key has expired",
       [](Situation& s) { s.peer(kTwo).key_expiry = kNow; },
       {{kThree, own(3)}}},
      {"its key has not expired by the server's clock",
       [](Situation& s) {
         s.peer(kTwo).key_expiry = kNow;
         s.netmap.clock_offset = -1s;
       },
       {{kTwo, own(2)}, {kThree, own(3)}}},
      {"nothing can reach it",
       [](Situation& s) {
         s.peer(kTwo).disco_key = {};
         s.peer(kTwo).home_derp = 0;
       },
       {{kThree, own(3)}}},
      {"no disco, but DERP",
       [](Situation& s) { s.peer(kTwo).disco_key = {}; },
       {{kTwo, own(2)}, {kThree, own(3)}}},
      {"no prefixes", [](Situation& s) { s.peer(kTwo).allowed_ips->clear(); }, {{kThree, own(3)}}},
      {"no key", [](Situation& s) { s.peer(kTwo).node_key = {}; }, {{kThree, own(3)}}},
      {"our key", [](Situation& s) { s.peer(kTwo).node_key = example_key(1); }, {{kThree, own(3)}}},
      {"one key has one owner",
       [](Situation& s) { s.peer(kThree).node_key = example_key(2); },
       {{kTwo, own(2)}}},
      {"we have expired", [](Situation& s) { s.netmap.self->key_expiry = kNow; }, {}},
      {"we are not authorised",
       [](Situation& s) { s.netmap.self->machine_authorized = false; },
       {}},
      {"no netmap", [](Situation& s) { s.netmap.self.reset(); }, {}},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    Situation s;
    row.change(s);
    const NetmapPlan plan = planned(s);
    Owned owned;
    for (const auto& [id, peer] : plan.peers) owned[id] = peer.allowed_ips;
    EXPECT_EQ(owned, row.owned);
    EXPECT_EQ(plan.refused.empty(), !row.owned.empty());
    EXPECT_EQ(plan.addresses, row.owned.empty() ? std::vector<Prefix>{}
                              : s.facts.ipv6    ? own(1)
                                                : prefixes({"100.64.0.1"}));
    EXPECT_EQ(plan.rules.empty(), row.owned.empty());
  }
}

TEST(netmap_plan, what_the_agent_hears_of_a_peer) {
  Situation s;
  s.peer(kTwo).name = std::string("a\x1b") + std::string(300, 'x') + ".";
  s.peer(kTwo).jailed = true;
  s.peer(kTwo).endpoints = {*Endpoint::parse("192.0.2.1:5")};
  NetmapNode& wg = s.peer(kThree);
  wg.wireguard_only = true;
  wg.disco_key = {};
  wg.home_derp = 0;
  wg.endpoints = {*Endpoint::parse("[2001:db8::1]:51820"), *Endpoint::parse("192.0.2.3:51820")};
  wg.masquerade_v4 = IpAddress::parse("172.16.9.9");
  wg.masquerade_v6 = IpAddress::parse("fd00::9");
  wg.sharer = UserId{8};
  s.netmap.users[UserId{8}].login_name = "bob@example.com";
  NetmapPlan plan = planned(s);
  const TailnetPeer two = plan.peers.at(kTwo);
  EXPECT_EQ(two.name.size(), 255U);
  EXPECT_EQ(two.name.substr(0, 6), "a\\x1bx");
  EXPECT_EQ(two.user, "alice@example.com");
  EXPECT_TRUE(two.jailed);
  EXPECT_FALSE(two.endpoint);  // path discovery's
  const TailnetPeer three = plan.peers.at(kThree);
  EXPECT_EQ(three.name, "node3.tail.example");
  EXPECT_EQ(three.user, "bob@example.com");
  EXPECT_TRUE(three.wireguard_only);
  EXPECT_EQ(three.endpoint, wg.endpoints[0]);
  EXPECT_EQ(three.masquerade_v4, wg.masquerade_v4);
  EXPECT_EQ(three.masquerade_v6, wg.masquerade_v6);
  s.facts.ipv6 = false;
  plan = planned(s);
  EXPECT_EQ(plan.peers.at(kThree).endpoint, wg.endpoints[1]);
  EXPECT_EQ(plan.peers.at(kThree).masquerade_v6, std::nullopt);
}

TEST(netmap_plan, routes_that_we_serve) {
  Situation s;
  s.prefs.advertise_routes = {prefix("::/0"), prefix("10.1.0.0/16"), prefix("0.0.0.0/0"),
                              prefix("10.2.0.0/16"), prefix("10.1.0.0/16")};
  s.prefs.snat = {{prefix("10.2.0.0/16"), false}, {prefix("10.3.0.0/16"), false}};
  EXPECT_EQ(planned(s).routes, (std::vector<ServedRoute>{{prefix("::/0"), true},
                                                         {prefix("0.0.0.0/0"), true},
                                                         {prefix("10.1.0.0/16"), true},
                                                         {prefix("10.2.0.0/16"), false}}));
  s.facts.ipv6 = false;
  EXPECT_EQ(planned(s).routes.size(), 3U);
}

TEST(netmap_plan, rules_reach_what_is_ours) {
  Situation s;
  s.prefs.advertise_routes = {prefix("10.1.0.0/16")};
  s.peer(kThree).masquerade_v4 = IpAddress::parse("172.16.9.9");
  NetmapPlan plan = planned(s);
  ASSERT_EQ(plan.rules.size(), 1U);
  EXPECT_EQ(plan.rules[0].from, ranges({"0.0.0.0/0", "::/0"}));
  EXPECT_EQ(plan.rules[0].to,
            ranges({"100.64.0.1", "fd7a:115c:a1e0::1", "10.1.0.0/16", "172.16.9.9"}));

  s.prefs.advertise_routes = {prefix("0.0.0.0/0")};
  s.facts.local_networks = {prefix("198.51.100.0/24"), prefix("192.168.1.0/24")};
  plan = planned(s);
  const auto reaches = [&](const char* address) {
    return contains(plan.rules.at(0).to, *IpAddress::parse(address));
  };
  EXPECT_TRUE(reaches("9.9.9.9"));
  EXPECT_TRUE(reaches("100.64.0.1"));
  for (const char* closed : {"10.1.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.2", "169.254.1.1",
                             "224.0.0.1", "198.51.100.7", "2001:db8::1"})
    EXPECT_FALSE(reaches(closed)) << closed;

  s.prefs.shields_up = true;
  plan = planned(s);
  EXPECT_TRUE(plan.rules.empty());
  EXPECT_EQ(plan.refused, "");
  EXPECT_EQ(plan.peers.size(), 2U);
}

TEST(netmap_plan, the_jailed_are_let_in_by_no_rule) {
  Situation s;
  s.prefs.accept_routes = true;
  s.peer(kTwo).jailed = true;
  s.add_routes(kTwo, {"10.9.0.0/16"});
  s.add_routes(kThree, {"10.9.1.0/24"});
  const NetmapPlan plan = planned(s);
  ASSERT_EQ(plan.rules.size(), 1U);
  const auto lets_in = [&](const char* address) {
    return contains(plan.rules[0].from, *IpAddress::parse(address));
  };
  EXPECT_FALSE(lets_in("100.64.0.2"));
  EXPECT_FALSE(lets_in("10.9.2.1"));
  EXPECT_TRUE(lets_in("10.9.1.1"));  // the free peer's, inside
  EXPECT_TRUE(lets_in("100.64.0.3"));
}

TEST(netmap_plan, one_changed_peer_touches_one_peer) {
  Netmap netmap = example_netmap({});
  for (int n = 2; n < 1000; ++n) {
    NetmapNode node = example_node(2);
    node.id = NodeId{n};
    node.node_key.bytes = {static_cast<uint8_t>(n), static_cast<uint8_t>(n >> 8), 1};
    const std::string host = std::to_string(n / 250) + "." + std::to_string(n % 250 + 1);
    node.addresses = {prefix("100.65." + host)};
    node.allowed_ips = node.addresses;
    netmap.peers[node.id] = node;
  }
  NetmapPlanner planner({}, {});
  EXPECT_EQ(planner.replan(netmap, kNow).puts.size(), 998U + 2U + 1U);
  NetmapNode& peer = netmap.peers.at(NodeId{500});
  peer.name = "other.";
  NetmapChanges changes;
  changes.peers[peer.id] = kPeerTunnel;
  PlanDelta delta = planner.update(netmap, changes, kNow);
  EXPECT_EQ(delta.deletes.size(), 0U);
  ASSERT_EQ(delta.puts.size(), 1U);
  EXPECT_EQ(std::get<TailnetPeer>(delta.puts[0]).name, "other");

  const NodeKey before = peer.node_key;
  peer.node_key = example_key(200);
  delta = planner.update(netmap, changes, kNow);
  EXPECT_EQ(delta.deletes, (std::vector{ObjectId{ObjectKind::kPeer, before, {}, 0}}));
  EXPECT_EQ(delta.puts.size(), 1U);

  changes.peers[peer.id] = kPeerPresence;
  peer.online = true;
  EXPECT_TRUE(planner.update(netmap, changes, kNow).empty());
  changes.peers[peer.id] = kPeerPath;  // endpoints are no business of the plan's
  peer.endpoints = {*Endpoint::parse("192.0.2.1:5")};
  EXPECT_TRUE(planner.update(netmap, changes, kNow).empty());
}

TEST(netmap_plan, keys_expire_by_themselves) {
  Situation s;
  s.peer(kTwo).key_expiry = kNow + 10s;
  s.netmap.self->key_expiry = kNow + 20s;
  s.netmap.clock_offset = 3s;
  NetmapPlanner planner({}, {});
  (void)planner.replan(s.netmap, kNow);
  EXPECT_EQ(planner.due(), kNow + 7s);
  EXPECT_TRUE(planner.update(s.netmap, {}, kNow + 6s).empty());
  const PlanDelta delta = planner.update(s.netmap, {}, kNow + 7s);
  EXPECT_EQ(delta.deletes, (std::vector{ObjectId{ObjectKind::kPeer, example_key(2), {}, 0}}));
  EXPECT_TRUE(delta.puts.empty());
  EXPECT_EQ(planner.due(), kNow + 17s);
  (void)planner.update(s.netmap, {}, kNow + 17s);
  EXPECT_TRUE(planner.plan().peers.empty() && planner.plan().rules.empty() &&
              planner.plan().addresses.empty());
  EXPECT_EQ(planner.plan().refused, "our own key has expired: log in again");
  // The clock is set back.
  s.netmap.clock_offset = -600s;
  EXPECT_FALSE(planner.update(s.netmap, {}, kNow + 18s).empty());
  EXPECT_EQ(planner.plan().peers.size(), 2U);
}

// The planner's steps against one plan from scratch.
TEST(netmap_plan, steps_and_scratch_agree) {
  std::mt19937 random(7);  // NOLINT: the same walk each time
  const auto draw = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  for (int walk = 0; walk < 40; ++walk) {
    NetmapState state;
    JoinPrefs prefs;
    prefs.accept_routes = draw(2) == 0;
    prefs.advertise_routes = {prefix("10.7.0.0/16")};
    Netmap first = example_netmap({});
    ASSERT_TRUE(state.apply(whole_frame(first), kNow));
    NetmapPlanner planner(prefs, {});
    NodeState told;
    const auto tell = [&](const PlanDelta& delta) {
      for (const ObjectId& id : delta.deletes) erase(told, id);
      for (const NodeObject& object : delta.puts) put(told, object);
    };
    tell(planner.replan(state.netmap(), kNow));
    for (int step = 0; step < 60; ++step) {
      const WallTime now = kNow + std::chrono::seconds(step);
      tailcfg::MapResponse frame;
      for (uint32_t n = draw(3); n-- > 0;) {
        NetmapNode node = example_node(static_cast<uint8_t>(2 + draw(6)));
        node.allowed_ips = node.addresses;
        if (draw(3) == 0) node.node_key = example_key(static_cast<uint8_t>(1 + draw(7)));
        for (uint32_t r = draw(3); r-- > 0;)
          node.allowed_ips->push_back(prefix("10." + std::to_string(draw(4)) + ".0.0/16"));
        node.jailed = draw(6) == 0;
        node.unsigned_peerapi_only = draw(20) == 0;
        if (draw(4) == 0) node.cap_map["admin"];
        if (draw(4) == 0) node.key_expiry = kNow + std::chrono::seconds(draw(70));
        if (draw(6) == 0) node.masquerade_v4 = IpAddress::v4(0xac100000 + draw(3));
        frame.peers_changed.push_back(node);
      }
      if (draw(4) == 0) frame.peers_removed = {NodeId{2 + draw(6)}};
      if (draw(8) == 0)
        frame.packet_filter = {
            filter_rule({draw(2) == 0 ? "cap:admin" : "*"},
                        {to("10.7.0.0/16", 1, static_cast<uint16_t>(1 + draw(3)))})};
      if (draw(20) == 0) {
        frame.node = state.netmap().self;
        frame.node->machine_authorized = draw(2) == 0;
      }
      const auto changes = state.apply(frame, now);
      ASSERT_TRUE(changes);
      tell(planner.update(state.netmap(), *changes, now));

      NetmapPlanner scratch(prefs, {});
      const PlanDelta all = scratch.replan(state.netmap(), now);
      ASSERT_EQ(planner.plan(), scratch.plan()) << walk << ":" << step;
      ASSERT_EQ(planner.due(), scratch.due());
      NodeState whole;
      EXPECT_TRUE(all.deletes.empty());
      for (const NodeObject& object : all.puts) put(whole, object);
      ASSERT_EQ(told, whole) << walk << ":" << step;
    }
  }
}

}  // namespace
}  // namespace sallyport
