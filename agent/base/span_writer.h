// SPDX-License-Identifier: BSD-3-Clause
/// Writing a message into a buffer of the caller. Multi-byte integers are big-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "agent/base/bytes.h"

namespace sallyport {

/// Fills a buffer that it does not own and allocates nothing. After the first write past the end
/// `ok()` is false and nothing more is written, so a writer may check once at its end.
class SpanWriter {
 public:
  explicit SpanWriter(std::span<uint8_t> out) : out_(out) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] size_t size() const { return size_; }
  /// What has been written, borrowed from the buffer; empty once ok() is false.
  [[nodiscard]] ByteView written() const { return ok_ ? ByteView(out_.first(size_)) : ByteView(); }

  /// The next n bytes, for the caller to fill; empty and not ok if there is no room.
  std::span<uint8_t> reserve(size_t n) {
    if (!ok_ || n > out_.size() - size_) {
      ok_ = false;
      return {};
    }
    size_ += n;
    return out_.subspan(size_ - n, n);
  }
  template <class Unsigned>
  void write(Unsigned value) {
    const std::span<uint8_t> to = reserve(sizeof(Unsigned));
    for (size_t i = 0; i < to.size(); ++i) {
      to[i] = static_cast<uint8_t>(uint64_t{value} >> (8 * (to.size() - 1 - i)));
    }
  }
  void u8(uint8_t value) { write(value); }
  void u16(uint16_t value) { write(value); }
  void u32(uint32_t value) { write(value); }
  void u64(uint64_t value) { write(value); }
  void bytes(ByteView data) {
    const std::span<uint8_t> to = reserve(data.size());
    if (!to.empty()) std::memmove(to.data(), data.data(), to.size());
  }

 private:
  std::span<uint8_t> out_;
  size_t size_ = 0;
  bool ok_ = true;
};

}  // namespace sallyport
