// SPDX-License-Identifier: BSD-3-Clause
/// A function to be called later.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace sallyport::io {

template <class Signature>
class Callback;

/// Owns a callable that need not be copyable. It may be reset, or its owner destroyed, while it
/// runs: what it captured then dies when the call returns; otherwise at once.
template <class... Args>
class Callback<void(Args...)> {
 public:
  Callback() = default;
  template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, Callback> &&
             std::invocable<std::decay_t<F>&, Args...>)
  Callback(F&& function)  // NOLINT(bugprone-forwarding-reference-overload): as std::function
      : target_(std::make_shared<Holder<std::decay_t<F>>>(std::forward<F>(function))) {}
  Callback(Callback&&) noexcept = default;
  Callback& operator=(Callback&&) noexcept = default;
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;
  ~Callback() = default;

  explicit operator bool() const { return target_ != nullptr; }
  void reset() { target_.reset(); }

  /// Nothing happens if it is empty.
  void operator()(Args... args) const {
    const std::shared_ptr<Target> running = target_;
    if (running) running->call(std::forward<Args>(args)...);
  }

 private:
  struct Target {
    Target() = default;
    Target(const Target&) = delete;
    Target& operator=(const Target&) = delete;
    virtual ~Target() = default;
    virtual void call(Args... args) = 0;
  };
  template <class F>
  struct Holder final : Target {
    template <class G>
    explicit Holder(G&& g) : function(std::forward<G>(g)) {}  // NOLINT
    void call(Args... args) override { function(std::forward<Args>(args)...); }
    F function;
  };

  std::shared_ptr<Target> target_;
};

}  // namespace sallyport::io
