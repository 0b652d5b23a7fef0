// SPDX-License-Identifier: BSD-3-Clause
// What a tailnet brings, byte by byte: peers that need translation, and routes that we serve.
#include <gtest/gtest.h>

#include "agent/wire/node_object_codec.h"

namespace sallyport::channel {
namespace {

Bytes bytes_of(const NodeObject& object) {
  ByteWriter out;
  EXPECT_TRUE(write_object(out, object));
  return std::move(out).finish();
}
std::string hex_of(const NodeObject& object) {
  std::string hex;
  for (const uint8_t byte : bytes_of(object)) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    hex += {kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return hex;
}
NodeObject back(const NodeObject& object) {
  const Bytes bytes = bytes_of(object);
  ByteReader in(bytes);
  auto parsed = parse_object(in);
  EXPECT_TRUE(parsed && in.done());
  return parsed.value_or(ClockTrust::kUnknown);
}

TEST(node_object, a_route_that_we_serve) {
  const NodeObject lan = ServedRoute{*Prefix::parse("10.1.0.0/16"), false};
  const NodeObject exit = ServedRoute{*Prefix::parse("::/0"), true};
  EXPECT_EQ(hex_of(lan), "0604100a01000000");
  EXPECT_EQ(hex_of(exit), "0606000000000000000000000000000000000001");
  EXPECT_EQ(back(lan), lan);
  EXPECT_EQ(back(exit), exit);
  EXPECT_EQ(id_of(lan).text(), "route 10.1.0.0/16");

  const Bytes bad{0x06, 0x04, 0x10, 0x0a, 0x01, 0x00, 0x00, 0x02};  // neither on nor off
  ByteReader in(bad);
  EXPECT_EQ(parse_object(in).error(), ChannelError::kBadValue);

  ByteWriter out;
  write_object_id(out, id_of(lan));
  const Bytes id_bytes = std::move(out).finish();
  ByteReader id(id_bytes);
  EXPECT_EQ(parse_object_id(id).value(), id_of(lan));

  NodeState state;
  put(state, lan);
  EXPECT_EQ(state.routes, (std::map<Prefix, bool>{{*Prefix::parse("10.1.0.0/16"), false}}));
  put(state, ServedRoute{*Prefix::parse("10.1.0.0/16"), true});
  EXPECT_TRUE(state.routes.begin()->second);
  erase(state, id_of(lan));
  EXPECT_EQ(state, NodeState{});
}

TEST(node_object, a_peer_that_needs_translation) {
  TailnetPeer peer;
  peer.node_key.bytes.fill(0x11);
  peer.jailed = true;
  peer.wireguard_only = true;
  peer.masquerade_v4 = IpAddress::parse("172.16.0.1");
  const std::string key(64, '1');
  EXPECT_EQ(hex_of(peer), "02" + key + "0e" + "0000" + "0000" + "0000" + "ac100001" + "0000");
  peer.masquerade_v6 = IpAddress::parse("fd00::1");
  peer.endpoint = Endpoint::parse("192.0.2.1:51820");
  EXPECT_EQ(back(peer), NodeObject{peer});

  peer.parking = IpAddress::parse("127.1.2.3");
  peer.yields = false;
  EXPECT_EQ(back(peer), NodeObject{peer});

  // An address of the other family would be read as something else.
  ByteWriter out;
  peer.masquerade_v4 = IpAddress::parse("fd00::1");
  EXPECT_FALSE(write_object(out, peer));

  Bytes bad(1 + 32 + 1, 0x02);
  bad.back() = 0x80;  // a flag that is none
  ByteReader in(bad);
  EXPECT_EQ(parse_object(in).error(), ChannelError::kBadValue);
}

}  // namespace
}  // namespace sallyport::channel
