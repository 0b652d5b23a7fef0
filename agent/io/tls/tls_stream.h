// SPDX-License-Identifier: BSD-3-Clause
/// A byte stream inside TLS.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/io/stream.h"
#include "agent/io/tls/engine.h"

namespace sallyport::io {

struct TlsCallbacks {
  /// The handshake is over and the peer verified; from now on write() takes something.
  Callback<void()> on_ready = {};
  /// Borrowed: valid during the call.
  Callback<void(ByteView)> on_data = {};
  /// Reading is over, called once: nothing if the peer has said so, else what broke the
  /// connection. ECONNABORTED: it ended without a word, so something may be missing.
  Callback<void(std::optional<Error>)> on_end = {};
  /// There is room again after write() has said kFull.
  Callback<void()> on_writable = {};
};

/// As Stream: callbacks run from the loop only, and destroying it drops what is queued.
class TlsStream {
 public:
  /// The largest write; what was taken before it may wait beside it.
  static constexpr size_t kMaxWrite = size_t{128} * 1024;

  TlsStream() = default;
  static Result<TlsStream> adopt(Loop& loop, Fd socket, TlsEngine engine, TlsCallbacks callbacks);

  /// All or nothing. kFull before on_ready.
  [[nodiscard]] Offer write(ByteView bytes);
  /// Says that we shall write no more, once what is queued has left.
  void shutdown();
  void pause();
  void resume();

  [[nodiscard]] bool ready() const;
  [[nodiscard]] std::string alpn() const;
  /// As TlsEngine::peer_certificates().
  [[nodiscard]] std::vector<Bytes> peer_certificates() const;
  [[nodiscard]] bool is_tls13() const;
  [[nodiscard]] size_t queued_bytes() const;

 private:
  struct State;
  explicit TlsStream(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::io
