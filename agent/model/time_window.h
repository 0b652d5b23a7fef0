// SPDX-License-Identifier: BSD-3-Clause
/// The text form of a TimeWindow. Whether its zone exists is asked of agent/policy/schedule.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/model/rule.h"

namespace sallyport {

/// "[DAYS] HH:MM-HH:MM ZONE". DAYS: Mon Tue Wed Thu Fri Sat Sun, "Mon-Fri" (may go over Sunday),
/// "Mon,Wed,Sat-Sun"; absent = every day. The end may be 24:00, and may be before the start: the
/// window then crosses midnight. ZONE: an IANA name or UTC; required, since a forgotten one would
/// be an hour or a working day off without a word. The error says what was expected, and where.
Result<TimeWindow, std::string> parse_time_window(std::string_view text);

}  // namespace sallyport
