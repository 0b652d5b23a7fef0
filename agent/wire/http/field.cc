// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/http/field.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace sallyport::http {
namespace {

/// `count` digits.
std::optional<unsigned> number_at(std::string_view text, size_t at, size_t count) {
  unsigned value = 0;
  const char* const first = text.data() + at;
  const auto [end, error] = std::from_chars(first, first + count, value);
  if (error != std::errc{} || end != first + count) return std::nullopt;
  return value;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::optional<std::string_view> find(const Fields& fields, std::string_view name) {
  for (const Field& field : fields) {
    if (std::ranges::equal(field.name, name, {}, lower, lower)) return field.value;
  }
  return std::nullopt;
}

std::optional<WallTime> parse_date(std::string_view text) {
  constexpr std::string_view kForm = "ddd, NN mmm NNNN NN:NN:NN GMT";
  constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != kForm.size() || !text.ends_with(" GMT")) return std::nullopt;
  const auto day = number_at(text, 5, 2);
  const auto* const month = std::ranges::find(kMonths, text.substr(8, 3));
  const auto year = number_at(text, 12, 4);
  const auto hour = number_at(text, 17, 2);
  const auto minute = number_at(text, 20, 2);
  const auto second = number_at(text, 23, 2);
  if (!day || month == kMonths.end() || !year || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{
      std::chrono::year(static_cast<int>(*year)),
      std::chrono::month(static_cast<unsigned>(month - kMonths.begin() + 1)),
      std::chrono::day(*day)};
  // Later than 2261 does not fit into a WallTime.
  if (!date.ok() || *year < 1970 || *year > 2200 || *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

}  // namespace sallyport::http
