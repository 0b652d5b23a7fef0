// SPDX-License-Identifier: BSD-3-Clause
// Randomness that a seed makes repeatable.
#pragma once

#include <random>

#include "agent/base/random.h"

namespace sallyport {

class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}
  void fill(std::span<uint8_t> out) override {
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(engine_());
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace sallyport
