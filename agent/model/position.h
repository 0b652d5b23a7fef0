// SPDX-License-Identifier: BSD-3-Clause
/// Where in a file something was written, so that every complaint can name the place.
#pragma once

#include <string>

namespace sallyport {

/// Line and column count from 1; 0 = not from a file.
struct Position {
  std::string file;
  unsigned line = 0;
  unsigned column = 0;

  [[nodiscard]] std::string text() const {
    if (line == 0) return file;
    return file + ":" + std::to_string(line) + ":" + std::to_string(column);
  }
  friend bool operator==(const Position&, const Position&) = default;
};

/// One complaint about somebody's input. Exit code 3 of every command.
struct InputError {
  Position where;
  std::string message;  // with the value and what was expected
  std::string hint;     // the remedy, or the nearest known key; may be empty

  [[nodiscard]] std::string text() const {
    std::string out = where.text();
    if (!out.empty()) out += ": ";
    out += message;
    if (!hint.empty()) out += " (" + hint + ")";
    return out;
  }
};

}  // namespace sallyport
