// SPDX-License-Identifier: BSD-3-Clause
/// Randomness as an input: deciding rooms are given a source. Programs give the kernel's, tests one
/// that a seed makes repeatable.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "agent/base/clock.h"

namespace sallyport {

class RandomSource {
 public:
  RandomSource() = default;
  RandomSource(const RandomSource&) = delete;
  RandomSource& operator=(const RandomSource&) = delete;
  virtual ~RandomSource() = default;

  virtual void fill(std::span<uint8_t> out) = 0;

  template <size_t N>
  std::array<uint8_t, N> bytes() {
    std::array<uint8_t, N> out{};
    fill(out);
    return out;
  }
  uint64_t number() {
    uint64_t value = 0;
    for (const uint8_t byte : bytes<8>()) value = (value << 8) | byte;
    return value;
  }
  /// In [0, bound); bound > 0. The bias is below bound / 2^64.
  uint64_t below(uint64_t bound) { return number() % bound; }
  /// In [low, high).
  Duration between(Duration low, Duration high) {
    return low + Duration(below(static_cast<uint64_t>((high - low).count())));
  }
};

}  // namespace sallyport
