// SPDX-License-Identifier: BSD-3-Clause
/// One connection to a DERP server: TLS, the HTTP request that becomes a stream, frames. What they
/// say is DerpSession's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/drive/node/connection.h"
#include "agent/io/callback.h"
#include "agent/io/loop.h"
#include "agent/io/tls/engine.h"
#include "agent/model/derp_map.h"
#include "agent/model/tailnet_keys.h"
#include "agent/wire/derp.h"
#include "agent/wire/http/http1.h"

namespace sallyport {

struct DerpConnectionHooks {
  /// Frames may be sent. The server's key follows as a message, from its certificate or from
  /// itself, so that a login costs no more round trips than it must.
  io::Callback<void()> on_connected = {};
  /// Views borrow: valid during the call.
  io::Callback<void(const derp::Message& message)> on_message = {};
  /// Once, also if it was never connected. Never empty; not the connection's, so that it may go.
  io::Callback<void(const std::string& why)> on_closed = {};
};

/// Hooks run from the loop only; each may destroy the connection, which ends it without a word.
class DerpConnection {
 public:
  /// Of packets that wait to be sent; they are dropped beyond.
  static constexpr size_t kQueueBytes = size_t{128} * 1024;
  /// And of what a session says beside them.
  static constexpr size_t kReserveBytes = size_t{16} * 1024;

  /// `tls` outlives this. `ideal_node`: the region's first one, if this is another; the server only
  /// counts them. Streams need the loop's buffers, which are to be made before a sandbox is closed
  /// (Loop::stream_buffers).
  DerpConnection(io::Loop& loop, const io::TlsContext& tls, const DerpNode& node,
                 DerpConnectionHooks hooks, std::string ideal_node = {});
  DerpConnection(const DerpConnection&) = delete;
  DerpConnection& operator=(const DerpConnection&) = delete;
  ~DerpConnection() = default;

  /// False: the map names no address. Then the host's are to be looked up and given to
  /// connect_to(), also if there are none.
  [[nodiscard]] bool connect();
  [[nodiscard]] const std::string& host() const { return node_.host_name; }
  void connect_to(const std::vector<IpAddress>& found);

  /// A whole frame of the session's (SendDerp). False: not connected, or the queue is full even for
  /// these, which a server that reads does not let happen.
  [[nodiscard]] bool send(ByteView frame);
  /// A packet for a peer, at most derp::kMaxPacket bytes. False: dropped, for want of room or of a
  /// connection. Nothing is allocated.
  [[nodiscard]] bool send_packet(const NodeKey& to, ByteView packet);
  [[nodiscard]] size_t queued_bytes() const;
  /// Frames that were not well formed.
  [[nodiscard]] uint64_t skipped() const { return skipped_; }

 private:
  using Alive = std::weak_ptr<DerpConnection*>;

  void on_ready();
  void on_bytes(ByteView bytes);
  ByteView read_answer(ByteView bytes);
  void read_frames(ByteView bytes);
  ByteView finish_frame(ByteView bytes);
  void deliver(const derp::Frame& frame);
  void close(const std::string& why);
  [[nodiscard]] bool has_room(size_t more, size_t limit) const;
  void flush_later();
  void flush();

  enum class State : uint8_t { kConnecting, kUpgrading, kFrames, kClosed };

  io::Loop& loop_;
  DerpNode node_;
  std::string ideal_node_;
  DerpConnectionHooks on_;
  std::shared_ptr<DerpConnection*> self_;  // expires with us
  State state_ = State::kConnecting;
  http::ResponseParser answer_;
  std::optional<PublicKey> certified_;  // the server's key; its own message is still to come
  Bytes begun_;                         // a frame whose end has not come
  Bytes out_;
  size_t out_left_ = 0;  // that part of out_ has gone
  bool flush_posted_ = false;
  uint64_t skipped_ = 0;
  std::string refused_;  // there was nothing to connect to
  std::unique_ptr<Connection> connection_;
  io::Timer failing_;
};

}  // namespace sallyport
