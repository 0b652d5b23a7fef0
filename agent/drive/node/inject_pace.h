// SPDX-License-Identifier: BSD-3-Clause
/// How many packets WireGuard may be given now. Its queue holds 1,024 that wait for decryption and
/// drops what comes beyond without a word or a counter, and nobody is told how full it is.
#pragma once

#include <algorithm>
#include <cstddef>

#include "agent/base/clock.h"

namespace sallyport {

/// Half of the queue at once; the rest is for what comes by other ways.
constexpr size_t kInjectBurst = 512;
/// From then on so many a millisecond: 2.5 Gbit/s in large packets, which one core decrypts.
constexpr size_t kInjectPerMs = 256;

/// Credit that grows with time up to a burst: in any span T, at most kInjectBurst + T *
/// kInjectPerMs are let through.
class InjectPace {
 public:
  /// May `packets` (at most kInjectBurst) go now? Then they are counted as gone.
  [[nodiscard]] bool take(size_t packets, Instant now) {
    // A point in time stands for the credit: the burst is whole kWhole after it.
    const Instant start = std::max(spent_until_, now - kWhole);
    const Instant after = start + cost(packets);
    if (after > now) return false;
    spent_until_ = after;
    return true;
  }
  /// When that many may go, if nothing goes before.
  [[nodiscard]] Instant ready(size_t packets) const { return spent_until_ + cost(packets); }

 private:
  static constexpr Duration cost(size_t packets) {
    return kMs * static_cast<int64_t>(packets) / static_cast<int64_t>(kInjectPerMs);
  }
  static constexpr Duration kMs = std::chrono::milliseconds(1);
  static constexpr Duration kWhole =
      kMs * static_cast<int64_t>(kInjectBurst) / static_cast<int64_t>(kInjectPerMs);

  Instant spent_until_ = Instant::min();
};

}  // namespace sallyport
