// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/noise/handshake.h"

#include <gtest/gtest.h>

#include "agent/wire/noise/blake2s.h"
#include "tests/support/vectors.h"

namespace sallyport::noise {
namespace {

constexpr uint16_t kVersion = 142;

const Vectors& vectors() {
  static const Vectors kVectors(SALLYPORT_SOURCE_DIR "/tests/vectors/noise.txt");
  return kVectors;
}
PrivateKey key(const char* name) { return parse_private_key(vectors().text(name)).value(); }
MachineKey public_of(const PrivateKey& private_key) { return {private_key.public_key().bytes}; }

struct Pair {
  PrivateKey machine = key("machine.private");
  PrivateKey control = key("control.private");
  Initiator initiator{machine, public_of(control), kVersion, key("machine.ephemeral")};

  Result<Accepted, HandshakeError> accepted() {
    return accept(initiator.initiation().value(), control, key("control.ephemeral"));
  }
};

TEST(blake2s, known_answers) {
  // RFC 7693 appendix B.
  EXPECT_EQ(bytes_of(blake2s({view_of("abc")})),
            from_hex("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"));
  EXPECT_EQ(blake2s({view_of("a"), view_of("bc")}), blake2s({view_of("abc")}));
}

TEST(noise, both_ends_say_what_the_references_say) {
  Pair pair;
  ASSERT_TRUE(pair.initiator.initiation());
  EXPECT_EQ(bytes_of(*pair.initiator.initiation()), vectors().bytes("initiation"));
  const auto accepted = pair.accepted();
  ASSERT_TRUE(accepted);
  EXPECT_EQ(bytes_of(accepted->response), vectors().bytes("response"));
  EXPECT_EQ(accepted->machine, public_of(pair.machine));
  EXPECT_EQ(accepted->version, kVersion);
  const auto transport = pair.initiator.on_response(accepted->response);
  ASSERT_TRUE(transport);
  EXPECT_EQ(bytes_of(transport->handshake_hash), vectors().bytes("handshake_hash"));
  EXPECT_EQ(bytes_of(accepted->transport.handshake_hash), vectors().bytes("handshake_hash"));
}

/// Checks that `from` says the records of the reference and `to` reads them.
void expect_records(RecordKey& from, RecordKey& to, const std::string& who) {
  const std::array<std::pair<const char*, std::string>, 2> texts{
      {{".0", "first of the " + who}, {".1", "second of the " + who}}};
  for (const auto& [number, text] : texts) {
    const Bytes expected = vectors().bytes("record." + who + number);
    std::array<uint8_t, kMaxRecord> buffer{};
    EXPECT_EQ(bytes_of(from.seal(view_of(text), buffer)), expected);
    const auto plain = to.open(expected, buffer);
    ASSERT_TRUE(plain);
    EXPECT_EQ(text_of(*plain), text);
  }
}

TEST(noise, records_are_the_references_bytes) {
  Pair pair;
  Transport server = std::move(pair.accepted().value().transport);
  Transport client = pair.initiator.on_response(vectors().bytes("response")).value();
  expect_records(client.to_peer, server.from_peer, "client");
  expect_records(server.to_peer, client.from_peer, "server");
  std::array<uint8_t, kMaxRecord> buffer{};
  const std::string longest(kMaxPlain, 'x');
  EXPECT_EQ(bytes_of(client.to_peer.seal(view_of(longest), buffer)),
            vectors().bytes("record.client.long"));
}

TEST(noise, an_altered_initiation_is_refused) {
  Pair pair;
  const Bytes good = vectors().bytes("initiation");
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= 1;
    EXPECT_FALSE(accept(bad, pair.control, key("control.ephemeral"))) << i;
    EXPECT_FALSE(accept(ByteView(good).first(i), pair.control, key("control.ephemeral"))) << i;
  }
  EXPECT_FALSE(accept(good, pair.machine, key("control.ephemeral"))) << "for another server";
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_EQ(accept(longer, pair.control, key("control.ephemeral")).error(),
            HandshakeError::kLength);
}

TEST(noise, an_altered_response_is_refused) {
  const Bytes good = vectors().bytes("response");
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= 1;
    EXPECT_FALSE(Pair().initiator.on_response(bad)) << i;
    EXPECT_FALSE(Pair().initiator.on_response(ByteView(good).first(i))) << i;
  }
}

TEST(noise, points_without_a_secret_are_refused) {
  const PrivateKey machine = key("machine.private");
  EXPECT_FALSE(Initiator(machine, MachineKey{}, kVersion, machine).initiation());
  Bytes initiation = vectors().bytes("initiation");
  std::fill_n(initiation.begin() + 5, 32, uint8_t{0});
  EXPECT_EQ(accept(initiation, key("control.private"), machine).error(), HandshakeError::kBadKey);
  Bytes response = vectors().bytes("response");
  std::fill_n(response.begin() + 3, 32, uint8_t{0});
  EXPECT_EQ(Pair().initiator.on_response(response).error(), HandshakeError::kBadKey);
}

TEST(noise, a_machine_is_for_one_handshake) {
  Pair pair;
  EXPECT_TRUE(pair.initiator.on_response(vectors().bytes("response")));
  EXPECT_EQ(pair.initiator.on_response(vectors().bytes("response")).error(),
            HandshakeError::kSpent);
}

TEST(noise, a_servers_error_is_shown) {
  const Bytes said = vectors().bytes("error");
  EXPECT_EQ(Initiator::response_size({}), 3U);
  EXPECT_EQ(Initiator::response_size(ByteView(said).first(3)), said.size());
  EXPECT_EQ(Pair().initiator.on_response(said).error(), HandshakeError::kRefused);
  const std::string_view text = Initiator::error_text(said);
  EXPECT_EQ(text, "wrong handshake initiation size");
  std::array<uint8_t, 64> buffer{};
  EXPECT_EQ(bytes_of(write_error(text, buffer)), said);
  EXPECT_TRUE(write_error(text, std::span(buffer).first(said.size() - 1)).empty());
  EXPECT_TRUE(write_error(std::string(70'000, 'x'), buffer).empty());
  EXPECT_EQ(Initiator::error_text({}), "");
}

TEST(noise, the_version_is_part_of_what_is_agreed) {
  Pair pair;
  for (const uint16_t version : {uint16_t{0}, uint16_t{1}, uint16_t{65535}}) {
    const Initiator other(pair.machine, public_of(pair.control), version, key("machine.ephemeral"));
    const auto accepted =
        accept(other.initiation().value(), pair.control, key("control.ephemeral"));
    ASSERT_TRUE(accepted);
    EXPECT_EQ(accepted->version, version);
    EXPECT_EQ(claimed_version(other.initiation().value()), version);
  }
  EXPECT_EQ(claimed_version({}), std::nullopt);
}

}  // namespace
}  // namespace sallyport::noise
