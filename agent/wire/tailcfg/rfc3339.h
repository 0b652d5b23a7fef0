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

/// "2026-11-24T11:42:04.5+01:00". A time that WallTime cannot hold (before 1678, after 2261) is its
/// first or last moment.
std::optional<ParsedTime> parse_rfc3339(std::string_view text);
/// In UTC, "...Z", with as many digits of a second as are needed. Absent: the zero time.
std::string write_rfc3339(std::optional<WallTime> time);

}  // namespace sallyport::tailcfg
