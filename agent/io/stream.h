// SPDX-License-Identifier: BSD-3-Clause
/// A connected byte stream, TCP or unix.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/io/callback.h"
#include "agent/io/loop.h"
#include "agent/io/operation.h"

namespace sallyport::io {

class StreamCore;

/// What became of something offered to a socket for sending.
enum class Offer : uint8_t {
  kTaken,
  /// No room now: on_writable will be called. Nothing was taken.
  kFull,
  /// Larger than may ever be sent.
  kTooBig,
  /// The peer, the owner or an error has ended sending.
  kClosed,
};

struct StreamCallbacks {
  /// Borrowed: valid during the call.
  Callback<void(ByteView)> on_data = {};
  /// Reading is over, called once: nothing if the peer has ended its side (ours may go on writing),
  /// else what broke the connection.
  Callback<void(std::optional<Error>)> on_end = {};
  /// Half of the queue is free again after write() has said kFull.
  Callback<void()> on_writable = {};
};

/// Destroying it drops what is queued; to have it delivered, shutdown() and wait for on_end.
class Stream {
 public:
  /// Bytes that may be queued for sending.
  static constexpr size_t kSendQueue = size_t{256} * 1024;

  Stream() = default;
  /// Clears O_NONBLOCK, which would keep io_uring from waiting. Errors: ENOMEM for receive buffers.
  static Result<Stream> adopt(Loop& loop, Fd socket, StreamCallbacks callbacks,
                              size_t send_queue = kSendQueue);

  /// All or nothing. The writes of one turn leave together at its end.
  [[nodiscard]] Offer write(ByteView bytes);
  /// Ends our side once what is queued has left.
  void shutdown();

  /// No on_data until resume(). The kernel's own buffer fills, and so the peer is slowed down.
  void pause();
  void resume();

  /// Closes this object and returns the connection, for handing to another process. From within
  /// on_data no byte is lost; queued writes are.
  [[nodiscard]] Result<Fd> detach();

  /// For getsockopt(2); valid as long as this object.
  [[nodiscard]] int raw() const;
  [[nodiscard]] size_t queued_bytes() const;

 private:
  explicit Stream(Handle<StreamCore> core) : core_(std::move(core)) {}
  Handle<StreamCore> core_;
};

}  // namespace sallyport::io
