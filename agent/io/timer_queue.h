// SPDX-License-Identifier: BSD-3-Clause
/// All timers of a loop in order; the kernel is told of the earliest only. For this room.
#pragma once

#include <linux/time_types.h>

#include <cstdint>
#include <set>

#include "agent/base/clock.h"
#include "agent/io/operation.h"

namespace sallyport::io {

class TimerCore;

/// io_uring keeps its timeouts in a list that every cancellation walks, and each costs a
/// submission; a tree here makes arming and cancelling one of thousands a few hundred ns without a
/// system call.
class TimerQueue final : public Core {
 public:
  using Core::Core;

  void insert(TimerCore& timer, Instant deadline);
  void remove(TimerCore& timer);
  /// Tells the kernel when to wake us. Called before each wait.
  void arm();
  [[nodiscard]] size_t size() const { return waiting_.size(); }

 private:
  struct Entry {
    Instant deadline;
    uint64_t number;  // first armed, first called
    TimerCore* timer;
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };
  friend class TimerCore;

  void on_close() override;
  void on_timeout(int32_t result, uint32_t flags);
  void fire(Instant now);

  std::set<Entry> waiting_;
  uint64_t next_number_ = 0;
  Instant firing_ = Instant::min();
  Operation timeout_;
  Instant armed_for_;
  __kernel_timespec expiry_{};
};

}  // namespace sallyport::io
