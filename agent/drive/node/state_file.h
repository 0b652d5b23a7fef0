// SPDX-License-Identifier: BSD-3-Clause
/// A small file that is written whole, again and again, by a process that may not open files: two
/// slots, opened before the sandbox closes, of which the one not in force is written.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace sallyport {

class StateFile {
 public:
  /// `path`.0 and `path`.1, made (0600) if they are not there.
  static Result<StateFile> open(const std::string& path, size_t limit_bytes);

  /// Slots that somebody else has opened, for reading and writing.
  static Result<StateFile> adopt(std::array<Fd, 2> slots, size_t limit_bytes);

  /// What was last stored whole, also if the machine went down during a later store(); empty: never
  /// anything.
  [[nodiscard]] Result<std::string> load();
  /// On the disk when it returns. Error EFBIG: over the limit.
  Result<void> store(std::string_view content);

 private:
  StateFile(std::array<Fd, 2> slots, size_t limit) : slots_(std::move(slots)), limit_(limit) {}

  std::array<Fd, 2> slots_;
  size_t limit_;
  size_t next_slot_ = 0;
  uint64_t generation_ = 0;  // of what is in force
};

}  // namespace sallyport
