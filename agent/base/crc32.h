// SPDX-License-Identifier: BSD-3-Clause
/// CRC-32 of IEEE 802.3: polynomial 0xedb88320 reflected, all ones before and after.
/// Source: RFC 8489 14.7 and ITU-T V.42 8.1.1.6.2.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "agent/base/bytes.h"

namespace sallyport {

constexpr uint32_t crc32(ByteView data) {
  constexpr auto kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < table.size(); ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) * 0xedb88320U);
      table[i] = value;
    }
    return table;
  }();
  uint32_t crc = ~0U;
  for (const uint8_t byte : data) crc = kTable[(crc ^ byte) & 0xff] ^ (crc >> 8);
  return ~crc;
}

}  // namespace sallyport
