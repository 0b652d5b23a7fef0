// SPDX-License-Identifier: BSD-3-Clause
/// A connection to a host: its name looked up, its addresses tried one after the other, TLS around
/// it if asked for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/io/callback.h"
#include "agent/io/listener.h"
#include "agent/io/loop.h"
#include "agent/io/stream.h"
#include "agent/io/timer.h"
#include "agent/io/tls/tls_stream.h"
#include "agent/model/ip.h"

namespace sallyport {

/// One address gets so much time while there is another one.
constexpr Duration kAddressTimeout = std::chrono::seconds(2);

struct ConnectionTarget {
  std::string host;  // for errors
  uint16_t port = 0;
  std::optional<io::TlsClientOptions> tls = {};  // nothing: the bytes as they are
  Duration address_timeout = kAddressTimeout;
};

struct ConnectionCallbacks {
  io::Callback<void()> on_connected = {};
  io::Callback<void(ByteView)> on_bytes = {};
  /// Once; empty: the peer ended it in good order.
  io::Callback<void(const std::string& why)> on_closed = {};
  /// There is room again after offer() has said kFull.
  io::Callback<void()> on_writable = {};
};

/// Callbacks run from the loop only. Destroying it, also within one of them, ends it without a
/// word.
class Connection {
 public:
  /// `tls` knows the authorities; it has to outlive this.
  Connection(io::Loop& loop, const io::TlsContext& tls, ConnectionTarget target,
             ConnectionCallbacks callbacks);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() = default;

  /// The host's addresses, the best one first. Once.
  void connect_to(std::vector<IpAddress> addresses);
  /// False: it cannot take that much; of no further use.
  [[nodiscard]] bool write(ByteView bytes) { return offer(bytes) == io::Offer::kTaken; }
  [[nodiscard]] io::Offer offer(ByteView bytes);
  /// Taken and not yet in the kernel's hands.
  [[nodiscard]] size_t queued_bytes() const;

  /// Of TLS, once connected.
  [[nodiscard]] std::vector<Bytes> peer_certificates() const {
    return wrapped_.peer_certificates();
  }
  [[nodiscard]] bool is_tls13() const { return wrapped_.is_tls13(); }

 private:
  void try_next();
  void on_socket(Result<Fd> socket);
  Result<void> adopt(Fd socket);
  void close(const std::string& why);
  void on_end(const std::optional<Error>& error);

  io::Loop& loop_;
  const io::TlsContext& tls_;
  ConnectionTarget target_;
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
