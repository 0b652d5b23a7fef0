// SPDX-License-Identifier: BSD-3-Clause
/// YAML text as a tree that knows where everything was written.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/position.h"

namespace sallyport::options {

/// Line and column from 1; columns count bytes.
struct Mark {
  uint32_t line = 0;
  uint32_t column = 0;
};

/// One value. Maps keep the order and the repetition of their keys.
struct Node {
  enum class Type : uint8_t { kNull, kScalar, kList, kMap };
  struct Entry;

  Type type = Type::kNull;
  Mark mark;
  std::string text = {};         // kScalar
  std::vector<Node> items = {};  // kList
  std::vector<Entry> entries;    // kMap
};
struct Node::Entry {
  std::string key;
  Mark mark;
  Node value;
  bool from_prefs = false;  // another file, of which this map became a part
};

/// A text is read up to these bounds, so that nobody's file costs more than they say.
constexpr size_t kMaxFileBytes = 8U << 20;  // 10,000 peers are 1.3 MB
constexpr size_t kMaxNodes = 1U << 20;      // aliases are counted as often as they are used
constexpr size_t kMaxDepth = 16;

/// The one document in `text`. Refuses what is not UTF-8, not YAML, empty, too large or too deep,
/// a second document, tags, and keys that are not plain text. `file` is for the error only.
Result<Node, InputError> parse_document(std::string_view text, const std::string& file);

}  // namespace sallyport::options
