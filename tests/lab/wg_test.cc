// SPDX-License-Identifier: BSD-3-Clause
// Real kernel WireGuard: what we set is there, also to the eyes of wg(8), and what is there we see.
//
//   one network namespace: wg0, no packets
#include "kmod-glue/wg.h"

#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/wireguard.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "kmod-glue/netlink/generic.h"
#include "tests/support/expedited_rcu.h"
#include "tests/support/own_netns.h"

namespace sallyport {
namespace {

std::string output(const std::string& command) {
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return "popen failed";
  std::string said;
  std::array<char, 4096> part{};
  while (const size_t n = std::fread(part.data(), 1, part.size(), pipe))
    said.append(part.data(), n);
  return pclose(pipe) == 0 ? said : "failed: " + said;
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);) parts.push_back(part);
  return parts;
}

Prefix prefix(const char* text) { return Prefix::parse(text).value(); }
bool is(const Error& error, int number) {
  return error.code == std::error_code(number, std::generic_category());
}

class lab_wg : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(netns_.entered()) << "needs root";
    auto opened = WireGuard::open();
    ASSERT_TRUE(opened) << opened.error().text();
    wg_.emplace(std::move(*opened));
    done(wg_->create_link("wg0"));
  }
  static void done(const Result<void>& result) {
    EXPECT_TRUE(result) << (result ? "" : result.error().text());
  }
  WgObserved look() {
    auto seen = wg_->dump("wg0");
    EXPECT_TRUE(seen) << (seen ? "" : seen.error().text());
    if (!seen || !*seen) return {};
    return **std::move(seen);
  }
  /// Whatever wg(8) says of the device, by public key, must be what we say.
  static void agree_with_wg_tool(const WgObserved& seen) {
    auto lines = split(output("wg show wg0 dump"), '\n');
    ASSERT_EQ(lines.size(), seen.device.peers.size() + 1);
    const auto device = split(lines[0], '\t');
    EXPECT_EQ(device.at(0),
              seen.device.private_key ? seen.device.private_key->reveal_text() : "(none)");
    EXPECT_EQ(device.at(2), std::to_string(seen.device.listen_port));
    EXPECT_EQ(device.at(3) == "off" ? 0U : std::stoul(device.at(3), nullptr, 16),
              seen.device.fwmark);
    for (size_t i = 1; i < lines.size(); ++i) {
      const auto field = split(lines[i], '\t');
      const auto key = PublicKey::parse(field.at(0));
      ASSERT_TRUE(key && seen.device.peers.contains(*key)) << lines[i];
      const WgPeer& peer = seen.device.peers.at(*key);
      EXPECT_EQ(field.at(1), peer.preshared_key ? peer.preshared_key->reveal_text() : "(none)");
      EXPECT_EQ(field.at(2), peer.endpoint ? peer.endpoint->text() : "(none)");
      std::vector<Prefix> ips;
      if (field.at(3) != "(none)") {
        for (const auto& ip : split(field.at(3), ',')) ips.push_back(Prefix::parse(ip).value());
      }
      std::ranges::sort(ips);
      EXPECT_EQ(ips, peer.allowed_ips);
      EXPECT_EQ(field.at(7), peer.keepalive_s ? std::to_string(peer.keepalive_s) : "off");
      EXPECT_EQ(std::stol(field.at(4)), seen.stats.at(*key).last_handshake_unix_s);
      EXPECT_EQ(std::stoul(field.at(6)), seen.stats.at(*key).tx_bytes);
    }
  }
  static void remember(std::map<PublicKey, WgPeer>& peers, const SetPeer& set) {
    peers[set.public_key] = {set.public_key, set.preshared_key, set.endpoint,
                             set.keepalive_s.value_or(0),
                             set.allowed_ips.value_or(std::vector<Prefix>{})};
  }

  OwnNetns netns_;
  std::optional<WireGuard> wg_;
};

PublicKey numbered_key(uint64_t n) {
  std::mt19937_64 random(n);
  PublicKey key;
  std::ranges::generate(key.bytes, [&] { return static_cast<uint8_t>(random()); });
  return key;
}

SetPeer new_peer(uint64_t n) {
  return {.device = "wg0",
          .public_key = numbered_key(n),
          .create = true,
          .replace_preshared_key = false,
          .preshared_key = {},
          .endpoint = {},
          .keepalive_s = {},
          .allowed_ips = {}};
}

TEST_F(lab_wg, link_comes_and_goes) {
  EXPECT_NE(output("ip -d link show wg0").find("wireguard"), std::string::npos);
  const auto twice = wg_->create_link("wg0");
  ASSERT_FALSE(twice);
  EXPECT_TRUE(is(twice.error(), EEXIST)) << twice.error().text();
  EXPECT_NE(twice.error().text().find("wg0"), std::string::npos);

  done(wg_->delete_link("wg0"));
  EXPECT_EQ(output("ip link show wg0").rfind("failed: ", 0), 0U);
  const auto seen = wg_->dump("wg0");
  ASSERT_TRUE(seen) << seen.error().text();
  EXPECT_FALSE(seen->has_value());
  const auto gone = wg_->delete_link("wg0");
  ASSERT_FALSE(gone);
  EXPECT_TRUE(is(gone.error(), ENODEV)) << gone.error().text();
}

TEST_F(lab_wg, device_settings_change_one_by_one) {
  const WgObserved fresh = look();
  EXPECT_EQ(fresh.device.name, "wg0");
  EXPECT_FALSE(fresh.device.private_key);
  EXPECT_EQ(fresh.device.fwmark, 0U);

  const PrivateKey key = PrivateKey::generate();
  done(wg_->apply(SetDevice{"wg0", key, {}, {}}));
  done(wg_->apply(SetDevice{"wg0", {}, 34567, {}}));
  done(wg_->apply(SetDevice{"wg0", {}, {}, 0x5a110000}));
  const WgObserved seen = look();
  EXPECT_EQ(seen.device.private_key, key);
  EXPECT_EQ(seen.device.listen_port, 34567);
  EXPECT_EQ(seen.device.fwmark, 0x5a110000U);
  agree_with_wg_tool(seen);
}

TEST_F(lab_wg, peer_changes_only_what_is_named) {
  SetPeer first = new_peer(1);
  first.replace_preshared_key = true;
  first.preshared_key = PresharedKey::generate();
  first.endpoint = Endpoint::parse("192.0.2.7:51820");
  first.keepalive_s = 25;
  first.allowed_ips = {{prefix("10.1.0.0/16"), prefix("100.64.0.7/32"), prefix("fd00:1::/64")}};
  done(wg_->apply(first));
  std::map<PublicKey, WgPeer> expected;
  remember(expected, first);
  EXPECT_EQ(look().device.peers, expected);
  agree_with_wg_tool(look());

  WgPeer& peer = expected.at(first.public_key);
  SetPeer change = new_peer(1);
  change.create = false;
  change.endpoint = peer.endpoint = Endpoint::parse("[2001:db8::7]:443");
  done(wg_->apply(change));
  EXPECT_EQ(look().device.peers, expected) << "endpoint";

  change = new_peer(1);
  change.create = false;
  change.allowed_ips = peer.allowed_ips = {prefix("0.0.0.0/0"), prefix("::/0")};
  std::ranges::sort(peer.allowed_ips);
  done(wg_->apply(change));
  EXPECT_EQ(look().device.peers, expected) << "allowed IPs";

  change = new_peer(1);
  change.create = false;
  change.keepalive_s = peer.keepalive_s = 0;
  change.replace_preshared_key = true;
  peer.preshared_key.reset();
  done(wg_->apply(change));
  EXPECT_EQ(look().device.peers, expected) << "keepalive and preshared key";
  agree_with_wg_tool(look());

  change = new_peer(1);
  change.create = false;
  change.allowed_ips.emplace();
  peer.allowed_ips.clear();
  done(wg_->apply(change));
  EXPECT_EQ(look().device.peers, expected) << "no allowed IP left";

  done(wg_->apply(RemovePeer{"wg0", first.public_key}));
  EXPECT_TRUE(look().device.peers.empty());
  done(wg_->apply(RemovePeer{"wg0", first.public_key}));
  EXPECT_TRUE(look().device.peers.empty()) << "removing what is gone must not make it";
}

TEST_F(lab_wg, update_of_an_unknown_peer_does_not_create) {
  SetPeer update = new_peer(1);
  update.create = false;
  update.allowed_ips = {{prefix("10.0.0.1/32")}};
  done(wg_->apply(update));
  EXPECT_TRUE(look().device.peers.empty());
  update.create = true;
  done(wg_->apply(update));
  EXPECT_EQ(look().device.peers.size(), 1U);
}

TEST_F(lab_wg, an_allowed_ip_moves_to_the_last_that_claims_it) {
  std::vector<SetPeer> both{new_peer(1), new_peer(2)};
  both[0].allowed_ips = {{prefix("10.0.0.1/32"), prefix("10.0.0.2/32")}};
  both[1].allowed_ips = {{prefix("10.0.0.2/32")}};
  done(wg_->apply(both));
  const auto peers = look().device.peers;
  EXPECT_EQ(peers.at(both[0].public_key).allowed_ips, std::vector{prefix("10.0.0.1/32")});
  EXPECT_EQ(peers.at(both[1].public_key).allowed_ips, std::vector{prefix("10.0.0.2/32")});
}

TEST_F(lab_wg, three_thousand_allowed_ips_on_one_peer) {
  std::vector<SetPeer> peers{new_peer(1), new_peer(2), new_peer(3)};
  peers[0].allowed_ips = {{prefix("10.9.9.9/32")}};
  peers[1].endpoint = Endpoint::parse("192.0.2.7:51820");
  peers[1].allowed_ips.emplace();
  for (uint32_t i = 0; i < 1500; ++i) {
    peers[1].allowed_ips->push_back(Prefix::host(IpAddress::v4(0x0b000000 + i)));
    auto v6 = prefix("fd00:3000::/64");
    v6.address.bytes[6] = static_cast<uint8_t>(i >> 8);
    v6.address.bytes[7] = static_cast<uint8_t>(i);
    peers[1].allowed_ips->push_back(v6);
  }
  peers[2].allowed_ips = {{prefix("10.8.8.8/32")}};
  done(wg_->apply(peers));
  std::map<PublicKey, WgPeer> expected;
  std::ranges::sort(*peers[1].allowed_ips);
  for (const SetPeer& set : peers) remember(expected, set);
  EXPECT_EQ(look().device.peers, expected);

  // Replaced by another long list: nothing of the old one stays.
  SetPeer change = new_peer(2);
  change.create = false;
  change.allowed_ips.emplace(peers[1].allowed_ips->begin() + 1000, peers[1].allowed_ips->end());
  done(wg_->apply(change));
  expected.at(change.public_key).allowed_ips = *change.allowed_ips;
  EXPECT_EQ(look().device.peers, expected);
}

TEST_F(lab_wg, ten_thousand_peers) {
  constexpr uint32_t kPeers = 10'000;
  std::vector<SetPeer> peers;
  std::map<PublicKey, WgPeer> expected;
  for (uint32_t i = 0; i < kPeers; ++i) {
    SetPeer peer = new_peer(i);
    auto v6 = Prefix::host(IpAddress::parse("fd7a::").value());
    v6.address.bytes[14] = static_cast<uint8_t>(i >> 8);
    v6.address.bytes[15] = static_cast<uint8_t>(i);
    peer.allowed_ips = {{Prefix::host(IpAddress::v4(0x64400000 + i)), v6}};
    std::ranges::sort(*peer.allowed_ips);
    peer.endpoint = Endpoint{IpAddress::v4(0x7f000000 + i + 1), 40000};
    if (i % 3 == 0) peer.keepalive_s = 25;
    if (i % 7 == 0) {
      peer.replace_preshared_key = true;
      peer.preshared_key = PresharedKey::generate();
    }
    remember(expected, peer);
    peers.push_back(std::move(peer));
  }
  done(wg_->apply(peers));
  const WgObserved seen = look();
  ASSERT_EQ(seen.device.peers.size(), kPeers);
  EXPECT_TRUE(seen.device.peers == expected);
  EXPECT_EQ(seen.stats.size(), kPeers);
  agree_with_wg_tool(seen);

  done(wg_->apply(RemovePeer{"wg0", numbered_key(4711)}));
  expected.erase(numbered_key(4711));
  EXPECT_TRUE(look().device.peers == expected);

  const ExpeditedRcu expedited;
  done(wg_->delete_link("wg0"));
}

TEST_F(lab_wg, refusals_carry_the_kernels_words) {
  auto socket = NetlinkSocket::open(NETLINK_GENERIC);
  ASSERT_TRUE(socket) << socket.error().text();
  const auto family = find_family(*socket, WG_GENL_NAME);
  ASSERT_TRUE(family) << family.error().text();
  Message message;
  message.begin_generic(family->id, WG_CMD_SET_DEVICE, WG_GENL_VERSION);
  ASSERT_TRUE(message.put_string(WGDEVICE_A_IFNAME, "wg0"));
  ASSERT_TRUE(message.put_value(WGDEVICE_A_PRIVATE_KEY, std::array<uint8_t, 31>{}));
  const auto refused = socket->request(message, "set a short key");
  ASSERT_FALSE(refused);
  const std::string text = refused.error().text();
  EXPECT_EQ(text.rfind("set a short key: ", 0), 0U) << text;
  EXPECT_NE(text.find("out of range (attribute 3)"), std::string::npos) << text;

  const auto foreign = wg_->apply(SetDevice{"lo", {}, 1, {}});
  ASSERT_FALSE(foreign);
  EXPECT_TRUE(is(foreign.error(), EOPNOTSUPP)) << foreign.error().text();
  const auto absent = wg_->apply(SetDevice{"wg9", {}, 1, {}});
  ASSERT_FALSE(absent);
  EXPECT_TRUE(is(absent.error(), ENODEV)) << absent.error().text();
  const auto bad = wg_->create_link("a-name-too-long-for-a-device");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().text().find("create WireGuard device 'a-name"), std::string::npos);
}

}  // namespace
}  // namespace sallyport
