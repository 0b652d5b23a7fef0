// SPDX-License-Identifier: BSD-3-Clause
/// One netlink message, built in a buffer of fixed size.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string_view>
#include <type_traits>

#include "agent/base/bytes.h"

struct nlmsghdr;

namespace sallyport {

/// A full message is an ordinary value: each put_ says false, leaves the message as it was, and the
/// caller sends what there is and goes on in the next one. Integers are in host order, as netlink
/// has them. The buffer is wiped by begin() and at the end: messages carry keys.
class Message {
 public:
  /// A nest's length has 16 bits; in a message of this size none can overflow.
  static constexpr size_t kMostBytes = 65532;
  /// Requests that are not lists.
  static constexpr size_t kSmallBytes = 1024;

  /// `capacity` in bytes, with the 16 of the header; at most kMostBytes.
  explicit Message(size_t capacity = kSmallBytes);
  Message(Message&& other) noexcept = default;
  Message& operator=(Message&&) = delete;
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  ~Message();

  /// Starts again with an empty message. `flags` are NLM_F_ bits; the socket adds REQUEST and ACK
  /// (or DUMP) and the sequence number when it sends.
  void begin(uint16_t type, uint16_t flags = 0);
  /// The same for a command of a generic netlink family. Source: struct genlmsghdr.
  void begin_generic(uint16_t family, uint8_t command, uint8_t version, uint16_t flags = 0);

  /// Starts with a copy of a whole message that another library built. False: no room, or not one
  /// message; then this one is as it was.
  [[nodiscard]] bool begin_with(ByteView whole);

  /// A protocol's own header (ifinfomsg and the like); before any attribute.
  template <class Header>
    requires std::is_trivially_copyable_v<Header>
  [[nodiscard]] bool put_header(const Header& header) {
    return put_raw({reinterpret_cast<const uint8_t*>(&header), sizeof(header)});
  }
  [[nodiscard]] bool put(uint16_t attr, ByteView value);
  [[nodiscard]] bool put_flag(uint16_t attr) { return put(attr, {}); }
  [[nodiscard]] bool put_u8(uint16_t attr, uint8_t value) { return put_value(attr, value); }
  [[nodiscard]] bool put_u16(uint16_t attr, uint16_t value) { return put_value(attr, value); }
  [[nodiscard]] bool put_u32(uint16_t attr, uint32_t value) { return put_value(attr, value); }
  [[nodiscard]] bool put_u64(uint16_t attr, uint64_t value) { return put_value(attr, value); }
  /// With the NUL that the kernel wants.
  [[nodiscard]] bool put_string(uint16_t attr, std::string_view text);
  /// A kernel structure as it lies in memory (sockaddr_in and the like).
  template <class Value>
    requires std::is_trivially_copyable_v<Value>
  [[nodiscard]] bool put_value(uint16_t attr, const Value& value) {
    return put(attr, {reinterpret_cast<const uint8_t*>(&value), sizeof(value)});
  }

  /// Puts everything `fill` puts inside one nest, or nothing. `fill` says whether what it put is of
  /// use: a list that was cut short is, half an element is not. False: no room left.
  template <std::predicate<> Fill>
  [[nodiscard]] bool put_nested(uint16_t attr, Fill&& fill) {
    const size_t start = open_nest(attr);
    if (start == kNoRoom) return false;
    const bool keep = fill();
    close_nest(start, keep);
    return keep;
  }

  [[nodiscard]] size_t size() const;
  [[nodiscard]] size_t capacity() const { return capacity_; }
  /// Borrowed; changes with the next put.
  [[nodiscard]] ByteView bytes() const { return {buffer_.get(), size()}; }
  /// For the socket, which completes flags and sequence number.
  [[nodiscard]] nlmsghdr* header();

 private:
  static constexpr size_t kNoRoom = SIZE_MAX;

  [[nodiscard]] bool put_raw(ByteView data);
  [[nodiscard]] size_t open_nest(uint16_t attr);
  void close_nest(size_t start, bool keep);

  std::unique_ptr<uint8_t[]> buffer_;
  size_t capacity_;
};

}  // namespace sallyport
