// SPDX-License-Identifier: BSD-3-Clause
/// What the kernel works on, and who keeps it alive meanwhile.
///
/// Every object of this room is a thin handle to a Core: the descriptor, the buffers, the
/// callbacks. An Operation in flight holds its Core, so that whatever the kernel may still write to
/// lives until the last completion. Destroying the handle closes the Core: callbacks are dropped,
/// operations cancelled, and the Core goes when the last of them has completed.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

namespace sallyport::io {

class Loop;

/// Does not outlive the handle's last operation; lives past the Loop if the handle does, and is
/// then closed and inert.
class Core : public std::enable_shared_from_this<Core> {
 public:
  explicit Core(Loop& loop);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;
  virtual ~Core();

  /// No callback runs from now on. Idempotent.
  void close();
  [[nodiscard]] bool closed() const { return closed_; }

 protected:
  /// Drops callbacks and cancels operations. Called once.
  virtual void on_close() = 0;
  /// Only before the loop is gone, that is while not closed, in on_close() and in a handler.
  [[nodiscard]] Loop& loop() const { return *loop_; }

 private:
  friend class Loop;
  Loop* loop_;
  bool closed_ = false;
};

/// One submission at a time; a member of the Core that it works for. A multishot one stays in
/// flight over many completions.
class Operation {
 public:
  /// `result` and `flags` as in io_uring_enter(2); also called when the Core is closed, to give
  /// back buffers and descriptors. At the last completion in_flight() is already false, so that it
  /// may be submitted again from here.
  using Handler = void (*)(Core& core, int32_t result, uint32_t flags);

  Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  ~Operation() = default;

  [[nodiscard]] bool in_flight() const { return keep_ != nullptr; }

 private:
  friend class Loop;
  std::shared_ptr<Core> keep_;
  Handler handler_ = nullptr;
};

/// Turns `void C::method(int32_t, uint32_t)` into a Handler.
template <auto Method>
struct HandlerOf;
template <class C, void (C::*Method)(int32_t, uint32_t)>
struct HandlerOf<Method> {
  static void call(Core& core, int32_t result, uint32_t flags) {
    (static_cast<C&>(core).*Method)(result, flags);
  }
};
template <auto Method>
constexpr Operation::Handler kHandler = &HandlerOf<Method>::call;

/// Owns a Core on the user's behalf: closes it when it goes. C may be incomplete but for `->` and
/// the making of it.
template <class C>
class Handle {
 public:
  Handle() = default;
  explicit Handle(std::shared_ptr<C> core) : core_(std::move(core)) {}
  Handle(Handle&&) noexcept = default;
  Handle& operator=(Handle&& other) noexcept {
    const std::shared_ptr<Core> old = std::exchange(core_, std::move(other.core_));
    if (old && old != core_) old->close();
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (core_) core_->close();
  }

  C* operator->() const { return static_cast<C*>(core_.get()); }
  explicit operator bool() const { return core_ != nullptr; }

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace sallyport::io
