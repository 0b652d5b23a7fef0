// SPDX-License-Identifier: BSD-3-Clause
/// Any bytes as a time window: a window within its bounds whose opening can be asked at any time,
/// or a reason.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/model/time_window.h"
#include "agent/policy/schedule.h"

namespace {

using namespace sallyport;

void require(bool good) {
  if (!good) abort();
}

void ask(const TimeWindow& window, WallTime at) {
  Rule rule;
  rule.when = {window};
  const bool open = is_active(rule, at);
  const auto change = next_change(rule, at);
  if (!change) return;
  require(*change > at);
  require(is_active(rule, *change) != open);
  require(is_active(rule, *change - Duration{1}) == open);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto window = parse_time_window(text);
  if (!window) {
    require(!window.error().empty());
    return 0;
  }
  require(window->text == text);
  require(window->days > 0 && window->days < 0x80);
  require(window->start_minute < 1440 && window->end_minute <= 1440);
  if (!is_known_zone(window->zone)) {
    require(!is_open(*window, WallTime{}));
    return 0;
  }
  // Spring and autumn of 2026, and some moment that hangs on the text.
  uint64_t hash = 14695981039346656037ULL;
  for (size_t i = 0; i < size; ++i) hash = (hash ^ data[i]) * 1099511628211ULL;
  constexpr std::chrono::seconds kMarch{1774659600};
  constexpr std::chrono::seconds kOctober{1792886400};
  ask(*window, WallTime{kMarch});
  ask(*window, WallTime{kOctober});
  ask(*window, WallTime{std::chrono::seconds{hash % 4'000'000'000}});
  return 0;
}
