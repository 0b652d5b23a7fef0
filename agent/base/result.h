// SPDX-License-Identifier: BSD-3-Clause
/// Result<T, E>: a value or the reason why there is none. Member names are those of std::expected.
#pragma once

#include <cassert>
#include <concepts>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

namespace sallyport {

/// What failed and what we were doing. Kernel errors carry the extack text in `doing`.
struct Error {
  std::error_code code;
  std::string doing;

  [[nodiscard]] std::string text() const { return doing + ": " + code.message(); }
};

/// Wraps an error on its way out, so that `return Fail{...}` fits every Result.
template <class E>
struct Fail {
  E error;
};
template <class E>
Fail(E) -> Fail<E>;

/// An errno value with what we were doing. Source of `number`: errno(3), or the negated return of a
/// system call or netlink answer.
[[nodiscard]] inline Fail<Error> fail(int number, std::string doing) {
  return {Error{{number, std::generic_category()}, std::move(doing)}};
}

template <class T, class E = Error>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  using error_type = E;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: as std::expected
  template <std::convertible_to<E> F>
  Result(Fail<F> fail) : state_(std::in_place_index<1>, std::move(fail.error)) {}  // NOLINT

  [[nodiscard]] bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & { return assert(has_value()), *std::get_if<0>(&state_); }
  [[nodiscard]] const T& value() const& { return assert(has_value()), *std::get_if<0>(&state_); }
  T&& value() && { return assert(has_value()), std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  E& error() & { return assert(!has_value()), *std::get_if<1>(&state_); }
  [[nodiscard]] const E& error() const& { return assert(!has_value()), *std::get_if<1>(&state_); }
  E&& error() && { return assert(!has_value()), std::move(*std::get_if<1>(&state_)); }

  template <class U>
  [[nodiscard]] T value_or(U&& other) const& {
    return has_value() ? value() : static_cast<T>(std::forward<U>(other));
  }

 private:
  std::variant<T, E> state_;
};

template <class E>
class [[nodiscard]] Result<void, E> {
 public:
  using value_type = void;
  using error_type = E;

  Result() = default;
  template <std::convertible_to<E> F>
  Result(Fail<F> fail) : state_(std::in_place_index<1>, std::move(fail.error)) {}  // NOLINT

  [[nodiscard]] bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  void value() const { assert(has_value()); }
  E& error() & { return assert(!has_value()), *std::get_if<1>(&state_); }
  [[nodiscard]] const E& error() const& { return assert(!has_value()), *std::get_if<1>(&state_); }
  E&& error() && { return assert(!has_value()), std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<std::monostate, E> state_;
};

/// The value of `expression`, or leaves the enclosing function with its error.
#define TRY(expression)                                                                     \
  __extension__({                                                                           \
    auto try_result_ = (expression);                                                        \
    if (!try_result_.has_value()) return ::sallyport::Fail{std::move(try_result_).error()}; \
    std::move(try_result_).value();                                                         \
  })

}  // namespace sallyport
