// SPDX-License-Identifier: BSD-3-Clause
/// Reading and writing bytes of a message. Multi-byte integers are big-endian unless a name says
/// _le.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace sallyport {

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;

/// A number as it stands in memory in network order (BPF's members whose names end in _be).
constexpr uint16_t from_be(uint16_t stored) {
  const auto bytes = std::bit_cast<std::array<uint8_t, 2>>(stored);
  return static_cast<uint16_t>((bytes[0] << 8) | bytes[1]);
}

/// Walks over a buffer that it does not own. After the first read past the end `ok()` is false and
/// every further read yields zeros, so a parser may check once at its end.
class ByteReader {
 public:
  explicit ByteReader(ByteView data) : rest_(data) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] size_t left() const { return rest_.size(); }
  [[nodiscard]] bool done() const { return ok_ && rest_.empty(); }

  template <class Unsigned>
  Unsigned read() {
    Unsigned value = 0;
    for (const uint8_t byte : take(sizeof(Unsigned))) {
      value = static_cast<Unsigned>((uint64_t{value} << 8) | byte);
    }
    return value;
  }
  uint8_t u8() { return read<uint8_t>(); }
  uint16_t u16() { return read<uint16_t>(); }
  uint32_t u32() { return read<uint32_t>(); }
  uint64_t u64() { return read<uint64_t>(); }

  /// The next n bytes, borrowed from the buffer; empty and not ok if fewer are left.
  ByteView take(size_t n) {
    if (n > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const ByteView taken = rest_.first(n);
    rest_ = rest_.subspan(n);
    return taken;
  }
  template <size_t N>
  std::array<uint8_t, N> array() {
    std::array<uint8_t, N> out{};
    const ByteView from = take(N);
    if (!from.empty()) std::memcpy(out.data(), from.data(), N);
    return out;
  }
  /// A string with a 16-bit length before it.
  std::string_view string16() {
    const ByteView taken = take(u16());
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }

 private:
  ByteView rest_;
  bool ok_ = true;
};

/// Appends to a growing buffer.
class ByteWriter {
 public:
  template <class Unsigned>
  void write(Unsigned value) {
    for (size_t i = sizeof(Unsigned); i-- > 0;) {
      out_.push_back(static_cast<uint8_t>(uint64_t{value} >> (8 * i)));
    }
  }
  void u8(uint8_t value) { write(value); }
  void u16(uint16_t value) { write(value); }
  void u32(uint32_t value) { write(value); }
  void u64(uint64_t value) { write(value); }
  void bytes(ByteView data) { out_.insert(out_.end(), data.begin(), data.end()); }
  /// With a 16-bit length before it. False: longer than 65535, nothing written.
  [[nodiscard]] bool string16(std::string_view text) {
    if (text.size() > UINT16_MAX) return false;
    u16(static_cast<uint16_t>(text.size()));
    bytes({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    return true;
  }
  [[nodiscard]] size_t size() const { return out_.size(); }
  [[nodiscard]] Bytes finish() && { return std::move(out_); }

 private:
  Bytes out_;
};

}  // namespace sallyport
