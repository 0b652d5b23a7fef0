// SPDX-License-Identifier: BSD-3-Clause
/// Signals as events.
#pragma once

#include <csignal>
#include <initializer_list>

#include "agent/base/result.h"
#include "agent/io/callback.h"
#include "agent/io/loop.h"
#include "agent/io/poll.h"

namespace sallyport::io {

/// Blocks the signals in this thread as long as it lives, and reports them. Made before other
/// threads start, so that they inherit the mask. A signal sent twice before we look is one event.
class SignalSet {
 public:
  static Result<SignalSet> create(Loop& loop, std::initializer_list<int> signals,
                                  Callback<void(int signal)> on_signal);
  SignalSet(SignalSet&& other) noexcept;
  SignalSet& operator=(SignalSet&&) = delete;
  ~SignalSet();

 private:
  SignalSet(Readable readable, const sigset_t& before)
      : readable_(std::move(readable)), before_(before) {}
  Readable readable_;
  sigset_t before_;
  bool owns_mask_ = true;
};

}  // namespace sallyport::io
