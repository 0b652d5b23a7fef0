// SPDX-License-Identifier: BSD-3-Clause
/// STUN, only what tells a node its address seen from outside. Integers big-endian.
///
///   head        u16 type (0001 request, 0101 success) + u16 length of the attributes + 21 12 a4 42
///               + transaction id (12)
///   attribute   u16 type + u16 length + value, padded to 4 bytes
///   request     SOFTWARE (8022) "tailnode" + FINGERPRINT (8028): 40 bytes, in this order
///   response    one XOR-MAPPED-ADDRESS (0020): 0 + u8 family (1, 2) + u16 port + address, xored
///               with 21 12 a4 42 + transaction id
///
/// FINGERPRINT is the CRC-32 of all before it, xor 5354554e.
/// Source: RFC 8489 5 and 14; tailscale net/stun (which fixes the attributes of a request).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "agent/model/endpoint.h"

namespace sallyport::stun {

constexpr uint16_t kPort = 3478;
constexpr size_t kHead = 20;
constexpr size_t kRequest = 40;
/// Of an IPv6 client; an IPv4 one gets 32.
constexpr size_t kMaxResponse = 44;

/// Drawn at random; the response repeats it.
using TxId = std::array<uint8_t, 12>;

enum class StunError : uint8_t {
  kNotStun,      // too short, the top bits set, or no cookie
  kOtherType,    // another kind of message than the one asked for
  kAttributes,   // they do not come out even, or an address is no address
  kNoAddress,    // in a response
  kSoftware,     // in a request: not "tailnode"
  kFingerprint,  // in a request: missing, not last, or wrong
};

/// By the top bits, the method and the cookie: what a socket shared with WireGuard sorts by.
[[nodiscard]] bool is_binding(ByteView datagram);

std::array<uint8_t, kRequest> write_request(const TxId& tx);
/// As strict as the reference's server, so that strangers find no reflector here.
Result<TxId, StunError> parse_request(ByteView datagram);

/// Into `out`: 32 or 44 bytes. Empty: no room.
ByteView write_response(const TxId& tx, const Endpoint& client, std::span<uint8_t> out);

struct Response {
  TxId tx{};
  Endpoint seen;
  friend bool operator==(const Response&, const Response&) = default;
};
/// Takes XOR-MAPPED-ADDRESS under its two numbers (0020, 8020), the last one if there are several,
/// and MAPPED-ADDRESS (0001) if there is none.
Result<Response, StunError> parse_response(ByteView datagram);

}  // namespace sallyport::stun
