// SPDX-License-Identifier: BSD-3-Clause
/// Messages with descriptors between two processes of ours (AF_UNIX, SOCK_SEQPACKET).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/io/callback.h"
#include "agent/io/loop.h"
#include "agent/io/operation.h"
#include "agent/io/stream.h"

namespace sallyport::io {

class SeqpacketCore;

struct SeqpacketCallbacks {
  /// The bytes are borrowed: valid during the call. The descriptors are close-on-exec.
  Callback<void(ByteView, std::vector<Fd>)> on_message = {};
  /// Nothing more will come, called once: nothing if the other end is gone, else what broke the
  /// channel; EMSGSIZE: a message was longer, or had more descriptors, than is allowed, and was
  /// thrown away whole.
  Callback<void(std::optional<Error>)> on_end = {};
  /// Half of the queue is free again after send() has said kFull.
  Callback<void()> on_writable = {};
};

class Seqpacket {
 public:
  static constexpr size_t kMessageBytes = size_t{32} * 1024;
  static constexpr size_t kMessageFds = 16;
  /// Bytes that may be queued for sending.
  static constexpr size_t kSendQueue = size_t{1024} * 1024;

  Seqpacket() = default;
  static Result<Seqpacket> adopt(Loop& loop, Fd socket, SeqpacketCallbacks callbacks,
                                 size_t send_queue = kSendQueue);
  /// Both ends, close-on-exec.
  static Result<std::pair<Fd, Fd>> pair();

  /// 1 to kMessageBytes bytes and up to kMessageFds descriptors, sent as one message, in order.
  /// `fds` is emptied if it is taken: the descriptors are closed here when the message has left.
  [[nodiscard]] Offer send(ByteView message, std::vector<Fd>&& fds = {});

  [[nodiscard]] size_t queued_bytes() const;

 private:
  explicit Seqpacket(Handle<SeqpacketCore> core) : core_(std::move(core)) {}
  Handle<SeqpacketCore> core_;
};

}  // namespace sallyport::io
