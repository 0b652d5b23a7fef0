// SPDX-License-Identifier: BSD-3-Clause
/// All that is wrong with somebody's files, in the order of reading.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/model/position.h"

namespace sallyport::options {

constexpr size_t kShownErrors = 20;

class Complaints {
 public:
  /// `files`: the order in which places are told.
  explicit Complaints(std::vector<std::string> files) : files_(std::move(files)) {}

  void add(Position where, std::string message, std::string hint = {});
  [[nodiscard]] bool empty() const { return errors_.empty(); }
  /// Sorted by place; at most kShownErrors, and one more that counts the rest.
  [[nodiscard]] std::vector<InputError> take();

 private:
  std::vector<std::string> files_;
  std::vector<InputError> errors_;
  size_t forgotten_ = 0;
};

}  // namespace sallyport::options
