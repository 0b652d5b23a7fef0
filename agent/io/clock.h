// SPDX-License-Identifier: BSD-3-Clause
/// The only place that reads clocks. Whoever decides is given the value.
#pragma once

#include <cstdint>

#include "agent/base/clock.h"

namespace sallyport::io {

/// CLOCK_BOOTTIME.
[[nodiscard]] Instant boot_now();
/// CLOCK_REALTIME.
[[nodiscard]] WallTime wall_now();
/// CLOCK_MONOTONIC in nanoseconds: only to compare with stamps of BPF programs.
[[nodiscard]] uint64_t monotonic_now_ns();

}  // namespace sallyport::io
