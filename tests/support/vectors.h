// SPDX-License-Identifier: BSD-3-Clause
/// Messages that other people's code made: tests/vectors/*.txt, which say whose.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/bytes.h"

namespace sallyport {

/// Two digits a byte; spaces are left out.
inline Bytes from_hex(std::string_view text) {
  Bytes out;
  std::string digits;
  for (const char c : text) {
    if (c == ' ') continue;
    digits += c;
    if (digits.size() < 2) continue;
    out.push_back(static_cast<uint8_t>(std::stoul(digits, nullptr, 16)));
    digits.clear();
  }
  return out;
}

inline Bytes bytes_of(ByteView view) { return {view.begin(), view.end()}; }
inline ByteView view_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string text_of(ByteView view) {
  return {reinterpret_cast<const char*>(view.data()), view.size()};
}

/// One file of tests/vectors: lines of `name = hex` or `name = "text"`.
class Vectors {
 public:
  explicit Vectors(const std::string& path) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      const size_t equals = line.find(" = ");
      if (line.starts_with("#") || equals == std::string::npos) continue;
      values_[line.substr(0, equals)] = line.substr(equals + 3);
    }
  }

  /// A test that asks for what is not there fails.
  [[nodiscard]] Bytes bytes(const std::string& name) const { return from_hex(value(name)); }
  [[nodiscard]] std::string text(const std::string& name) const {
    const std::string quoted = value(name);
    return quoted.size() < 2 ? quoted : quoted.substr(1, quoted.size() - 2);
  }
  /// Every name that starts so.
  [[nodiscard]] std::vector<std::string> names(std::string_view start) const {
    std::vector<std::string> out;
    for (const auto& [name, value] : values_) {
      if (name.starts_with(start)) out.push_back(name);
    }
    return out;
  }

 private:
  [[nodiscard]] std::string value(const std::string& name) const {
    const auto found = values_.find(name);
    if (found != values_.end()) return found->second;
    ADD_FAILURE() << "no vector " << name;
    return {};
  }

  std::map<std::string, std::string> values_;
};

}  // namespace sallyport
