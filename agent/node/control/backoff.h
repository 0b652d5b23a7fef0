// SPDX-License-Identifier: BSD-3-Clause
/// How long to wait before the next attempt.
#pragma once

#include <algorithm>
#include <cstdint>

#include "agent/base/random.h"

namespace sallyport::control {

constexpr Duration kBackoffStep = std::chrono::milliseconds(10);
constexpr Duration kMaxBackoff = std::chrono::seconds(30);

/// n^2 * 10 ms, at most 30 s, less or more than half of it. Source: tailscale util/backoff.
class Backoff {
 public:
  /// One more attempt has failed.
  Duration next(RandomSource& random) {
    failures_ = std::min(failures_ + 1, uint32_t{1000});
    const Duration middle = std::min(kBackoffStep * (failures_ * failures_), kMaxBackoff);
    return random.between(middle / 2, middle + middle / 2);
  }
  void reset() { failures_ = 0; }
  [[nodiscard]] uint32_t failures() const { return failures_; }

 private:
  uint32_t failures_ = 0;
};

}  // namespace sallyport::control
