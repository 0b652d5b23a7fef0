// SPDX-License-Identifier: BSD-3-Clause
#include "agent/options/complaints.h"

#include <algorithm>
#include <tuple>

namespace sallyport::options {

void Complaints::add(Position where, std::string message, std::string hint) {
  // More than are shown, because they come in another order; not all: a file can hold a million.
  constexpr size_t kKept = 500;
  if (errors_.size() >= kKept) {
    ++forgotten_;
    return;
  }
  errors_.push_back({std::move(where), std::move(message), std::move(hint)});
}

std::vector<InputError> Complaints::take() {
  // By place, and as they came where the place is one. (Not stable_sort: libstdc++ 12's makes
  // clang complain of a deprecated function inside it.)
  using Key = std::tuple<std::ptrdiff_t, unsigned, unsigned, size_t>;
  std::vector<std::pair<Key, InputError>> sorted;
  for (InputError& error : errors_) {
    const auto file = std::ranges::find(files_, error.where.file) - files_.begin();
    sorted.emplace_back(Key{file, error.where.line, error.where.column, sorted.size()},
                        std::move(error));
  }
  std::ranges::sort(sorted, {}, &std::pair<Key, InputError>::first);
  errors_.clear();
  for (auto& [key, error] : sorted) errors_.push_back(std::move(error));
  if (errors_.size() > kShownErrors) {
    const size_t rest = errors_.size() - kShownErrors + forgotten_;
    errors_.resize(kShownErrors);
    errors_.push_back({{}, std::to_string(rest) + " more errors are not shown", {}});
  }
  return std::exchange(errors_, {});
}

}  // namespace sallyport::options
