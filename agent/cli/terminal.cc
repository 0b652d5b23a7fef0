// SPDX-License-Identifier: BSD-3-Clause
#include "agent/cli/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace sallyport::cli {

bool colour_wanted() { return ::isatty(STDOUT_FILENO) != 0 && ::getenv("NO_COLOR") == nullptr; }

std::string paint(Colour colour, std::string_view text, bool wanted) {
  if (!wanted || colour == Colour::kPlain) return std::string(text);
  std::string_view code;
  switch (colour) {
    case Colour::kPlain:
      break;
    case Colour::kGood:
      code = "32";
      break;
    case Colour::kWarning:
      code = "33";
      break;
    case Colour::kBad:
      code = "31";
      break;
    case Colour::kFaint:
      code = "2";
      break;
    case Colour::kBold:
      code = "1";
      break;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::string bytes_text(uint64_t bytes) {
  static constexpr std::array<std::string_view, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string duration_text(double seconds) {
  if (seconds < 0) return "never";
  const auto whole = static_cast<int64_t>(seconds);
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  return fmt::format("{}d{:02}h", whole / 86400, whole / 3600 % 24);
}

namespace {

// Columns on the screen: continuation bytes of UTF-8 take none.
size_t width(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string Table::text(bool colour) const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string out;
  for (size_t r = 0; r < rows_.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < rows_[r].size(); ++i) {
      line += rows_[r][i];
      if (i + 1 < rows_[r].size()) line += std::string(widths[i] - width(rows_[r][i]) + 2, ' ');
    }
    out += paint(r == 0 ? Colour::kFaint : Colour::kPlain, line, colour) + "\n";
  }
  return out;
}

}  // namespace sallyport::cli
