// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <chrono>

#include "agent/base/clock.h"

namespace sallyport {

/// Of everything that is built together.
inline constexpr const char* kVersion = "0.1.0";

/// No machine that runs this lives before it: a clock that says so is wrong.
inline constexpr WallTime kReleaseTime =
    std::chrono::sys_days(std::chrono::year(2026) / std::chrono::November / 24);

}  // namespace sallyport
