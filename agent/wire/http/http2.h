// SPDX-License-Identifier: BSD-3-Clause
/// One HTTP/2 connection, either end, prior knowledge: bytes in and out, streams as events.
/// Source: RFC 9113.
///
/// Bounded: what is received is handed on by the very call that brings it, and the peer may send
/// no more than a window ahead; a head has at most kMaxHead bytes; what waits to be sent is the
/// caller's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "agent/wire/http/field.h"

namespace sallyport::http {

enum class StreamId : int32_t {};

/// Names and values of a head, as HPACK counts them less its 32 each.
constexpr size_t kMaxHead = size_t{32} * 1024;
/// That the peer may send ahead, on a stream and on the connection.
constexpr uint32_t kWindow = 1024 * 1024;
constexpr uint32_t kMaxStreams = 100;

/// A request's, or a final response's. What does not belong to its kind is empty.
struct Head {
  StreamId stream{};
  unsigned status = 0;
  std::string method = {};
  std::string path = {};
  std::string authority = {};
  Fields fields = {};
  friend bool operator==(const Head&, const Head&) = default;
};
struct Data {
  StreamId stream{};
  Bytes bytes;
  friend bool operator==(const Data&, const Data&) = default;
};
/// The peer's side of the stream is complete.
struct End {
  StreamId stream{};
  friend bool operator==(const End&, const End&) = default;
};
/// The stream is gone before both sides were complete.
struct Reset {
  StreamId stream{};
  uint32_t code = 0;  // RFC 9113 7
  friend bool operator==(const Reset&, const Reset&) = default;
};
/// The peer takes no new streams; those up to `last` may still be answered.
struct GoAway {
  StreamId last{};
  uint32_t code = 0;
  std::string why;  // the peer's words, not fit to be shown as they are
  friend bool operator==(const GoAway&, const GoAway&) = default;
};
using Event = std::variant<Head, Data, End, Reset, GoAway>;

class Http2 {
 public:
  static Http2 client();
  static Http2 server();
  Http2(Http2&&) noexcept;
  Http2& operator=(Http2&&) noexcept;
  ~Http2();

  /// Error: the connection is of no further use (EPROTO); outgoing() may hold the reason for the
  /// peer.
  Result<std::vector<Event>> receive(ByteView bytes);
  /// What is to be sent now, at most about `limit` bytes; empty: nothing. Call again after each
  /// receive, and when there is room.
  [[nodiscard]] Bytes take_outgoing(size_t limit = size_t{64} * 1024);
  /// What sending has brought about: the end of streams that broke the rules. Else the next
  /// receive() has it.
  [[nodiscard]] std::vector<Event> take_events();
  /// Nothing more will come of it.
  [[nodiscard]] bool closed() const;

  /// A client's. `head` needs method, path and authority. Errors: EPROTO, when the connection can
  /// carry no more streams.
  Result<StreamId> request(const Head& head, std::string body);
  /// A server's. With `end` the body is complete, else more comes by send().
  Result<void> respond(const Head& head, std::string body, bool end);
  /// Appends to a body that is not complete. Error EPIPE: no such stream any more.
  Result<void> send(StreamId stream, ByteView bytes, bool end);
  /// Bytes of a body that the peer's windows hold back.
  [[nodiscard]] size_t queued(StreamId stream) const;
  /// No interest in the stream any more; no event of it follows.
  void cancel(StreamId stream);

 private:
  struct State;
  explicit Http2(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::http
