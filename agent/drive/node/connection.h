// SPDX-License-Identifier: BSD-3-Clause
/// A connection to a host: its name looked up, its addresses tried one after the other, TLS around
/// it if asked for.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/io/listener.h"
#include "agent/io/loop.h"
#include "agent/io/stream.h"
#include "agent/io/timer.h"
#include "agent/io/tls/tls_stream.h"
#include "agent/model/ip.h"
#include "agent/node/control/url.h"

namespace sallyport {

/// One address gets so much time while there is another one.
constexpr Duration kAddressTimeout = std::chrono::seconds(2);

struct ConnectionCallbacks {
  std::function<void()> on_connected;
  std::function<void(ByteView)> on_bytes;
  /// Once; empty: the peer ended it in good order.
  std::function<void(const std::string& why)> on_closed;
};

/// Callbacks run from the loop only. Destroying it ends it without a word.
class Connection {
 public:
  /// `tls` verifies names; it has to outlive this.
  Connection(io::Loop& loop, const io::TlsContext& tls, std::string host, control::Leg leg,
             ConnectionCallbacks callbacks);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() = default;

  /// The host's addresses, the best one first. Once.
  void connect_to(std::vector<IpAddress> addresses);
  /// False: it cannot take that much; of no further use.
  [[nodiscard]] bool write(ByteView bytes);

 private:
  void try_next();
  void on_socket(Result<Fd> socket);
  Result<void> adopt(Fd socket);
  void close(const std::string& why);
  void on_end(const std::optional<Error>& error);

  io::Loop& loop_;
  const io::TlsContext& tls_;
  std::string host_;
  control::Leg leg_;
  ConnectionCallbacks on_;
  std::vector<IpAddress> addresses_;  // the next one last
  std::string failures_;
  bool trying_ = false;  // an address
  io::Timer patience_;
  io::Connector connector_;
  io::Stream plain_;
  io::TlsStream wrapped_;
};

}  // namespace sallyport
