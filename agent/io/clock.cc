// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/clock.h"

#include <ctime>

namespace sallyport::io {
namespace {

Duration read(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);  // fails only for a clock that the kernel does not have
  return std::chrono::seconds{now.tv_sec} + Duration{now.tv_nsec};
}

}  // namespace

Instant boot_now() { return Instant{read(CLOCK_BOOTTIME)}; }
WallTime wall_now() { return WallTime{read(CLOCK_REALTIME)}; }
uint64_t monotonic_now_ns() { return static_cast<uint64_t>(read(CLOCK_MONOTONIC).count()); }

}  // namespace sallyport::io
