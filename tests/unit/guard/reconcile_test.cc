// SPDX-License-Identifier: BSD-3-Clause
#include "agent/guard/reconcile.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/unit/guard/fake_kernel.h"

namespace sallyport {
namespace {

PublicKey key(uint8_t n) {
  PublicKey out;
  out.bytes.fill(n);
  return out;
}
Prefix prefix(const char* text) { return Prefix::parse(text).value(); }
Endpoint endpoint(const char* text) { return Endpoint::parse(text).value(); }

KernelState small() {
  KernelState s;
  WgDevice wg{.name = "wg0", .private_key = {}, .listen_port = 5000, .fwmark = 8, .peers = {}};
  wg.peers[key(1)] = WgPeer{key(1), {}, endpoint("192.0.2.1:1"), 0, {prefix("10.9.0.2")}};
  wg.peers[key(2)] = WgPeer{key(2), {}, {}, 0, {prefix("10.9.0.3"), prefix("10.9.0.4")}};
  s.wireguard = wg;
  s.link = Link{1420, true};
  s.addresses = {prefix("10.9.0.1/24")};
  s.routes = {Route{prefix("10.9.0.2"), RouteKind::kUnicast, "wg0", 5300, 0}};
  s.rules = {RoutingRule{Family::kV4, 5320, 8, 0xff, {}, 254}};
  s.nft = NftTable{"wg0", 5000, {}, {"wan"}};
  s.sysctls = {{"net/ipv4/ip_forward", "1"}};
  s.attachments = {{"lan", Hook::kPortIn}, {"wg0", Hook::kTailnetIn}, {"wg0", Hook::kTailnetOut}};
  return s;
}

KernelState bare() {
  KernelState s;
  s.sysctls = {{"net/ipv4/ip_forward", "0"}};
  return s;
}

std::vector<std::string> names(const std::vector<Operation>& operations) {
  std::vector<std::string> out;
  for (const Operation& o : operations) out.push_back(describe(o).op);
  return out;
}

TEST(reconcile, builds_programs_and_nft_before_the_link_is_up) {
  EXPECT_EQ(
      names(reconcile(small(), bare())),
      (std::vector<std::string>{"create-link", "set-device", "set-peer", "set-peer", "add-address",
                                "attach", "attach", "attach", "replace-nft-table", "set-link",
                                "add-route", "add-rule", "set-sysctl"}));
}

TEST(reconcile, takes_down_traffic_first_and_settings_last) {
  KernelState gone;
  gone.sysctls = {{"net/ipv4/ip_forward", "0"}};
  EXPECT_EQ(names(reconcile(gone, small())),
            (std::vector<std::string>{"delete-rule", "set-link", "detach", "detach", "delete-link",
                                      "delete-nft-table", "detach", "set-sysctl"}));
}

TEST(reconcile, nothing_to_do_is_nothing) { EXPECT_TRUE(reconcile(small(), small()).empty()); }

TEST(reconcile, one_changed_peer_is_one_operation_with_its_changed_member) {
  KernelState want = small();
  want.wireguard->peers[key(2)].keepalive_s = 25;
  const auto operations = reconcile(want, small());
  ASSERT_EQ(operations.size(), 1U);
  const auto& set = std::get<SetPeer>(operations[0]);
  EXPECT_EQ(set.public_key, key(2));
  EXPECT_FALSE(set.create);
  EXPECT_EQ(set.keepalive_s, 25);
  EXPECT_FALSE(set.allowed_ips || set.endpoint || set.replace_preshared_key);
}

TEST(reconcile, a_roamed_endpoint_is_left_alone) {
  KernelState have = small();
  have.wireguard->peers[key(1)].endpoint = endpoint("203.0.113.9:7");
  EXPECT_TRUE(reconcile(small(), have, asked_endpoints(small())).empty());
  EXPECT_TRUE(reconcile(small(), have).empty());  // after a start
}

TEST(reconcile, a_changed_wish_for_an_endpoint_is_set) {
  KernelState want = small();
  want.wireguard->peers[key(1)].endpoint = endpoint("192.0.2.1:2");
  const auto operations = reconcile(want, small(), asked_endpoints(small()));
  ASSERT_EQ(operations.size(), 1U);
  EXPECT_EQ(std::get<SetPeer>(operations[0]).endpoint, endpoint("192.0.2.1:2"));
}

TEST(reconcile, a_first_wish_for_an_endpoint_moves_a_learnt_one) {
  KernelState have = small();
  have.wireguard->peers[key(2)].endpoint = endpoint("203.0.113.9:7");
  KernelState want = small();
  want.wireguard->peers[key(2)].endpoint = endpoint("192.0.2.7:2");
  EXPECT_EQ(reconcile(want, have, asked_endpoints(small())).size(), 1U);
}

TEST(reconcile, who_gives_a_prefix_up_comes_first) {
  KernelState want = small();
  want.wireguard->peers[key(1)].allowed_ips = {prefix("10.9.0.2"), prefix("10.9.0.4")};
  want.wireguard->peers[key(2)].allowed_ips = {prefix("10.9.0.3")};
  const auto operations = reconcile(want, small());
  ASSERT_EQ(operations.size(), 2U);
  EXPECT_EQ(std::get<SetPeer>(operations[0]).public_key, key(2));
  EXPECT_EQ(std::get<SetPeer>(operations[1]).public_key, key(1));
}

TEST(reconcile, a_preshared_key_is_taken_away) {
  KernelState have = small();
  have.wireguard->peers[key(1)].preshared_key = PresharedKey::generate();
  const auto operations = reconcile(small(), have);
  ASSERT_EQ(operations.size(), 1U);
  EXPECT_TRUE(std::get<SetPeer>(operations[0]).replace_preshared_key);
  EXPECT_FALSE(std::get<SetPeer>(operations[0]).preshared_key);
}

TEST(reconcile, a_lost_program_on_a_running_device_is_attached_before_all_else) {
  KernelState have = small();
  std::erase(have.attachments, Attachment{"wg0", Hook::kTailnetIn});
  have.wireguard->peers.erase(key(1));
  EXPECT_EQ(names(reconcile(small(), have)), (std::vector<std::string>{"attach", "set-peer"}));
}

TEST(reconcile, forwarding_comes_last_and_goes_first) {
  KernelState off;
  off.sysctls = {{"net/ipv4/ip_forward", "0"},
                 {"net/ipv6/conf/all/forwarding", "0"},
                 {"net/ipv6/conf/wan/accept_ra", "1"}};
  KernelState on = off;
  on.sysctls = {{"net/ipv4/ip_forward", "1"},
                {"net/ipv6/conf/all/forwarding", "1"},
                {"net/ipv6/conf/wan/accept_ra", "2"}};
  const auto keys = [](const std::vector<Operation>& operations) {
    std::vector<std::string> out;
    for (const Operation& o : operations) out.push_back(std::get<SetSysctl>(o).key);
    return out;
  };
  EXPECT_EQ(keys(reconcile(on, off)),
            (std::vector<std::string>{"net/ipv6/conf/wan/accept_ra", "net/ipv4/ip_forward",
                                      "net/ipv6/conf/all/forwarding"}));
  EXPECT_EQ(keys(reconcile(off, on)),
            (std::vector<std::string>{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding",
                                      "net/ipv6/conf/wan/accept_ra"}));
}

TEST(reconcile, a_second_address_survives_the_first) {
  KernelState have = small();
  have.addresses = {prefix("10.9.0.1/24"), prefix("10.9.0.5/24")};
  KernelState want = small();
  want.addresses = {prefix("10.9.0.5/24")};
  for (const bool first_address_rules : {true, false}) {
    FakeKernel kernel(have);
    kernel.first_address_rules = first_address_rules;
    for (const Operation& o : reconcile(want, have))
      ASSERT_TRUE(kernel.apply(o)) << kernel.complaint;
    EXPECT_EQ(kernel.state.addresses, want.addresses);
    EXPECT_EQ(kernel.state.routes, want.routes);
  }
}

TEST(describe, never_shows_a_secret) {
  const PrivateKey secret = PrivateKey::generate();
  const PresharedKey shared = PresharedKey::generate();
  const Description device = describe(SetDevice{"wg0", secret, uint16_t{7}, 0x80000U});
  EXPECT_EQ(device.detail, "private key, listen port 7, fwmark 0x80000");
  SetPeer set{.device = "wg0",
              .public_key = key(1),
              .create = true,
              .replace_preshared_key = true,
              .preshared_key = shared,
              .endpoint = endpoint("192.0.2.1:9"),
              .keepalive_s = uint16_t{25},
              .allowed_ips = std::vector{prefix("10.0.0.0/8")}};
  const Description peer = describe(set);
  EXPECT_EQ(peer.object, "wg0 peer " + key(1).text());
  EXPECT_EQ(peer.detail,
            "new, preshared key, endpoint 192.0.2.1:9, keepalive 25 s, allowed ips 10.0.0.0/8");
}

/// Random states over a small world, so that both sides of a pair often share things.
class World {
 public:
  explicit World(uint32_t seed) : random_(seed) {}

  bool coin(unsigned percent = 50) { return random_() % 100 < percent; }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  Endpoint any_endpoint() {
    return {IpAddress::v4(0xc0000200U + below(3)), static_cast<uint16_t>(1 + below(3))};
  }

  WgDevice device(const std::string& name) {
    WgDevice wg;
    wg.name = name;
    wg.private_key = keys_.at(below(2));
    wg.listen_port = static_cast<uint16_t>(5000 + below(2));
    wg.fwmark = below(2);
    for (uint8_t n = 1; n <= 6; ++n) {
      if (coin(60))
        wg.peers[key(n)] = WgPeer{key(n), {}, {}, 0, {}};
      else
        continue;
      WgPeer& peer = wg.peers[key(n)];
      if (coin(30)) peer.preshared_key = shared_.at(below(2));
      if (coin()) peer.endpoint = any_endpoint();
      peer.keepalive_s = static_cast<uint16_t>(below(2) * 25);
    }
    if (wg.peers.empty()) return wg;
    for (uint32_t n = 0; n < 8; ++n) {
      if (coin(30)) continue;
      auto owner = std::next(wg.peers.begin(), below(static_cast<uint32_t>(wg.peers.size())));
      owner->second.allowed_ips.push_back(Prefix::host(IpAddress::v4(0x0a090000U + n)));
    }
    return wg;
  }

  KernelState state(bool may_be_partial) {
    KernelState s;
    s.sysctls = settings();
    if (!coin(85)) return without_device(std::move(s));
    const std::string name = coin(90) ? "wg0" : "wg1";
    s.wireguard = device(name);
    const bool up = !may_be_partial || coin(70);
    s.link = Link{coin() ? 1420U : 1380U, up};
    for (const char* text : {"10.9.0.1/24", "10.9.0.2/24", "10.8.0.1/24", "fd00::1/64"}) {
      if (coin()) s.addresses.push_back(prefix(text));
    }
    std::ranges::sort(s.addresses);
    add_routes(s, up ? name : "");
    add_rest(s);
    for (const Hook hook : {Hook::kTailnetIn, Hook::kTailnetOut}) {
      if (!may_be_partial || coin(80)) s.attachments.push_back({name, hook});
    }
    std::ranges::sort(s.attachments);
    return s;
  }

 private:
  std::map<std::string, std::string> settings() {
    return {{"net/ipv4/ip_forward", std::to_string(below(2))},
            {"net/ipv4/conf/all/accept_redirects", std::to_string(below(2))},
            {"net/ipv6/conf/wan/accept_ra", std::to_string(1 + below(2))}};
  }
  KernelState without_device(KernelState s) {
    add_routes(s, "");
    add_rest(s);
    return s;
  }
  void add_routes(KernelState& s, const std::string& device) {
    for (uint32_t n = 0; n < 5; ++n) {
      const Prefix to = Prefix::host(IpAddress::v4(0x0a090000U + n));
      const bool v4 =
          std::ranges::any_of(s.addresses, [](const Prefix& p) { return p.address.is_v4(); });
      if (!device.empty() && v4 && coin()) {
        s.routes.push_back(Route{to, RouteKind::kUnicast, device, 5300, 0});
      } else if (coin(20)) {
        s.routes.push_back(Route{to, RouteKind::kUnreachable, "", 5300, 0});
      }
    }
    std::ranges::sort(s.routes);
  }
  void add_rest(KernelState& s) {
    for (uint32_t n = 0; n < 3; ++n) {
      if (coin()) s.rules.push_back(RoutingRule{Family::kV4, 5300 + n, 0, 0, {}, 5300});
    }
    std::ranges::sort(s.rules);
    if (coin()) s.nft = NftTable{"wg0", static_cast<uint16_t>(below(2)), {}, {}};
    for (const char* name : {"eth0", "eth1"}) {
      if (coin()) s.attachments.push_back({name, Hook::kPortIn});
      s.offloads[Offload{name, "rx-gro-list"}] = coin();
    }
  }

  std::mt19937 random_;
  std::array<PrivateKey, 2> keys_{PrivateKey::generate(), PrivateKey::generate()};
  std::array<PresharedKey, 2> shared_{PresharedKey::generate(), PresharedKey::generate()};
};

/// What was asked for stands; what was not is gone. An endpoint may have roamed.
void expect_reached(const KernelState& have, const KernelState& want) {
  ASSERT_EQ(have.wireguard.has_value(), want.wireguard.has_value());
  if (want.wireguard) {
    EXPECT_EQ(have.wireguard->name, want.wireguard->name);
    EXPECT_EQ(have.wireguard->private_key, want.wireguard->private_key);
    EXPECT_EQ(have.wireguard->listen_port, want.wireguard->listen_port);
    EXPECT_EQ(have.wireguard->fwmark, want.wireguard->fwmark);
    ASSERT_EQ(have.wireguard->peers.size(), want.wireguard->peers.size());
    for (const auto& [k, peer] : want.wireguard->peers) {
      ASSERT_TRUE(have.wireguard->peers.contains(k));
      WgPeer got = have.wireguard->peers.at(k);
      EXPECT_TRUE(got.endpoint || !peer.endpoint);
      got.endpoint = peer.endpoint;
      std::ranges::sort(got.allowed_ips);
      EXPECT_EQ(got, peer);
    }
  }
  EXPECT_EQ(have.link, want.link);
  EXPECT_EQ(have.addresses, want.addresses);
  EXPECT_EQ(have.routes, want.routes);
  EXPECT_EQ(have.rules, want.rules);
  EXPECT_EQ(have.nft, want.nft);
  EXPECT_EQ(have.sysctls, want.sysctls);
  EXPECT_EQ(have.offloads, want.offloads);
  EXPECT_EQ(have.attachments, want.attachments);
}

TEST(reconcile, property_every_pair_of_states_converges_in_one_run) {
  size_t operations_seen = 0;
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    const KernelState have = world.state(true);
    const KernelState want = world.state(false);
    const auto operations = reconcile(want, have);
    operations_seen += operations.size();
    FakeKernel kernel(have);
    kernel.first_address_rules = world.coin();
    for (const Operation& o : operations) {
      ASSERT_TRUE(kernel.apply(o))
          << describe(o).op << ' ' << describe(o).object << ": " << kernel.complaint;
    }
    expect_reached(kernel.state, want);
    EXPECT_TRUE(reconcile(want, kernel.state, asked_endpoints(want)).empty());
    if (HasFailure()) return;
  }
  EXPECT_GT(operations_seen, 30000U);
}

TEST(reconcile, property_no_packet_passes_unjudged) {
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    KernelState have = world.state(false);  // all programs in place, or no device
    const KernelState want = world.state(false);
    FakeKernel kernel(have);
    for (const Operation& o : reconcile(want, have)) ASSERT_TRUE(kernel.apply(o));
    ASSERT_FALSE(kernel.unjudged);
  }
}

}  // namespace
}  // namespace sallyport
