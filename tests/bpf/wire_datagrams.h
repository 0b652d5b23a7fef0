// SPDX-License-Identifier: BSD-3-Clause
/// What shares WireGuard's port on the wire, as far as its first bytes and lengths tell, and frames
/// around it.
#pragma once

#include <cstdint>

#include "agent/base/bytes.h"

namespace sallyport::test {

inline Bytes padded(Bytes head, size_t bytes) {
  head.resize(bytes, 0xee);
  return head;
}

/// Type 1 to 4. Source: the WireGuard paper, 5.4.
inline Bytes wireguard(uint8_t type, size_t bytes) { return padded({type, 0, 0, 0}, bytes); }
inline Bytes initiation() { return wireguard(1, 148); }
inline Bytes response() { return wireguard(2, 92); }
inline Bytes data(size_t bytes = 128) { return wireguard(4, bytes); }
/// Magic, key, nonce and a sealed box of `sealed` bytes, its tag of 16 included.
inline Bytes disco(size_t sealed = 62) {
  return padded({'T', 'S', 0xf0, 0x9f, 0x92, 0xac}, 6 + 32 + 24 + sealed);
}
/// RFC 8489 5; 0x0101 is a successful answer.
inline Bytes stun(uint16_t type, size_t bytes = 32) {
  return padded(
      {static_cast<uint8_t>(type >> 8), static_cast<uint8_t>(type), 0, 12, 0x21, 0x12, 0xa4, 0x42},
      bytes);
}
/// RFC 8926 3.4, with what a peer relay writes there.
inline Bytes geneve(uint16_t protocol, bool control = false, size_t bytes = 100) {
  return padded({0, static_cast<uint8_t>(control ? 0x80 : 0), static_cast<uint8_t>(protocol >> 8),
                 static_cast<uint8_t>(protocol), 0x12, 0x34, 0x56, 0},
                bytes);
}

/// An Ethernet frame around an IP packet, from and to zeros unless said otherwise.
inline Bytes ethernet(const Bytes& packet, const Bytes& macs = Bytes(12)) {
  Bytes out = macs;
  const uint16_t type = packet.at(0) >> 4 == 4 ? 0x0800 : 0x86dd;
  out.push_back(static_cast<uint8_t>(type >> 8));
  out.push_back(static_cast<uint8_t>(type));
  out.insert(out.end(), packet.begin(), packet.end());
  return out;
}

}  // namespace sallyport::test
