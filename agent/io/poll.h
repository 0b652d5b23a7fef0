// SPDX-License-Identifier: BSD-3-Clause
/// Readiness of any descriptor: netlink sockets, BPF ring buffers, timerfd, pidfd.
#pragma once

#include <cstdint>

#include "agent/base/fd.h"
#include "agent/io/callback.h"
#include "agent/io/loop.h"
#include "agent/io/operation.h"

namespace sallyport::io {

class ReadableCore;

/// Calls while the descriptor is readable, once a turn. It asks anew after each call
/// (level-triggered), because a multishot poll reports wake-ups only: a reader that left something
/// behind would not be called again. The argument is poll(2)'s revents, with POLLERR and POLLHUP;
/// after POLLNVAL or a failure of the poll itself (POLLERR alone) there are no further calls.
class Readable {
 public:
  Readable() = default;
  /// Owns `fd`, which closes with the last operation after destruction.
  Readable(Loop& loop, Fd fd, Callback<void(uint32_t revents)> on_readable);
  /// Works on a duplicate; the caller keeps `borrowed` and may close it at any time.
  static Readable borrow(Loop& loop, int borrowed, Callback<void(uint32_t revents)> on_readable);

 private:
  explicit Readable(Handle<ReadableCore> core) : core_(std::move(core)) {}
  Handle<ReadableCore> core_;
};

}  // namespace sallyport::io
