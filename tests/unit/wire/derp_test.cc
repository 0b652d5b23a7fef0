// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/derp.h"

#include <gtest/gtest.h>

#include "agent/wire/derp_info.h"
#include "tests/support/vectors.h"

namespace sallyport::derp {
namespace {

const Vectors& vectors() {
  static const Vectors kVectors(SALLYPORT_SOURCE_DIR "/tests/vectors/derp.txt");
  return kVectors;
}

PrivateKey private_key(const char* who) {
  return parse_private_key(vectors().text(std::string(who) + ".private")).value();
}
NodeKey public_key(const char* who) { return private_key(who).public_key(); }

Frame frame_of(ByteView bytes) {
  const auto frame = next_frame(bytes, kMaxBody);
  if (!frame || !*frame) {
    ADD_FAILURE() << "no frame";
    return {};
  }
  EXPECT_EQ((*frame)->size(), bytes.size());
  return **frame;
}

template <class Wanted>
Wanted parsed(const Bytes& bytes) {
  const auto message = parse(frame_of(bytes));
  if (!message || !std::holds_alternative<Wanted>(*message)) {
    ADD_FAILURE() << "another message";
    return {};
  }
  return std::get<Wanted>(*message);
}

/// The message of this vector, which must be what is written for it again. It borrows from
/// `bytes`.
template <class Wanted>
Wanted both_ways(const Bytes& bytes) {
  const Wanted message = parsed<Wanted>(bytes);
  std::array<uint8_t, 512> buffer{};
  EXPECT_EQ(bytes_of(write(message, buffer)), bytes);
  EXPECT_TRUE(write(message, std::span(buffer).first(bytes.size() - 1)).empty());
  return message;
}
template <class Wanted>
Wanted both_ways(const char* name, Bytes& keep) {
  keep = vectors().bytes(name);
  return both_ways<Wanted>(keep);
}

TEST(derp, login) {
  Bytes keep;
  EXPECT_EQ(both_ways<ServerKey>("server_key", keep).server, public_key("server"));
  EXPECT_EQ(both_ways<ClientInfoBox>("client_info", keep).client, public_key("client"));
  both_ways<ServerInfoBox>("server_info", keep);
}

TEST(derp, packets) {
  Bytes keep;
  const auto sent = both_ways<SendPacket>("send_packet", keep);
  EXPECT_EQ(sent.to, public_key("peer"));
  EXPECT_EQ(text_of(sent.packet), "packet");
  const auto received = both_ways<RecvPacket>("recv_packet", keep);
  EXPECT_EQ(received.from, public_key("peer"));
  EXPECT_EQ(text_of(received.packet), "packet");
  const auto forwarded = both_ways<ForwardPacket>("forward_packet", keep);
  EXPECT_EQ(forwarded.from, public_key("client"));
  EXPECT_EQ(forwarded.to, public_key("peer"));
  EXPECT_EQ(text_of(forwarded.packet), "packet");
}

TEST(derp, heads_for_packets_that_stay_where_they_are) {
  const auto with_head = [](const auto& head) {
    Bytes out = bytes_of(head);
    for (const char c : std::string_view("packet")) out.push_back(static_cast<uint8_t>(c));
    return out;
  };
  EXPECT_EQ(with_head(send_packet_head(public_key("peer"), 6)), vectors().bytes("send_packet"));
  EXPECT_EQ(with_head(recv_packet_head(public_key("peer"), 6)), vectors().bytes("recv_packet"));
}

TEST(derp, presence) {
  Bytes keep;
  const auto present = both_ways<PeerPresent>("peer_present", keep);
  EXPECT_EQ(present.peer, public_key("peer"));
  EXPECT_EQ(present.endpoint, Endpoint::parse("192.0.2.7:41641"));
  EXPECT_EQ(present.flags, PeerPresent::kRegular);
  const auto left = both_ways<PeerGone>("peer_gone.disconnected", keep);
  EXPECT_EQ(left.peer, public_key("peer"));
  EXPECT_EQ(left.reason, GoneReason::kDisconnected);
  const auto unknown = both_ways<PeerGone>("peer_gone.not_here", keep);
  EXPECT_EQ(unknown.peer, public_key("nobody"));
  EXPECT_EQ(unknown.reason, GoneReason::kNotHere);
  EXPECT_EQ(both_ways<ClosePeer>("close_peer", keep).peer, public_key("peer"));
}

TEST(derp, small_ones) {
  Bytes keep;
  constexpr std::array<uint8_t, 8> kData{1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(both_ways<Ping>("ping", keep).data, kData);
  EXPECT_EQ(both_ways<Pong>("pong", keep).data, kData);
  EXPECT_TRUE(both_ways<NotePreferred>("note_preferred", keep).home);
  EXPECT_FALSE(both_ways<NotePreferred>("note_preferred.not", keep).home);
  both_ways<KeepAlive>("keep_alive", keep);
  both_ways<WatchConns>("watch_conns", keep);
  EXPECT_EQ(both_ways<Health>("health", keep).problem, "duplicate");
  EXPECT_EQ(both_ways<Health>("health.well", keep).problem, "");
  const auto restarting = both_ways<Restarting>("restarting", keep);
  EXPECT_EQ(restarting.reconnect_in, std::chrono::seconds(10));
  EXPECT_EQ(restarting.try_for, std::chrono::seconds(5));
}

TEST(derp, older_and_newer_peers) {
  const std::string key(64, 'a');
  EXPECT_EQ(parsed<PeerGone>(from_hex("08 00000020" + key)).reason, GoneReason::kDisconnected);
  EXPECT_EQ(parsed<PeerPresent>(from_hex("09 00000020" + key)).endpoint, std::nullopt);
  const auto without_flags =
      parsed<PeerPresent>(from_hex("09 00000032" + key + "00000000000000000000ffffc0000207a2a9"));
  EXPECT_EQ(without_flags.endpoint, Endpoint::parse("192.0.2.7:41641"));
  EXPECT_EQ(without_flags.flags, 0);
  EXPECT_EQ(parsed<Ping>(from_hex("12 0000000a 0102030405060708 ffff")).data,
            (std::array<uint8_t, 8>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(parsed<Unknown>(from_hex("7f 00000002 0102")).type, 0x7f);
  EXPECT_EQ(
      parsed<ServerKey>(from_hex("01 00000029 44455250f09f9491" + key + "00")).server.bytes[0],
      0xaa);
}

FrameError error_of(std::string_view hex) {
  const Bytes bytes = from_hex(hex);
  const auto message = parse(frame_of(bytes));
  EXPECT_FALSE(message) << hex;
  return message ? FrameError{} : message.error();
}

TEST(derp, short_bodies_are_truncated) {
  const std::string short_key(62, 'a');
  for (const char* head : {"04 0000001f", "05 0000001f", "08 0000001f", "09 0000001f",
                           "11 0000001f", "0a 0000001f", "02 0000001f"}) {
    EXPECT_EQ(error_of(head + short_key), FrameError::kTruncated) << head;
  }
  for (const char* hex : {"12 00000007 01020304050607", "13 00000000", "15 00000007 01020304050607",
                          "07 00000000", "03 00000000", "01 00000008 44455250f09f9491"}) {
    EXPECT_EQ(error_of(hex), FrameError::kTruncated) << hex;
  }
  EXPECT_EQ(error_of("01 00000028 44455250f09f9492" + std::string(64, 'a')), FrameError::kNoMagic);
}

TEST(derp, a_stream_is_cut_into_frames) {
  Bytes stream = vectors().bytes("ping");
  const Bytes second = vectors().bytes("recv_packet");
  stream.insert(stream.end(), second.begin(), second.end());
  const auto first = next_frame(stream, kMaxBody);
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->type, 0x12);
  EXPECT_EQ((*first)->size(), 13U);
  const ByteView rest = ByteView(stream).subspan(13);
  for (size_t i = 0; i < second.size(); ++i) {
    const auto partial = next_frame(rest.first(i), kMaxBody);
    ASSERT_TRUE(partial);
    EXPECT_FALSE(*partial) << i;
  }
  EXPECT_TRUE(next_frame(rest, kMaxBody).value());
}

TEST(derp, a_long_body_is_refused_by_its_head) {
  const Bytes head = from_hex("05 00100001");
  const auto refused = next_frame(head, kMaxBody);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), FrameError::kTooLong);
  EXPECT_FALSE(next_frame(from_hex("05 00100000"), kMaxBody).value());
  EXPECT_FALSE(next_frame(from_hex("05 ffffffff"), kMaxBody));
}

TEST(derp, packets_have_a_bound) {
  const Bytes packet(kMaxPacket + 1);
  Bytes buffer(kMaxPacket + 100);
  const ByteView most = ByteView(packet).first(kMaxPacket);
  EXPECT_EQ(write(RecvPacket{{}, most}, buffer).size(), kMaxPacket + 37);
  EXPECT_TRUE(write(RecvPacket{{}, packet}, buffer).empty());
  Bytes body(32 + kMaxPacket + 1);
  const auto refused = parse(Frame{0x05, body});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), FrameError::kTooLarge);
}

TEST(derp, info_of_the_references_client) {
  const Bytes bytes = vectors().bytes("client_info");
  const auto sealed = parsed<ClientInfoBox>(bytes);
  const auto key = BoxKey::between(private_key("server"), sealed.client.bytes);
  const auto info = open_client_info(sealed, *key);
  ASSERT_TRUE(info);
  std::array<uint8_t, 32> mesh{};
  mesh.fill(0x5a);
  EXPECT_EQ(*info, (ClientInfo{Secret<32>(mesh), 2, true, true, "vectors"}));

  const auto stranger = BoxKey::between(private_key("peer"), sealed.client.bytes);
  EXPECT_FALSE(open_client_info(sealed, *stranger));
}

TEST(derp, info_of_the_references_server) {
  const Bytes bytes = vectors().bytes("server_info");
  const auto key = BoxKey::between(private_key("client"), public_key("server").bytes);
  const auto info = open_server_info(parsed<ServerInfoBox>(bytes), *key);
  ASSERT_TRUE(info);
  EXPECT_EQ(*info, (ServerInfo{2, 0, 0}));
}

TEST(derp, info_goes_both_ways) {
  const auto key = BoxKey::between(private_key("client"), public_key("server").bytes);
  std::array<uint8_t, 32> mesh{};
  mesh.fill(7);
  for (const ClientInfo& info :
       {ClientInfo{}, ClientInfo{Secret<32>(mesh), 2, true, true, "a \"name\"\n"}}) {
    const Bytes frame = write_client_info(info, public_key("client"), *key, {1});
    EXPECT_EQ(open_client_info(parsed<ClientInfoBox>(frame), *key), info);
  }
  for (const ServerInfo& info : {ServerInfo{}, ServerInfo{2, 1'000'000, uint64_t{1} << 40}}) {
    const Bytes frame = write_server_info(info, *key, {2});
    EXPECT_EQ(open_server_info(parsed<ServerInfoBox>(frame), *key), info);
  }
}

std::optional<ClientInfo> client_info_of(std::string_view json) {
  const auto key = BoxKey::between(private_key("client"), public_key("server").bytes);
  Bytes box(json.size() + kBoxTag);
  key->seal({}, view_of(json), box);
  return open_client_info({public_key("client"), {}, box}, *key);
}

TEST(derp, info_that_is_no_info) {
  EXPECT_TRUE(client_info_of("{}"));
  EXPECT_TRUE(client_info_of(R"({"later":[1],"meshKey":null})"));
  EXPECT_EQ(client_info_of(R"({"meshKey":""})")->mesh_key, std::nullopt);
  EXPECT_EQ(client_info_of(R"({"meshKey":")" + std::string(64, '0') + R"("})")->mesh_key,
            std::nullopt);
  for (const char* bad :
       {"", "[]", "null", "{", R"({"version":"2"})", R"({"version":-1})",
        R"({"version":4294967296})", R"({"version":1e400})", R"({"CanAckPings":1})",
        R"({"AppName":{}})", R"({"meshKey":"00"})", R"({"meshKey":7})", "{\"AppName\":\"\xff\"}"}) {
    EXPECT_FALSE(client_info_of(bad)) << bad;
  }
  EXPECT_FALSE(client_info_of(std::string(100'000, '[')));
}

}  // namespace
}  // namespace sallyport::derp
