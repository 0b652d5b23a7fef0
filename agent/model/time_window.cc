// SPDX-License-Identifier: BSD-3-Clause
#include "agent/model/time_window.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <vector>

#include "agent/base/text.h"

namespace sallyport {
namespace {

constexpr std::array<std::string_view, 7> kDays{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

Fail<std::string> complain(std::string_view part, std::string_view expected) {
  return {quote(part) + ": expected " + std::string(expected)};
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (;;) {
    const size_t end = text.find(separator);
    out.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

std::optional<unsigned> parse_day(std::string_view text) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  for (unsigned i = 0; i < kDays.size(); ++i) {
    if (std::ranges::equal(text, kDays[i], same)) return i;
  }
  return {};
}

/// "Mon,Wed-Fri" as bits.
Result<uint8_t, std::string> parse_days(std::string_view text) {
  unsigned days = 0;
  for (const std::string_view part : split(text, ',')) {
    const size_t dash = part.find('-');
    const auto first = parse_day(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_day(part.substr(dash + 1));
    if (!first || !last) return complain(part, "days like Mon-Fri or Sat,Sun");
    for (unsigned day = *first;; day = (day + 1) % 7) {
      days |= 1U << day;
      if (day == *last) break;
    }
  }
  return static_cast<uint8_t>(days);
}

/// Minutes since midnight; 1440 for 24:00.
std::optional<uint16_t> parse_clock(std::string_view text) {
  const auto digit = [&](size_t i) { return text[i] >= '0' && text[i] <= '9'; };
  if (text.size() != 5 || text[2] != ':' || !digit(0) || !digit(1) || !digit(3) || !digit(4)) {
    return {};
  }
  const int hour = (text[0] - '0') * 10 + (text[1] - '0');
  const int minute = (text[3] - '0') * 10 + (text[4] - '0');
  if (minute > 59 || hour > 24 || (hour == 24 && minute != 0)) return {};
  return static_cast<uint16_t>(hour * 60 + minute);
}

/// Letters as in the IANA database, and nothing that could leave its folder.
bool is_zone_name(std::string_view text) {
  if (text.size() > 64 || text.front() == '/' || text.find("..") != std::string_view::npos) {
    return false;
  }
  return std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '/' || c == '_' || c == '-' || c == '+';
  });
}

}  // namespace

Result<TimeWindow, std::string> parse_time_window(std::string_view text) {
  std::vector<std::string_view> words = split(text, ' ');
  std::erase(words, std::string_view{});
  TimeWindow out;
  out.text = std::string(text);
  if (!words.empty() && words.front().find(':') == std::string_view::npos) {
    out.days = TRY(parse_days(words.front()));
    words.erase(words.begin());
  }
  if (words.empty()) return complain(text, "a time span such as 08:00-18:00");
  const std::string_view span = words.front();
  const size_t dash = span.find('-');
  const auto start = parse_clock(span.substr(0, dash));
  const auto end =
      dash == std::string_view::npos ? std::nullopt : parse_clock(span.substr(dash + 1));
  if (!start || !end || *start == 1440) return complain(span, "HH:MM-HH:MM, 00:00 to 24:00");
  if (*start == *end)
    return complain(span, "an end that is not the start; a whole day is 00:00-24:00");
  if (words.size() < 2)
    return complain(text, "a time zone after the times, such as Europe/Berlin or UTC");
  if (words.size() > 2) return complain(words[2], "nothing after the time zone");
  if (!is_zone_name(words[1])) return complain(words[1], "an IANA time zone such as Europe/Berlin");
  out.start_minute = *start;
  out.end_minute = *end;
  out.zone = std::string(words[1]);
  return out;
}

}  // namespace sallyport
