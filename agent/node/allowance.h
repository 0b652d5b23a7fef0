// SPDX-License-Identifier: BSD-3-Clause
/// How much somebody may have of something: a burst, and then one every so often.
#pragma once

#include <algorithm>
#include <cstdint>

#include "agent/base/clock.h"

namespace sallyport {

class Allowance {
 public:
  struct Bounds {
    int64_t burst = 1;
    Duration refill{};  // for each
  };
  explicit Allowance(const Bounds& bounds) : bounds_(bounds) {}

  /// True: it may, and has one less.
  bool take(Instant now) {
    // As the time at which all would be there again.
    const Instant full = std::max(full_at_, now);
    if (full + bounds_.refill > now + bounds_.burst * bounds_.refill) return false;
    full_at_ = full + bounds_.refill;
    return true;
  }

 private:
  Bounds bounds_;
  Instant full_at_;
};

}  // namespace sallyport
