// SPDX-License-Identifier: BSD-3-Clause
/// Calls at a time, and a watch on the wall clock.
#pragma once

#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/io/callback.h"
#include "agent/io/loop.h"
#include "agent/io/operation.h"
#include "agent/io/poll.h"

namespace sallyport::io {

class TimerCore;

/// One call at an instant of CLOCK_BOOTTIME, so time asleep counts. Never early.
class Timer {
 public:
  Timer() = default;
  Timer(Loop& loop, Callback<void()> on_due);

  /// Replaces the instant that was asked for before. An instant in the past is due at the next
  /// turn.
  void arm(Instant when);
  void cancel();
  [[nodiscard]] bool armed() const;

 private:
  Handle<TimerCore> core_;
};

/// Tells when somebody has set CLOCK_REALTIME: everything that was computed from wall_now() is
/// stale. Drift and slewing are not reported. Source: timerfd_create(2), TFD_TIMER_CANCEL_ON_SET.
class WallClockWatch {
 public:
  static Result<WallClockWatch> create(Loop& loop, Callback<void()> on_set);

 private:
  explicit WallClockWatch(Readable readable) : readable_(std::move(readable)) {}
  Readable readable_;
};

}  // namespace sallyport::io
