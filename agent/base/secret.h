// SPDX-License-Identifier: BSD-3-Clause
/// Key material: wipes itself, cannot be printed, compares in constant time.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

namespace sallyport {

/// N secret bytes. There is deliberately no formatter and no operator<< for it.
template <size_t N>
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::span<const uint8_t, N> bytes) {
    std::memcpy(bytes_.data(), bytes.data(), N);
  }
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  ~Secret() { explicit_bzero(bytes_.data(), N); }

  /// For the one call that needs the bytes; the span dies with this object.
  [[nodiscard]] std::span<const uint8_t, N> reveal() const { return bytes_; }

  friend bool operator==(const Secret& a, const Secret& b) {
    uint8_t differ = 0;
    for (size_t i = 0; i < N; ++i) differ |= static_cast<uint8_t>(a.bytes_[i] ^ b.bytes_[i]);
    return differ == 0;
  }

 private:
  std::array<uint8_t, N> bytes_{};
};

}  // namespace sallyport
