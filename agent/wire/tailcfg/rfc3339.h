// SPDX-License-Identifier: BSD-3-Clause
/// Times as control messages write them.
/// Source: RFC 3339 5.6.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/base/clock.h"

namespace sallyport::tailcfg {

struct ParsedTime {
  WallTime time;
  /// 0001-01-01T00:00:00Z, the reference's "not set".
  bool is_zero = false;
};

/// What strangers' times are held to, in 1823 and in 2116: the difference of any two of them still
/// is a Duration.
constexpr WallTime kFirstTime{WallTime::duration::min() / 2};
constexpr WallTime kLastTime{WallTime::duration::max() / 2};

/// "2026-11-24T11:42:04.5+01:00". A time beyond them is kFirstTime or kLastTime.
std::optional<ParsedTime> parse_rfc3339(std::string_view text);
/// In UTC, "...Z", with as many digits of a second as are needed. Absent: the zero time.
std::string write_rfc3339(std::optional<WallTime> time);

}  // namespace sallyport::tailcfg
