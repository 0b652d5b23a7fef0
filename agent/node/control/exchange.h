// SPDX-License-Identifier: BSD-3-Clause
/// One HTTP/1.1 request and its answer on a connection of its own.
#pragma once

#include <optional>
#include <string>

#include "agent/node/control/action.h"
#include "agent/wire/http/http1.h"

namespace sallyport::control {

/// From asking for the connection to the end of the answer.
constexpr Duration kExchangeTimeout = std::chrono::seconds(15);

class Exchange {
 public:
  Exchange(ConnectionId id, const http::Request& request, const http::Limits& limits, Instant now);

  [[nodiscard]] ConnectionId id() const { return id_; }
  [[nodiscard]] Instant deadline() const { return deadline_; }

  /// The request, to be sent.
  [[nodiscard]] SendBytes on_connected() const;
  /// The answer, when it is whole; or why there is none.
  Result<std::optional<http::Response>, std::string> on_bytes(ByteView bytes);
  Result<std::optional<http::Response>, std::string> on_end();

 private:
  ConnectionId id_;
  Instant deadline_;
  Bytes request_;
  http::ResponseParser parser_;
};

}  // namespace sallyport::control
