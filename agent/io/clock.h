// SPDX-License-Identifier: BSD-3-Clause
/// The only place that reads clocks. Whoever decides is given the value.
#pragma once

#include "agent/base/clock.h"

namespace sallyport::io {

/// CLOCK_BOOTTIME.
[[nodiscard]] Instant boot_now();
/// CLOCK_REALTIME.
[[nodiscard]] WallTime wall_now();

}  // namespace sallyport::io
