// SPDX-License-Identifier: BSD-3-Clause
/// Raw IP packets for the programs of a device without a link header. Checksums are right; lengths
/// may be made wrong afterwards.
#pragma once

#include <cstdint>
#include <string_view>

#include "agent/base/bytes.h"

namespace sallyport::test {

enum Flag : uint8_t { kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16 };

/// An IP header of the addresses' family around `payload`. IPv4: TTL 64, DF unless a fragment.
Bytes ip(std::string_view src, std::string_view dst, uint8_t proto, const Bytes& payload);

Bytes tcp(std::string_view src, uint16_t sport, std::string_view dst, uint16_t dport, uint8_t flags,
          size_t data = 0);
/// All fields of a TCP header that matter; `options` in multiples of 4 bytes.
struct Segment {
  uint8_t flags = 0;
  uint32_t seq = 0;
  uint32_t ack = 0;
  uint16_t window = 0;
  Bytes options = {};
  size_t data = 0;
};
Bytes tcp(std::string_view src, uint16_t sport, std::string_view dst, uint16_t dport,
          const Segment& segment);
Bytes udp(std::string_view src, uint16_t sport, std::string_view dst, uint16_t dport,
          size_t data = 8);
Bytes udp(std::string_view src, uint16_t sport, std::string_view dst, uint16_t dport,
          const Bytes& payload);
Bytes sctp(std::string_view src, uint16_t sport, std::string_view dst, uint16_t dport);
/// ICMP or ICMPv6 by family, `id` in the second word.
Bytes icmp(std::string_view src, std::string_view dst, uint8_t type, uint8_t code, uint16_t id,
           const Bytes& behind = Bytes(8));
/// An ICMP error of the family about `quoted`, cut as routers do.
Bytes icmp_error(std::string_view src, std::string_view dst, uint8_t type, const Bytes& quoted);

/// An ICMP message of the family, as it stands, but for its checksum.
Bytes icmp_message(std::string_view src, std::string_view dst, Bytes message);

/// An IPv4 packet with `bytes` bytes of options (no operation), 4 to 40.
Bytes with_options(const Bytes& whole, size_t bytes);
/// The fragment of `whole` that has `bytes` bytes from `at` (behind the IP header).
Bytes fragment(const Bytes& whole, size_t at, size_t bytes, uint32_t id);
/// An IPv6 packet with extension headers of these types (8 bytes each) between header and payload.
Bytes with_ext_headers(const Bytes& whole, const Bytes& types);

}  // namespace sallyport::test
