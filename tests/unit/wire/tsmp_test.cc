// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/tsmp.h"

#include <gtest/gtest.h>

#include "tests/support/vectors.h"

namespace sallyport::tsmp {
namespace {

constexpr std::array<uint8_t, 8> kData{1, 2, 3, 4, 5, 6, 7, 8};

const Vectors& vectors() {
  static const Vectors kVectors(SALLYPORT_SOURCE_DIR "/tests/vectors/tsmp.txt");
  return kVectors;
}

std::map<std::string, Message> messages() {
  DiscoKey disco_key =
      DiscoKey::parse(Vectors(SALLYPORT_SOURCE_DIR "/tests/vectors/keys.txt").text("disco.public"))
          .value();
  return {
      {"ping", Ping{kData}},
      {"pong", Pong{kData, 0x8123}},
      {"reject", Reject{6, Reason::kAcl, 0x1234, 443, false}},
      {"reject.maybe_broken", Reject{6, Reason::kAcl, 0x1234, 443, true}},
      {"disco_key", DiscoKeyNews{disco_key}},
  };
}

Packet packet_of(const std::string& family, const Message& message) {
  const bool v4 = family == "v4";
  return {IpAddress::parse(v4 ? "100.64.0.1" : "fd7a:115c:a1e0::1").value(),
          IpAddress::parse(v4 ? "100.64.0.2" : "fd7a:115c:a1e0::2").value(), message};
}

TEST(tsmp, every_packet_is_the_references_bytes_and_back) {
  for (const std::string family : {"v4", "v6"}) {
    for (const auto& [name, message] : messages()) {
      const std::string full = name + "." + family;
      const Bytes expected = vectors().bytes(full);
      const Packet packet = packet_of(family, message);
      std::array<uint8_t, kMaxPacket> buffer{};
      EXPECT_EQ(bytes_of(write(packet, buffer)), expected) << full;
      EXPECT_TRUE(write(packet, std::span(buffer).first(expected.size() - 1)).empty()) << full;
      const auto parsed = parse(expected);
      ASSERT_TRUE(parsed) << full;
      EXPECT_EQ(*parsed, packet) << full;
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_FALSE(parse(ByteView(expected).first(i))) << full << i;
      }
    }
  }
}

TsmpError error_of(const Bytes& packet) {
  const auto parsed = parse(packet);
  EXPECT_FALSE(parsed);
  return parsed ? TsmpError{} : parsed.error();
}

TEST(tsmp, packets_that_are_none) {
  const Bytes v4 = vectors().bytes("ping.v4");
  const Bytes v6 = vectors().bytes("ping.v6");
  const auto changed = [](Bytes bytes, size_t at, uint8_t value) {
    bytes[at] = value;
    return bytes;
  };
  EXPECT_EQ(error_of({}), TsmpError::kNotIp);
  EXPECT_EQ(error_of(changed(v4, 0, 0x55)), TsmpError::kNotIp) << "version 5";
  EXPECT_EQ(error_of(changed(v4, 0, 0x44)), TsmpError::kNotIp) << "16 bytes of header";
  EXPECT_EQ(error_of(changed(v4, 3, 19)), TsmpError::kNotIp) << "total under the header";
  EXPECT_EQ(error_of(changed(v4, 3, 30)), TsmpError::kNotIp) << "total over the packet";
  EXPECT_EQ(error_of(changed(v4, 6, 0x20)), TsmpError::kNotIp) << "more fragments";
  EXPECT_EQ(error_of(changed(v4, 7, 1)), TsmpError::kNotIp) << "a later fragment";
  EXPECT_EQ(error_of(changed(v4, 9, 6)), TsmpError::kNotTsmp);
  EXPECT_EQ(error_of(changed(v4, 20, 'x')), TsmpError::kUnknown);
  EXPECT_EQ(error_of(changed(v4, 3, 28)), TsmpError::kTruncated);
  EXPECT_EQ(error_of(changed(v4, 3, 20)), TsmpError::kTruncated) << "no message";
  EXPECT_EQ(error_of(changed(v6, 6, 17)), TsmpError::kNotTsmp);
  EXPECT_EQ(error_of(changed(v6, 5, 10)), TsmpError::kNotIp);
  Bytes mapped = v6;
  const Bytes address = from_hex("00000000000000000000ffff64400001");
  std::ranges::copy(address, mapped.begin() + 8);
  EXPECT_EQ(error_of(mapped), TsmpError::kNotIp);
}

TEST(tsmp, an_ipv4_header_may_have_options_and_the_packet_a_tail) {
  Bytes packet = vectors().bytes("ping.v4");
  const Bytes no_operations = from_hex("01010101");
  packet.insert(packet.begin() + 20, no_operations.begin(), no_operations.end());
  packet[0] = 0x46;
  packet[3] = static_cast<uint8_t>(packet.size());
  packet.push_back(0xff);  // Ethernet's padding
  EXPECT_EQ(parse(packet).value().message, Message{Ping{kData}});
}

TEST(tsmp, an_old_pong_has_no_port) {
  Bytes pong = vectors().bytes("pong.v6");
  pong.pop_back();
  pong.pop_back();
  pong[5] = 9;
  EXPECT_EQ(parse(pong).value().message, (Message{Pong{kData, 0}}));
}

TEST(tsmp, two_families_make_no_packet) {
  Packet packet = packet_of("v4", Ping{kData});
  packet.to = packet_of("v6", Ping{}).to;
  std::array<uint8_t, kMaxPacket> buffer{};
  EXPECT_TRUE(write(packet, buffer).empty());
  std::swap(packet.from, packet.to);
  EXPECT_TRUE(write(packet, buffer).empty());
}

}  // namespace
}  // namespace sallyport::tsmp
