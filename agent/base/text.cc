// SPDX-License-Identifier: BSD-3-Clause
#include "agent/base/text.h"

#include <algorithm>
#include <cstdint>

namespace sallyport {
namespace {

void append_hex(std::string& out, std::string_view bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
  }
}

/// Takes one sequence, or one byte that begins none, off `text`; true if it can be shown.
bool take(std::string_view& text, std::string_view& part) {
  const size_t length = utf8_length(text);
  part = text.substr(0, std::max<size_t>(length, 1));
  text.remove_prefix(part.size());
  return length > 0 && !is_control(part);
}

}  // namespace

size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0};
  };
  const auto tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool overlong = first == 0xe0 && byte(1) < 0xa0;
    const bool surrogate = first == 0xed && byte(1) > 0x9f;
    return tail(1) && tail(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool overlong = first == 0xf0 && byte(1) < 0x90;
    const bool beyond = first == 0xf4 && byte(1) > 0x8f;
    return tail(1) && tail(2) && tail(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

bool is_control(std::string_view sequence) {
  const auto first = static_cast<uint8_t>(sequence[0]);
  if (sequence.size() == 1) return first < 0x20 || first == 0x7f;
  // In UTF-8 the C1 controls are c2 80 ... c2 9f.
  return first == 0xc2 && static_cast<uint8_t>(sequence[1]) < 0xa0;
}

std::string printable(std::string_view text) {
  std::string out;
  for (std::string_view part; !text.empty();) {
    if (take(text, part)) {
      out += part;
    } else {
      append_hex(out, part);
    }
  }
  return out;
}

std::string quote(std::string_view text) {
  constexpr size_t kShown = 60;
  const size_t whole = text.size();
  std::string out = "\"";
  for (std::string_view part; !text.empty() && whole - text.size() < kShown;) {
    if (take(text, part)) {
      if (part == "\"" || part == "\\") out += '\\';
      out += part;
    } else {
      append_hex(out, part);
    }
  }
  out += '"';
  if (!text.empty()) out += "...";
  return out;
}

}  // namespace sallyport
