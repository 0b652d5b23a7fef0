// SPDX-License-Identifier: BSD-3-Clause
/// An owned file descriptor.
#pragma once

#include <utility>

namespace sallyport {

/// Closes what it owns. Moves only; never turns into an int by itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int raw) : raw_(raw) {}
  Fd(Fd&& other) noexcept : raw_(std::exchange(other.raw_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd();

  [[nodiscard]] bool valid() const { return raw_ >= 0; }
  /// Borrowed: valid as long as this object owns it.
  [[nodiscard]] int raw() const { return raw_; }
  /// Gives up ownership.
  [[nodiscard]] int release() { return std::exchange(raw_, -1); }
  void reset();

 private:
  int raw_ = -1;
};

}  // namespace sallyport
