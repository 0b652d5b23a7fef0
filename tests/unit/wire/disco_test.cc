// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/disco.h"

#include <gtest/gtest.h>

#include "tests/support/vectors.h"

namespace sallyport::disco {
namespace {

/// A private key as the vectors' generator makes it: bytes that count up from `start`.
PrivateKey counting_key(uint8_t start) {
  std::array<uint8_t, 32> raw{};
  for (uint8_t& byte : raw) byte = start++;
  return clamped(raw);
}
BoxNonce counting_nonce(uint8_t start) {
  BoxNonce nonce{};
  for (uint8_t& byte : nonce) byte = start++;
  return nonce;
}
DiscoKey disco_key(uint8_t start) { return {counting_key(start).public_key().bytes}; }

constexpr TxId kTx{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
const PrivateKey kSender = counting_key(0x30);
const PrivateKey kReceiver = counting_key(0x40);
const std::array kEndpoints{Endpoint::parse("192.0.2.7:41641").value(),
                            Endpoint::parse("[2001:db8::7]:443").value()};

/// Endpoint lists borrow: this owns what they borrow.
struct Cases {
  std::array<uint8_t, 2 * kWireEndpoint> buffer{};
  EndpointList endpoints{kEndpoints, buffer};
  std::array<uint8_t, 32> challenge{};
  RelayEndpoint relay;
  std::map<std::string, Message> messages;

  Cases() {
    for (size_t i = 0; i < challenge.size(); ++i) challenge[i] = static_cast<uint8_t>(0xc0 + i);
    relay = {.server = disco_key(0x50),
             .clients = {disco_key(0x30), disco_key(0x40)},
             .lamport_id = 0x0102030405060708,
             .vni = 0xa1b2c3,
             .bind_lifetime = std::chrono::seconds(30),
             .steady_lifetime = std::chrono::minutes(5),
             .addresses = endpoints};
    const NodeKey node_key = counting_key(0x10).public_key();
    const DiscoKey remote = disco_key(0x40);
    messages = {
        {"ping", Ping{kTx, node_key, 0}},
        {"ping.anonymous", Ping{kTx, {}, 0}},
        {"ping.padded", Ping{kTx, node_key, 5}},
        {"pong.v4", Pong{kTx, kEndpoints[0]}},
        {"pong.v6", Pong{kTx, kEndpoints[1]}},
        {"call_me_maybe", CallMeMaybe{endpoints}},
        {"call_me_maybe.empty", CallMeMaybe{}},
        {"relay.bind", RelayHandshake{RelayStep::kBind, 0xa1b2c3, 0x01020304, remote, {}}},
        {"relay.challenge",
         RelayHandshake{RelayStep::kChallenge, 0xa1b2c3, 0x01020304, remote, challenge}},
        {"relay.answer",
         RelayHandshake{RelayStep::kAnswer, 0xa1b2c3, 0x01020304, remote, challenge}},
        {"call_me_maybe_via", CallMeMaybeVia{relay}},
        {"allocate.request", AllocateRequest{relay.clients, 7}},
        {"allocate.response", AllocateResponse{7, relay}},
    };
  }
};

const Vectors& vectors() {
  static const Vectors kVectors(SALLYPORT_SOURCE_DIR "/tests/vectors/disco.txt");
  return kVectors;
}

TEST(disco, every_message_is_the_references_bytes_and_back) {
  const Cases cases;
  EXPECT_EQ(vectors().names("message.").size(), cases.messages.size());
  for (const auto& [name, message] : cases.messages) {
    const Bytes expected = vectors().bytes("message." + name);
    std::array<uint8_t, 512> buffer{};
    EXPECT_EQ(bytes_of(write(message, buffer)), expected) << name;
    const auto parsed = parse(expected);
    ASSERT_TRUE(parsed) << name;
    EXPECT_EQ(*parsed, message) << name;
  }
}

TEST(disco, every_datagram_is_the_references_bytes_and_opens) {
  const Cases cases;
  const auto to_receiver = BoxKey::between(kSender, disco_key(0x40).bytes);
  const auto from_sender = BoxKey::between(kReceiver, disco_key(0x30).bytes);
  ASSERT_TRUE(to_receiver && from_sender);
  EXPECT_EQ(to_receiver->secret(), from_sender->secret());
  for (const auto& [name, message] : cases.messages) {
    const Bytes expected = vectors().bytes("datagram." + name);
    std::array<uint8_t, 512> buffer{};
    const ByteView sealed =
        seal(*to_receiver, disco_key(0x30), counting_nonce(0x60), message, buffer);
    EXPECT_EQ(bytes_of(sealed), expected) << name;

    const auto envelope = parse_envelope(expected);
    ASSERT_TRUE(envelope) << name;
    EXPECT_EQ(envelope->sender, disco_key(0x30));
    std::array<uint8_t, 512> plain{};
    const auto opened = open(*from_sender, *envelope, plain);
    ASSERT_TRUE(opened) << name;
    EXPECT_EQ(bytes_of(*opened), vectors().bytes("message." + name));
  }
}

TEST(disco, a_datagram_opens_in_place) {
  Bytes datagram = vectors().bytes("datagram.pong.v4");
  const auto envelope = parse_envelope(datagram);
  ASSERT_TRUE(envelope);
  const auto key = BoxKey::between(kReceiver, envelope->sender.bytes);
  const auto opened = open(*key, *envelope, std::span(datagram).subspan(kHead));
  ASSERT_TRUE(opened);
  EXPECT_EQ(bytes_of(*opened), vectors().bytes("message.pong.v4"));
}

TEST(disco, an_altered_byte_anywhere_opens_nothing) {
  const Bytes good = vectors().bytes("datagram.ping");
  const auto key = BoxKey::between(kReceiver, disco_key(0x30).bytes);
  std::array<uint8_t, 512> plain{};
  for (size_t i = kMagic.size() + 32; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= 1;
    EXPECT_FALSE(open(*key, parse_envelope(bad).value(), plain)) << i;
  }
  const auto other = BoxKey::between(kReceiver, disco_key(0x50).bytes);
  EXPECT_FALSE(open(*other, parse_envelope(good).value(), plain));
}

TEST(disco, open_needs_a_tag_and_room) {
  const Bytes good = vectors().bytes("datagram.ping");
  const auto key = BoxKey::between(kReceiver, disco_key(0x30).bytes);
  std::array<uint8_t, 512> plain{};
  const size_t message = good.size() - kOverhead;
  EXPECT_TRUE(open(*key, parse_envelope(good).value(), std::span(plain).first(message)));
  EXPECT_FALSE(open(*key, parse_envelope(good).value(), std::span(plain).first(message - 1)));
  const auto bare = parse_envelope(ByteView(good).first(kHead));
  ASSERT_TRUE(bare);
  EXPECT_FALSE(open(*key, *bare, plain));
}

TEST(disco, is_told_by_magic_and_length) {
  const Bytes good = vectors().bytes("datagram.ping");
  EXPECT_TRUE(is_disco(good));
  EXPECT_TRUE(is_disco(ByteView(good).first(62)));
  EXPECT_FALSE(is_disco(ByteView(good).first(61)));
  EXPECT_FALSE(parse_envelope(ByteView(good).first(61)));
  for (size_t i = 0; i < kMagic.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= 1;
    EXPECT_FALSE(is_disco(bad)) << i;
  }
}

TEST(disco, a_message_that_ends_early_is_truncated) {
  // What each type can do without.
  const std::map<std::string, size_t> least{{"ping", 14},
                                            {"pong.v4", 32},
                                            {"relay.bind", 74},
                                            {"call_me_maybe_via", 2 + 124 + 18},
                                            {"allocate.request", 70},
                                            {"allocate.response", 2 + 4 + 124 + 18}};
  for (const auto& [name, size] : least) {
    const Bytes whole = vectors().bytes("message." + name);
    EXPECT_TRUE(parse(ByteView(whole).first(size))) << name;
    for (size_t i = 0; i < size; ++i) EXPECT_FALSE(parse(ByteView(whole).first(i))) << name << i;
  }
}

TEST(disco, bytes_after_a_body_are_left_unread) {
  for (const char* name : {"pong.v4", "relay.bind", "allocate.request"}) {
    Bytes longer = vectors().bytes(std::string("message.") + name);
    const auto whole = parse(longer);
    longer.push_back(0xff);
    const auto parsed = parse(longer);
    ASSERT_TRUE(parsed) << name;
    EXPECT_EQ(*parsed, *whole) << name;
  }
}

TEST(disco, lists_that_do_not_come_out_even_are_no_lists) {
  Bytes call = vectors().bytes("message.call_me_maybe");
  call.push_back(0);
  const auto parsed = parse(call);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, Message{CallMeMaybe{}});
  Bytes via = vectors().bytes("message.call_me_maybe_via");
  via.push_back(0);
  EXPECT_FALSE(parse(via));
}

TEST(disco, unknown_types_and_versions_are_left_alone) {
  EXPECT_EQ(parse(from_hex("0a00 00")).value(), Message{Unknown{10}});
  EXPECT_EQ(parse(from_hex("ff00")).value(), Message{Unknown{255}});
  for (const char* name : {"call_me_maybe", "call_me_maybe_via", "allocate.request"}) {
    Bytes later = vectors().bytes(std::string("message.") + name);
    later[1] = 1;
    EXPECT_EQ(parse(later).value(), Message{Unknown{later[0]}}) << name;
  }
  Bytes ping = vectors().bytes("message.ping");
  ping[1] = 1;
  EXPECT_EQ(parse(ping).value(), parse(vectors().bytes("message.ping")).value());
  std::array<uint8_t, 16> buffer{};
  EXPECT_TRUE(write(Message{Unknown{10}}, buffer).empty());
}

TEST(disco, padding_is_counted_whatever_it_looks_like) {
  for (const size_t padding : {0U, 1U, 31U, 32U, 33U, 1200U}) {
    for (const NodeKey& node_key : {NodeKey{}, counting_key(1).public_key()}) {
      const Message ping = Ping{kTx, node_key, padding};
      std::array<uint8_t, 1300> buffer{};
      const ByteView written = write(ping, buffer);
      EXPECT_EQ(written.size(), 14 + padding + (node_key.is_zero() ? 0 : 32));
      EXPECT_EQ(parse(written).value(), ping) << padding;
    }
  }
}

TEST(disco, nothing_is_written_without_room) {
  const Cases cases;
  const auto key = BoxKey::between(kSender, disco_key(0x40).bytes);
  for (const auto& [name, message] : cases.messages) {
    const size_t size = vectors().bytes("message." + name).size();
    std::array<uint8_t, 512> buffer{};
    EXPECT_TRUE(write(message, std::span(buffer).first(size - 1)).empty()) << name;
    EXPECT_EQ(write(message, std::span(buffer).first(size)).size(), size) << name;
    const auto sealed = [&](size_t room) {
      return seal(*key, disco_key(0x30), {}, message, std::span(buffer).first(room)).size();
    };
    EXPECT_EQ(sealed(size + kOverhead - 1), 0U) << name;
    EXPECT_EQ(sealed(size + kOverhead), size + kOverhead) << name;
  }
  RelayEndpoint nowhere = cases.relay;
  nowhere.addresses = {};
  std::array<uint8_t, 512> buffer{};
  EXPECT_TRUE(write(Message{CallMeMaybeVia{nowhere}}, buffer).empty());
}

TEST(disco, an_endpoint_list_takes_what_fits) {
  std::array<uint8_t, kWireEndpoint + 5> small{};
  const EndpointList one(kEndpoints, small);
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0], kEndpoints[0]);
  EXPECT_EQ(EndpointList(ByteView(small)).size(), 1U);
  EXPECT_TRUE(EndpointList().empty());
}

TEST(box, a_point_without_a_secret_is_refused) {
  EXPECT_FALSE(BoxKey::between(kSender, std::array<uint8_t, 32>{}));
  std::array<uint8_t, 32> one{1};
  EXPECT_FALSE(BoxKey::between(kSender, one));
}

}  // namespace
}  // namespace sallyport::disco
