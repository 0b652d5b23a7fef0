// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/geneve.h"

#include <gtest/gtest.h>

#include "agent/wire/datagram_kind.h"
#include "tests/support/vectors.h"

namespace sallyport {
namespace {

using geneve::Head;
using geneve::Protocol;

const Vectors& vectors() {
  static const Vectors kVectors(SALLYPORT_SOURCE_DIR "/tests/vectors/geneve.txt");
  return kVectors;
}

TEST(geneve, heads_are_the_references_bytes_and_back) {
  const std::map<std::string, Head> cases{{"disco.control", {true, Protocol::kDisco, 0xa1b2c3}},
                                          {"disco", {false, Protocol::kDisco, 0xa1b2c3}},
                                          {"wireguard", {false, Protocol::kWireGuard, 0xa1b2c3}}};
  for (const auto& [name, head] : cases) {
    EXPECT_EQ(bytes_of(geneve::write(head)), vectors().bytes(name)) << name;
    EXPECT_EQ(geneve::parse(vectors().bytes(name)), head) << name;
  }
}

TEST(geneve, edges_of_the_vni) {
  for (const uint32_t vni : {0U, 1U, geneve::kMaxVni}) {
    EXPECT_EQ(geneve::parse(geneve::write({false, Protocol::kDisco, vni})).value().vni, vni);
  }
  EXPECT_EQ(geneve::parse(geneve::write({false, Protocol::kDisco, 0xff000001})).value().vni, 1U);
}

TEST(geneve, anything_else_is_none) {
  const Bytes good = vectors().bytes("disco");
  for (size_t i = 0; i < good.size(); ++i) EXPECT_FALSE(geneve::parse(ByteView(good).first(i)));
  for (const auto& [at, flip] : {std::pair<size_t, uint8_t>{0, 0x40},
                                 {0, 0x80},
                                 {0, 0x01},
                                 {1, 0x40},
                                 {1, 0x01},
                                 {2, 0x01},
                                 {3, 0x80},
                                 {7, 0x01}}) {
    Bytes bad = good;
    bad[at] ^= flip;
    EXPECT_FALSE(geneve::parse(bad)) << at << " " << int{flip};
  }
}

Bytes joined(Bytes head, const Bytes& more) {
  head.insert(head.end(), more.begin(), more.end());
  return head;
}

TEST(datagram_kind, each_protocol_is_told_from_the_others) {
  const Vectors disco(SALLYPORT_SOURCE_DIR "/tests/vectors/disco.txt");
  const Vectors stun(SALLYPORT_SOURCE_DIR "/tests/vectors/stun.txt");
  const Bytes ping = disco.bytes("datagram.ping");
  const Bytes initiation = from_hex("01000000" + std::string(288, 'a'));
  EXPECT_EQ(datagram_kind(stun.bytes("request")), DatagramKind::kStun);
  EXPECT_EQ(datagram_kind(stun.bytes("response.v6")), DatagramKind::kStun);
  EXPECT_EQ(datagram_kind(ping), DatagramKind::kDisco);
  EXPECT_EQ(datagram_kind(joined(vectors().bytes("disco"), ping)), DatagramKind::kRelayedDisco);
  EXPECT_EQ(datagram_kind(joined(vectors().bytes("disco.control"), ping)),
            DatagramKind::kRelayedDisco);
  EXPECT_EQ(datagram_kind(joined(vectors().bytes("wireguard"), initiation)),
            DatagramKind::kRelayedWireGuard);
  EXPECT_EQ(datagram_kind(joined(vectors().bytes("disco"), initiation)), DatagramKind::kWireGuard);
  EXPECT_EQ(datagram_kind(initiation), DatagramKind::kWireGuard);
  EXPECT_EQ(datagram_kind({}), DatagramKind::kWireGuard);
}

}  // namespace
}  // namespace sallyport
