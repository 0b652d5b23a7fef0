// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/netlink/wg_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/wireguard.h>

#include <set>

#include "kmod-glue/netlink/answer.h"
#include "kmod-glue/netlink/attrs.h"

namespace sallyport {
namespace {

constexpr uint16_t kFamily = 0x1c;
constexpr size_t kHeaders = 20;

PublicKey key(uint32_t n) {
  PublicKey key;
  key.bytes.fill(0x11);
  std::memcpy(key.bytes.data(), &n, sizeof(n));
  return key;
}
SetPeer peer(uint32_t n, const char* device = "wg0") {
  return {.device = device,
          .public_key = key(n),
          .create = true,
          .replace_preshared_key = false,
          .preshared_key = {},
          .endpoint = {},
          .keepalive_s = {},
          .allowed_ips = {}};
}

/// What one peer of a message says, read by the type numbers alone.
struct Said {
  PublicKey public_key;
  uint32_t flags = 0;
  std::set<uint16_t> attributes;
  size_t allowed_ips = 0;
};
std::vector<Said> peers_of(const Message& message) {
  std::vector<Said> all;
  AttrWalk device(message.bytes().subspan(kHeaders));
  while (const auto attribute = device.next()) {
    if (attribute->type != WGDEVICE_A_PEERS) continue;
    AttrWalk peers(attribute->value);
    while (const auto element = peers.next()) {
      Said said;
      AttrWalk inside(element->value);
      while (const auto part = inside.next()) {
        said.attributes.insert(part->type);
        if (part->type == WGPEER_A_PUBLIC_KEY) {
          std::memcpy(said.public_key.bytes.data(), part->value.data(), 32);
        }
        if (part->type == WGPEER_A_FLAGS) std::memcpy(&said.flags, part->value.data(), 4);
        if (part->type == WGPEER_A_ALLOWEDIPS) {
          AttrWalk ips(part->value);
          while (ips.next()) ++said.allowed_ips;
          EXPECT_FALSE(ips.malformed());
        }
      }
      EXPECT_FALSE(inside.malformed());
      all.push_back(said);
    }
    EXPECT_FALSE(peers.malformed());
  }
  EXPECT_FALSE(device.malformed());
  return all;
}

TEST(wg_message, bytes_of_a_peer) {
  SetPeer set = peer(1);
  set.public_key.bytes.fill(0xaa);
  set.replace_preshared_key = true;
  set.preshared_key = PresharedKey{};
  set.endpoint = Endpoint::parse("192.0.2.1:51820");
  set.keepalive_s = 25;
  set.allowed_ips = {{*Prefix::parse("10.1.0.0/16")}};
  Message message;
  const PeerCursor next = write_set_peers(message, kFamily, std::span(&set, 1), {});
  EXPECT_EQ(next, (PeerCursor{1, 0}));

  Bytes expected{0, 0, 0, 0, 0x1c, 0, 0, 0,   0,   0,   0, 0, 0, 0, 0, 0, WG_CMD_SET_DEVICE,
                 1, 0, 0, 8, 0,    2, 0, 'w', 'g', '0', 0};
  const auto add = [&](std::initializer_list<uint8_t> bytes) {
    expected.insert(expected.end(), bytes);
  };
  add({156, 0, 8, 0x80, 152, 0, 0, 0x80});  // the list of peers, a peer
  add({36, 0, 1, 0});
  expected.insert(expected.end(), 32, 0xaa);
  add({8, 0, 3, 0, 2, 0, 0, 0});  // REPLACE_ALLOWEDIPS
  add({36, 0, 2, 0});
  expected.insert(expected.end(), 32, 0);
  add({20, 0, 4, 0, 2, 0, 0xca, 0x6c, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0});  // sockaddr_in
  add({6, 0, 5, 0, 25, 0, 0, 0});
  add({32, 0, 9, 0x80, 28, 0, 0, 0x80});  // the allowed IPs, one of them
  add({6, 0, 1, 0, 2, 0, 0, 0});          // AF_INET
  add({8, 0, 2, 0, 10, 1, 0, 0});
  add({5, 0, 3, 0, 16, 0, 0, 0});
  // Lengths follow from the parts: the sum is checked here, the nests by hand above.
  expected[0] = static_cast<uint8_t>(expected.size());
  expected[28] = static_cast<uint8_t>(expected.size() - 28);
  expected[32] = static_cast<uint8_t>(expected.size() - 32);
  EXPECT_EQ(Bytes(message.bytes().begin(), message.bytes().end()), expected);
}

TEST(wg_message, only_what_is_named_is_said) {
  SetPeer set = peer(1);
  set.create = false;
  set.keepalive_s = 0;
  Message message;
  EXPECT_EQ(write_set_peers(message, kFamily, std::span(&set, 1), {}).peer, 1U);
  const auto said = peers_of(message);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].flags, uint32_t{WGPEER_F_UPDATE_ONLY});
  EXPECT_THAT(said[0].attributes, testing::ElementsAre(WGPEER_A_PUBLIC_KEY, WGPEER_A_FLAGS,
                                                       WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL));
  // An empty list of allowed IPs takes them all away; an absent one does not.
  set.allowed_ips.emplace();
  EXPECT_EQ(write_set_peers(message, kFamily, std::span(&set, 1), {}).peer, 1U);
  EXPECT_EQ(peers_of(message).at(0).flags,
            uint32_t{WGPEER_F_UPDATE_ONLY | WGPEER_F_REPLACE_ALLOWEDIPS});
}

TEST(wg_message, removal_never_creates) {
  Message message;
  ASSERT_TRUE(write_remove_peer(message, kFamily, {"wg0", key(7)}));
  const auto said = peers_of(message);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].public_key, key(7));
  EXPECT_EQ(said[0].flags, uint32_t{WGPEER_F_REMOVE_ME | WGPEER_F_UPDATE_ONLY});
}

TEST(wg_message, every_peer_and_address_is_sent_once_whatever_the_size_of_a_message) {
  std::vector<SetPeer> peers;
  size_t ips = 0;
  for (uint32_t n = 0; n < 60; ++n) {
    peers.push_back(peer(n));
    if (n % 4 == 0) continue;
    peers.back().allowed_ips.emplace();
    for (uint32_t i = 0; i < n % 23; ++i, ++ips) {
      peers.back().allowed_ips->push_back(i % 2 == 0 ? Prefix::host(IpAddress::v4(n * 256 + i))
                                                     : *Prefix::parse("fd00::/64"));
    }
  }
  for (size_t capacity = 256; capacity < 3000; capacity += 4) {
    Message message(capacity);
    std::map<PublicKey, size_t> first_said;
    size_t sent_ips = 0;
    for (PeerCursor at; at.peer < peers.size();) {
      const PeerCursor next = write_set_peers(message, kFamily, peers, at);
      ASSERT_NE(next, at) << capacity;
      ASSERT_LE(message.size(), capacity);
      const auto said = peers_of(message);
      ASSERT_FALSE(said.empty());
      for (const Said& one : said) {
        sent_ips += one.allowed_ips;
        const bool again = !first_said.emplace(one.public_key, 1).second;
        const SetPeer& set = *std::ranges::find(peers, one.public_key, &SetPeer::public_key);
        const uint32_t flags = again             ? WGPEER_F_UPDATE_ONLY
                               : set.allowed_ips ? WGPEER_F_REPLACE_ALLOWEDIPS
                                                 : 0;
        ASSERT_EQ(one.flags, flags) << capacity;
        if (again) {
          ASSERT_GT(one.allowed_ips, 0U) << capacity;
        }
      }
      at = next;
    }
    ASSERT_EQ(first_said.size(), peers.size()) << capacity;
    ASSERT_EQ(sent_ips, ips) << capacity;
  }
}

TEST(wg_message, no_room_for_one_peer_is_told) {
  SetPeer set = peer(1);
  set.allowed_ips = {{*Prefix::parse("10.0.0.0/8")}};
  // 20 of headers, 8 of the name, 4 + 4 + 36 + 8 of the peer, 4 + 28 of its address.
  Message small(111);
  EXPECT_EQ(write_set_peers(small, kFamily, std::span(&set, 1), {}), PeerCursor{});
  Message enough(112);
  EXPECT_EQ(write_set_peers(enough, kFamily, std::span(&set, 1), {}), (PeerCursor{1, 0}));
}

TEST(wg_message, one_device_a_message) {
  const std::vector<SetPeer> peers{peer(1), peer(2), peer(3, "wg1"), peer(4)};
  Message message;
  std::vector<size_t> borders;
  for (PeerCursor at; at.peer < peers.size();) {
    at = write_set_peers(message, kFamily, peers, at);
    borders.push_back(at.peer);
    ASSERT_LT(borders.size(), 10U);
  }
  EXPECT_THAT(borders, testing::ElementsAre(2, 3, 4));
}

// --- dumps ------------------------------------------------------------------------------------

/// A dump message as the kernel writes it: all of peer 1, and then only key and addresses.
Bytes dump_message(bool first, const char* address) {
  Message message;
  message.begin(kFamily);
  EXPECT_TRUE(message.put_string(WGDEVICE_A_IFNAME, "wg0"));
  std::array<uint8_t, 32> secret{};
  secret.fill(0x42);
  if (first) {
    EXPECT_TRUE(message.put_value(WGDEVICE_A_PRIVATE_KEY, secret));
    EXPECT_TRUE(message.put_u16(WGDEVICE_A_LISTEN_PORT, 51820));
    EXPECT_TRUE(message.put_u32(WGDEVICE_A_FWMARK, 0xca6c));
  }
  EXPECT_TRUE(message.put_nested(WGDEVICE_A_PEERS, [&] {
    return message.put_nested(0, [&] {
      EXPECT_TRUE(message.put_value(WGPEER_A_PUBLIC_KEY, key(1).bytes));
      if (first) {
        EXPECT_TRUE(message.put_value(WGPEER_A_PRESHARED_KEY, std::array<uint8_t, 32>{}));
        EXPECT_TRUE(message.put_u16(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, 25));
        EXPECT_TRUE(message.put_u64(WGPEER_A_RX_BYTES, 1));
        EXPECT_TRUE(message.put_u64(WGPEER_A_TX_BYTES, 2));
        const std::array<int64_t, 2> time{1700000000, 5};
        EXPECT_TRUE(message.put_value(WGPEER_A_LAST_HANDSHAKE_TIME, time));
        const std::array<uint8_t, 28> in6{10, 0, 0x01, 0xbb, 0, 0, 0, 0, 0x20, 0x01, 0x0d, 0xb8,
                                          0,  0, 0,    0,    0, 0, 0, 0, 0,    0,    0,    7};
        EXPECT_TRUE(message.put_value(WGPEER_A_ENDPOINT, in6));
      }
      return message.put_nested(WGPEER_A_ALLOWEDIPS, [&] {
        return message.put_nested(0, [&] {
          const Prefix ip = *Prefix::parse(address);
          const ByteView bytes = ip.address.bytes;
          return message.put_u16(WGALLOWEDIP_A_FAMILY, ip.address.is_v4() ? 2 : 10) &&
                 message.put(WGALLOWEDIP_A_IPADDR, ip.address.is_v4() ? bytes.last(4) : bytes) &&
                 message.put_u8(WGALLOWEDIP_A_CIDR_MASK, ip.length);
        });
      });
    });
  }));
  return {message.bytes().begin() + 16, message.bytes().end()};
}

TEST(wg_message, a_peer_goes_on_in_the_next_message) {
  WgDumpReader reader;
  ASSERT_TRUE(reader.on_message(dump_message(true, "fd00::/8")));
  ASSERT_TRUE(reader.on_message(dump_message(false, "10.0.0.0/8")));
  const WgObserved seen = std::move(reader).finish();
  EXPECT_EQ(seen.device.name, "wg0");
  ASSERT_TRUE(seen.device.private_key);
  EXPECT_EQ(seen.device.private_key->scalar.reveal()[31], 0x42);
  EXPECT_EQ(seen.device.listen_port, 51820);
  EXPECT_EQ(seen.device.fwmark, 0xca6cU);
  const WgPeer expected{key(1),
                        std::nullopt,
                        Endpoint::parse("[2001:db8::7]:443"),
                        25,
                        {*Prefix::parse("10.0.0.0/8"), *Prefix::parse("fd00::/8")}};
  ASSERT_EQ(seen.device.peers.size(), 1U);
  EXPECT_EQ(seen.device.peers.at(key(1)), expected);
  EXPECT_EQ(seen.stats.at(key(1)).last_handshake_unix_s, 1700000000);
  EXPECT_EQ(seen.stats.at(key(1)).rx_bytes, 1U);
  EXPECT_EQ(seen.stats.at(key(1)).tx_bytes, 2U);
}

TEST(wg_message, hostile_dumps_are_refused) {
  const Bytes good = dump_message(true, "10.0.0.0/8");
  for (size_t n = 1; n < good.size(); ++n) {
    const Bytes cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(n));
    WgDumpReader reader;
    // Only between attributes of the device (name, key, port with its padding, mark) is a shorter
    // dump a dump.
    EXPECT_EQ(reader.on_message(cut), n == 8 || n == 44 || (n >= 50 && n <= 52) || n == 60) << n;
  }
  // The mask of the address is the last byte but three: /33 of IPv4.
  Bytes mask = good;
  mask[mask.size() - 4] = 33;
  EXPECT_FALSE(WgDumpReader().on_message(mask));
  mask[mask.size() - 4] = 32;
  EXPECT_TRUE(WgDumpReader().on_message(mask));
  // Its family: one that does not exist.
  Bytes family = good;
  family[family.size() - 20] = 77;
  EXPECT_FALSE(WgDumpReader().on_message(family));
}

}  // namespace
}  // namespace sallyport
