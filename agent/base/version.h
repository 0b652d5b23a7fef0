// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace sallyport {

/// Of everything that is built together.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace sallyport
