// SPDX-License-Identifier: BSD-3-Clause
/// One io_uring: setup, restrictions, submission and completion queues. For this room; others use
/// Loop.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "agent/base/result.h"

namespace sallyport::io {

/// Single thread: only the one that created it may touch it.
class Ring {
 public:
  /// `allowed`: the only operations (IORING_OP_*) that the kernel will ever accept on it;
  /// IORING_OP_ASYNC_CANCEL is always among them. Nothing: no restriction.
  static Result<std::shared_ptr<Ring>> create(unsigned entries,
                                              const std::optional<std::vector<uint8_t>>& allowed);
  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring();

  /// An empty slot; submits what is queued if there is none. Valid until the next call.
  io_uring_sqe* take_sqe();
  /// Submits, and waits for one completion if `wait`. A signal is no error.
  Result<void> enter(bool wait);
  /// How many completions are there to take now.
  [[nodiscard]] size_t ready();
  /// The oldest completion; only if ready().
  io_uring_cqe take_cqe();

  /// A number for a buffer group of this ring.
  uint16_t take_group();
  void give_back_group(uint16_t group) { free_groups_.push_back(group); }
  [[nodiscard]] io_uring* raw() { return &ring_; }

 private:
  Result<void> restrict_to(const std::vector<uint8_t>& allowed);

  io_uring ring_{};
  bool set_up_ = false;
  // Completions taken from the ring because it could not accept submissions otherwise.
  std::deque<io_uring_cqe> backlog_;
  std::vector<uint16_t> free_groups_;
  uint16_t next_group_ = 0;
};

}  // namespace sallyport::io
