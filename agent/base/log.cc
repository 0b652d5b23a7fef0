// SPDX-License-Identifier: BSD-3-Clause
#include "agent/base/log.h"

#include <unistd.h>

#include <atomic>
#include <string>

namespace sallyport {
namespace {

std::atomic<Level> least_level{Level::kInfo};

// sd-daemon(3): a "<N>" prefix carries the syslog priority into the journal.
char priority_of(Level level) {
  switch (level) {
    case Level::kDebug:
      return '7';
    case Level::kInfo:
      return '6';
    case Level::kWarning:
      return '4';
    case Level::kError:
      return '3';
  }
  return '6';
}

}  // namespace

void set_log_level(Level least) { least_level = least; }

void write_log(Level level, std::string_view line) {
  if (level < least_level.load(std::memory_order_relaxed)) return;
  std::string out;
  if (!isatty(STDERR_FILENO)) out = {'<', priority_of(level), '>'};
  // A line is one event: what a stranger put into a name must not start another one.
  for (const char c : line) out += (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) ? '?' : c;
  out += '\n';
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, out.data(), out.size());
}

}  // namespace sallyport
