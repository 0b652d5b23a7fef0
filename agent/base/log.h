// SPDX-License-Identifier: BSD-3-Clause
/// One line an event, `event key=value ...`, to stderr in journald's form. Only drivers and mains
/// log above debug; a line that is not fatal says what is done instead.
#pragma once

#include <fmt/core.h>

#include <string_view>
#include <utility>

namespace sallyport {

enum class Level { kDebug, kInfo, kWarning, kError };

/// Lines below `least` are not written. Default: kInfo.
void set_log_level(Level least);
void write_log(Level level, std::string_view line);

template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  write_log(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  write_log(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  write_log(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  write_log(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace sallyport
