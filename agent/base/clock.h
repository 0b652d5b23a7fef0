// SPDX-License-Identifier: BSD-3-Clause
/// Time as values. Nothing here reads a clock: deciding rooms are given `now`, io reads it.
#pragma once

#include <chrono>
#include <cstdint>

namespace sallyport {

using Duration = std::chrono::nanoseconds;

/// CLOCK_BOOTTIME: runs on through suspend, never set. Kernel deadlines compare against it.
struct BootClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock, Duration>;
  static constexpr bool is_steady = true;
};
using Instant = BootClock::time_point;

/// CLOCK_REALTIME, UTC; may be set at any time.
using WallTime = std::chrono::sys_time<Duration>;

}  // namespace sallyport
