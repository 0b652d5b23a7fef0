// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/tailcfg/rfc3339.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdint>

namespace sallyport::tailcfg {
namespace {

using std::chrono::days;
using std::chrono::sys_days;
using Seconds = std::chrono::sys_seconds;

/// Takes digits and separators off a text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}
  int digits(size_t n) {
    int value = 0;
    for (; n > 0; --n) value = value * 10 + digit();
    return value;
  }
  void one_of(std::string_view any) {
    if (rest_.empty() || any.find(rest_.front()) == std::string_view::npos) return lose();
    last_ = rest_.front();
    rest_.remove_prefix(1);
  }
  bool skip(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  [[nodiscard]] bool at_digit() const {
    return !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9';
  }
  int digit() {
    if (!at_digit()) return lose(), 0;
    const int value = rest_.front() - '0';
    rest_.remove_prefix(1);
    return value;
  }
  void lose() { ok_ = false; }
  [[nodiscard]] char last() const { return last_; }
  [[nodiscard]] bool done() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  char last_ = 0;
  bool ok_ = true;
};

WallTime clamp(Seconds seconds, int64_t nanoseconds) {
  if (seconds >= std::chrono::floor<std::chrono::seconds>(kLastTime)) return kLastTime;
  if (seconds < std::chrono::ceil<std::chrono::seconds>(kFirstTime)) return kFirstTime;
  return WallTime{seconds} + Duration{nanoseconds};
}

}  // namespace

std::optional<ParsedTime> parse_rfc3339(std::string_view text) {
  Scanner in(text);
  const int year = in.digits(4);
  in.one_of("-");
  const int month = in.digits(2);
  in.one_of("-");
  const int day = in.digits(2);
  in.one_of("Tt");
  const int hour = in.digits(2);
  in.one_of(":");
  const int minute = in.digits(2);
  in.one_of(":");
  const int second = in.digits(2);
  int64_t nanoseconds = 0;
  if (in.skip('.')) {
    int64_t weight = 100'000'000;
    nanoseconds = in.digit() * weight;
    while (in.at_digit()) nanoseconds += in.digit() * (weight /= 10);
  }
  in.one_of("Zz+-");
  int offset_minutes = 0;
  if (const char sign = in.last(); sign == '+' || sign == '-') {
    const int hours = in.digits(2);
    in.one_of(":");
    const int minutes = in.digits(2);
    if (hours > 23 || minutes > 59) return {};
    offset_minutes = (hours * 60 + minutes) * (sign == '+' ? 1 : -1);
  }
  if (!in.done()) return {};
  const std::chrono::year_month_day date{std::chrono::year{year},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return {};
  const Seconds local = sys_days{date} + std::chrono::hours(hour) + std::chrono::minutes(minute) +
                        std::chrono::seconds(second);
  const Seconds utc = local - std::chrono::minutes(offset_minutes);
  constexpr Seconds kZero = sys_days{std::chrono::year{1} / 1 / 1};
  return ParsedTime{clamp(utc, nanoseconds), utc == kZero && nanoseconds == 0};
}

std::string write_rfc3339(std::optional<WallTime> time) {
  if (!time) return "0001-01-01T00:00:00Z";
  // By hand: the whole second before WallTime's earliest moment is beyond what Duration holds.
  constexpr int64_t kSecond = 1'000'000'000;
  const int64_t count = time->time_since_epoch().count();
  const int64_t rest = count % kSecond;
  const int64_t nanoseconds = rest < 0 ? rest + kSecond : rest;
  const Seconds whole{std::chrono::seconds{count / kSecond - (rest < 0 ? 1 : 0)}};
  const auto day = std::chrono::floor<days>(whole);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{whole - day};
  std::string fraction;
  if (nanoseconds != 0) {
    fraction = fmt::format(".{:09}", nanoseconds);
    fraction.erase(fraction.find_last_not_of('0') + 1);
  }
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     fraction);
}

}  // namespace sallyport::tailcfg
