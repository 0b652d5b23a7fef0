// SPDX-License-Identifier: BSD-3-Clause
/// Geneve's fixed head, as between a node and a peer relay. Integers big-endian.
///
///   u8 version (2 bits) and length of options (6): 0 + u8 control (top bit), the rest 0
///   + u16 protocol + u24 vni + u8 0: 8 bytes, then the packet
///
/// Source: RFC 8926 3.4; tailscale net/packet/geneve.go and magicsock's packetLooksLike.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "agent/base/bytes.h"

namespace sallyport::geneve {

constexpr size_t kHead = 8;
/// 0 is no network.
constexpr uint32_t kMaxVni = 0xffffff;

enum class Protocol : uint16_t { kDisco = 0x7a11, kWireGuard = 0x7a12 };

struct Head {
  bool control = false;  // for the relay itself: a step of the handshake, not to be forwarded
  Protocol protocol = Protocol::kWireGuard;
  uint32_t vni = 0;  // 24 bits
  friend bool operator==(const Head&, const Head&) = default;
};

/// Nothing: too short, a version, an option or a reserved bit that is not 0, or another protocol:
/// the datagram may still be WireGuard's or disco's own. What follows the head is
/// datagram.subspan(kHead).
std::optional<Head> parse(ByteView datagram);
/// Bits of the vni above 24 are cut off.
std::array<uint8_t, kHead> write(const Head& head);

}  // namespace sallyport::geneve
