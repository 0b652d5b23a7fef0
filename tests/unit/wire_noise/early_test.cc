// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/noise/early.h"

#include <gtest/gtest.h>

#include "tests/support/vectors.h"

namespace sallyport::noise {
namespace {

TEST(early, the_initiation_travels_in_a_header) {
  std::array<uint8_t, kInitiation> initiation{};
  std::ranges::copy(Vectors(SALLYPORT_SOURCE_DIR "/tests/vectors/noise.txt").bytes("initiation"),
                    initiation.begin());
  const std::string header = handshake_header(initiation);
  EXPECT_EQ(header.size(), 136U);
  EXPECT_TRUE(header.starts_with("AI4BAGBJPoL8")) << header;
  EXPECT_EQ(parse_handshake_header(header), initiation);
  EXPECT_FALSE(parse_handshake_header(""));
  EXPECT_FALSE(parse_handshake_header(header.substr(4)));
  EXPECT_FALSE(parse_handshake_header(header + "AAAA"));
  EXPECT_FALSE(parse_handshake_header("!" + header.substr(1)));
  EXPECT_FALSE(parse_handshake_header("\xc0" + header.substr(1)));
}

TEST(early, payload_goes_both_ways) {
  const EarlyPayload payload{
      ChallengeKey::parse(
          Vectors(SALLYPORT_SOURCE_DIR "/tests/vectors/keys.txt").text("challenge.public"))
          .value()};
  const Bytes bytes = write_early_payload(payload);
  EXPECT_EQ(bytes_of(ByteView(bytes).first(9)), from_hex("ffffff5453 0000005f"));
  const auto length = parse_early_head(ByteView(bytes).first<kEarlyHead>());
  ASSERT_TRUE(length && *length);
  EXPECT_EQ(**length, bytes.size() - kEarlyHead);
  EXPECT_EQ(parse_early_payload(ByteView(bytes).subspan(kEarlyHead)), payload);
}

TEST(early, http2_begins_otherwise) {
  const Bytes settings = from_hex("000012 04 00 00000000");
  EXPECT_EQ(parse_early_head(ByteView(settings).first<kEarlyHead>()).value(), std::nullopt);
}

TEST(early, length_has_a_bound) {
  const Bytes most = from_hex("ffffff5453 00a00000");
  EXPECT_EQ(parse_early_head(ByteView(most).first<kEarlyHead>()).value(), kMaxEarly);
  const Bytes over = from_hex("ffffff5453 00a00001");
  EXPECT_EQ(parse_early_head(ByteView(over).first<kEarlyHead>()).error(), EarlyError::kTooLong);
}

TEST(early, payloads_that_are_none) {
  EXPECT_EQ(parse_early_payload(view_of("{}")), EarlyPayload{});
  EXPECT_EQ(parse_early_payload(view_of(R"({"later":1})")), EarlyPayload{});
  for (const char* bad : {"", "[]", "{", R"({"nodeKeyChallenge":1})", R"({"nodeKeyChallenge":""})",
                          R"({"nodeKeyChallenge":"chalpub:00"})"}) {
    EXPECT_FALSE(parse_early_payload(view_of(bad))) << bad;
  }
}

}  // namespace
}  // namespace sallyport::noise
