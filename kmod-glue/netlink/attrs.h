// SPDX-License-Identifier: BSD-3-Clause
/// Reading netlink attributes. Policies are data; nothing is trusted, nothing is allocated.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "agent/base/bytes.h"

namespace sallyport {

/// One attribute, borrowed from the message. The type is without its NLA_F_ bits.
struct Attribute {
  uint16_t type = 0;
  ByteView value;
};

/// Walks over a list of attributes that it does not own.
class AttrWalk {
 public:
  explicit AttrWalk(ByteView list) : rest_(list) {}

  /// Nothing at the end of the list, and at the first attribute that does not fit into it.
  std::optional<Attribute> next();
  /// Ended before the end of the list.
  [[nodiscard]] bool malformed() const { return malformed_; }

 private:
  ByteView rest_;
  bool malformed_ = false;
};

enum class Shape : uint8_t {
  kUnknown,  // not looked at
  kExact,    // so many bytes
  kAtLeast,  // so many bytes or more: a newer kernel may append
  kString,   // one byte or more; ends at the first NUL
  kNest,     // a list of attributes; its own policy judges it
};
/// What an attribute must look like. `bytes` is for kExact and kAtLeast.
struct AttrRule {
  Shape shape = Shape::kUnknown;
  uint16_t bytes = 0;
};
/// Indexed by attribute type; types beyond it are of a newer kernel and are skipped.
template <size_t N>
using AttrPolicy = std::array<AttrRule, N>;

/// Sorts a list into `found`, the last of its type wins as in the kernel. False: the list is
/// malformed or a value has the wrong length.
[[nodiscard]] bool parse_attrs(ByteView list, std::span<const AttrRule> policy,
                               std::span<std::optional<ByteView>> found);

/// The attributes of one list, by type; borrowed from the message.
template <size_t N>
class Attrs {
 public:
  /// Nothing: see parse_attrs.
  static std::optional<Attrs> parse(ByteView list, const AttrPolicy<N>& policy) {
    Attrs attrs;
    if (!parse_attrs(list, policy, attrs.found_)) return std::nullopt;
    return attrs;
  }

  [[nodiscard]] bool has(size_t type) const { return found_.at(type).has_value(); }
  [[nodiscard]] std::optional<ByteView> raw(size_t type) const { return found_.at(type); }
  /// An integer or a kernel structure; nothing if absent or shorter than that.
  template <class Value>
    requires std::is_trivially_copyable_v<Value>
  [[nodiscard]] std::optional<Value> value(size_t type) const {
    const auto bytes = found_.at(type);
    if (!bytes || bytes->size() < sizeof(Value)) return std::nullopt;
    Value out;
    std::memcpy(&out, bytes->data(), sizeof(out));
    return out;
  }
  /// Without the NUL; empty if absent.
  [[nodiscard]] std::string_view string(size_t type) const {
    const ByteView bytes = nest(type);
    const std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    return text.substr(0, text.find('\0'));
  }
  /// The list inside; empty if absent.
  [[nodiscard]] ByteView nest(size_t type) const { return found_.at(type).value_or(ByteView{}); }

 private:
  std::array<std::optional<ByteView>, N> found_{};
};

}  // namespace sallyport
