// SPDX-License-Identifier: BSD-3-Clause
/// Text for people: aligned columns, colour on a terminal, no control characters of strangers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::cli {

enum class Colour { kPlain, kGood, kWarning, kBad, kFaint, kBold };

/// Whether standard output takes colour: a terminal, and NO_COLOR is not set (no-color.org).
bool colour_wanted();
std::string paint(Colour colour, std::string_view text, bool wanted);

/// 1536 -> "1.5 KiB".
std::string bytes_text(uint64_t bytes);
/// 75 -> "1m15s".
std::string duration_text(double seconds);

/// Columns as wide as their widest cell.
class Table {
 public:
  explicit Table(std::vector<std::string> heads) { rows_.push_back(std::move(heads)); }
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  [[nodiscard]] bool empty() const { return rows_.size() == 1; }
  [[nodiscard]] std::string text(bool colour) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace sallyport::cli
