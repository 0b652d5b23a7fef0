// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/stun.h"

#include <gtest/gtest.h>

#include "agent/base/crc32.h"
#include "tests/support/vectors.h"

namespace sallyport::stun {
namespace {

constexpr TxId kTx{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
const std::string kResponseHead = "0101 0000 2112a442 0102030405060708090a0b0c";
const Endpoint kV4 = Endpoint::parse("192.0.2.7:41641").value();
const Endpoint kV6 = Endpoint::parse("[2001:db8::7]:443").value();

const Vectors& vectors() {
  static const Vectors kVectors(SALLYPORT_SOURCE_DIR "/tests/vectors/stun.txt");
  return kVectors;
}

TEST(stun, crc32_check_value) {
  EXPECT_EQ(crc32(view_of("123456789")), 0xcbf43926U);
  EXPECT_EQ(crc32({}), 0U);
}

TEST(stun, request) {
  EXPECT_EQ(bytes_of(write_request(kTx)), vectors().bytes("request"));
  EXPECT_EQ(parse_request(vectors().bytes("request")).value(), kTx);
}

TEST(stun, response) {
  for (const auto& [name, endpoint] : {std::pair{"response.v4", kV4}, {"response.v6", kV6}}) {
    std::array<uint8_t, kMaxResponse> buffer{};
    const Bytes expected = vectors().bytes(name);
    EXPECT_EQ(bytes_of(write_response(kTx, endpoint, buffer)), expected);
    EXPECT_EQ(parse_response(expected).value(), (Response{kTx, endpoint}));
    EXPECT_TRUE(
        write_response(kTx, endpoint, std::span(buffer).first(expected.size() - 1)).empty());
  }
}

TEST(stun, address_of_other_servers) {
  for (const char* name : {"response.plain", "response.xor_alt"}) {
    EXPECT_EQ(parse_response(vectors().bytes(name)).value(), (Response{kTx, kV4})) << name;
  }
}

/// A response with these attributes.
Bytes response_with(std::string_view attributes) {
  Bytes out = from_hex(kResponseHead);
  const Bytes more = from_hex(attributes);
  out[3] = static_cast<uint8_t>(more.size());
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

TEST(stun, the_xored_address_is_the_better_one) {
  const std::string plain = "0001 0008 0001 1111 0a000001";
  const std::string xored = "0020 0008 0001 83bb e112a645";
  EXPECT_EQ(parse_response(response_with(plain + xored)).value().seen, kV4);
  EXPECT_EQ(parse_response(response_with(xored + plain)).value().seen, kV4);
  EXPECT_EQ(parse_response(response_with("8022 0003 616263 00" + xored)).value().seen, kV4)
      << "padded to 4 bytes";
}

TEST(stun, bytes_after_the_attributes_are_left_unread) {
  Bytes longer = vectors().bytes("response.v4");
  longer.push_back(0xff);
  EXPECT_EQ(parse_response(longer).value().seen, kV4);
}

TEST(stun, no_ipv4_in_ipv6_clothes) {
  // ::ffff:192.0.2.7 in an IPv6 attribute is the IPv4 address.
  const auto seen =
      parse_response(response_with("0001 0014 0002 a2a9 00000000000000000000ffffc0000207"));
  EXPECT_EQ(seen.value().seen, kV4);
}

StunError response_error(const Bytes& datagram) {
  const auto parsed = parse_response(datagram);
  EXPECT_FALSE(parsed);
  return parsed ? StunError{} : parsed.error();
}

TEST(stun, responses_that_are_none) {
  EXPECT_EQ(response_error({}), StunError::kNotStun);
  EXPECT_EQ(response_error(vectors().bytes("request")), StunError::kOtherType);
  EXPECT_EQ(response_error(response_with("")), StunError::kNoAddress);
  EXPECT_EQ(response_error(response_with("8022 0004 61626364")), StunError::kNoAddress);
  EXPECT_EQ(response_error(response_with("0020 0008 0003 83bb e112a645")), StunError::kAttributes);
  EXPECT_EQ(response_error(response_with("0020 0008 0002 83bb e112a645")), StunError::kAttributes);
  EXPECT_EQ(response_error(response_with("0020 0002 0001 0000")), StunError::kAttributes);
  EXPECT_EQ(response_error(response_with("0020 0009 0001 83bb e112a645")), StunError::kAttributes);
  EXPECT_EQ(response_error(response_with("0020 00")), StunError::kAttributes);
  Bytes longer_by_its_head = vectors().bytes("response.v4");
  ++longer_by_its_head[3];
  EXPECT_EQ(response_error(longer_by_its_head), StunError::kAttributes);
  const Bytes whole = vectors().bytes("response.v6");
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_FALSE(parse_response(ByteView(whole).first(i))) << i;
  }
}

StunError request_error(const Bytes& datagram) {
  const auto parsed = parse_request(datagram);
  EXPECT_FALSE(parsed);
  return parsed ? StunError{} : parsed.error();
}

TEST(stun, requests_that_are_none) {
  const Bytes good = vectors().bytes("request");
  for (size_t i = 0; i < good.size(); ++i) {
    EXPECT_FALSE(parse_request(ByteView(good).first(i))) << i;
    Bytes bad = good;
    bad[i] ^= 1;
    EXPECT_FALSE(parse_request(bad)) << i;
  }
  EXPECT_EQ(request_error(vectors().bytes("response.v4")), StunError::kOtherType);
  Bytes bare = from_hex("0001 0000 2112a442 0102030405060708090a0b0c");
  EXPECT_EQ(request_error(bare), StunError::kSoftware);
  Bytes without_mark = good;
  without_mark.resize(32);
  EXPECT_EQ(request_error(without_mark), StunError::kFingerprint);
  Bytes wrong_mark = good;
  wrong_mark.back() ^= 1;
  EXPECT_EQ(request_error(wrong_mark), StunError::kFingerprint);
  Bytes not_last = good;
  const Bytes more = from_hex("8022 0004 61626364");
  not_last.insert(not_last.end(), more.begin(), more.end());
  EXPECT_EQ(request_error(not_last), StunError::kFingerprint);
}

TEST(stun, is_told_by_its_first_bytes) {
  EXPECT_TRUE(is_binding(vectors().bytes("request")));
  EXPECT_TRUE(is_binding(vectors().bytes("response.v4")));
  EXPECT_FALSE(is_binding(ByteView(vectors().bytes("request")).first(19)));
  for (const auto& [at, value] : {std::pair<size_t, uint8_t>{0, 0x40}, {1, 2}, {4, 0}, {7, 0}}) {
    Bytes other = vectors().bytes("request");
    other[at] = value;
    EXPECT_FALSE(is_binding(other)) << at;
  }
}

}  // namespace
}  // namespace sallyport::stun
