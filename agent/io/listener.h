// SPDX-License-Identifier: BSD-3-Clause
/// Listening sockets, connecting ones, and who is at the other end.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/io/callback.h"
#include "agent/io/loop.h"
#include "agent/io/operation.h"
#include "agent/model/ip.h"

namespace sallyport::io {

class ListenerCore;
class ConnectorCore;

/// Accepts until it is destroyed. Out of descriptors or memory it pauses for 100 ms; connections
/// wait in the kernel's queue meanwhile.
class Listener {
 public:
  using OnConnection = Callback<void(Fd)>;

  Listener() = default;
  /// Clears O_NONBLOCK, which would keep io_uring from waiting.
  static Result<Listener> adopt(Loop& loop, Fd listening, OnConnection on_connection);

  [[nodiscard]] int raw() const;

 private:
  explicit Listener(Handle<ListenerCore> core) : core_(std::move(core)) {}
  Handle<ListenerCore> core_;
};

/// Port 0 takes any; local_endpoint() of sockaddr.h tells which.
[[nodiscard]] Result<Fd> listen_tcp(const IpAddress& address, uint16_t port);
/// Replaces a socket that nobody listens on any more; error EADDRINUSE if somebody does. `mode`:
/// the file's permissions, from the moment that it can be connected to.
[[nodiscard]] Result<Fd> listen_unix(std::string_view path, mode_t mode);

/// One attempt to connect, given up when destroyed.
class Connector {
 public:
  using OnConnected = Callback<void(Result<Fd>)>;

  Connector() = default;
  static Result<Connector> tcp(Loop& loop, const IpAddress& address, uint16_t port,
                               OnConnected on_connected);
  static Result<Connector> unix_socket(Loop& loop, std::string_view path, OnConnected on_connected);
  /// A socket made by the caller (bound, marked) towards a TCP port.
  static Result<Connector> socket(Loop& loop, Fd socket, const IpAddress& address, uint16_t port,
                                  OnConnected on_connected);

 private:
  explicit Connector(Handle<ConnectorCore> core) : core_(std::move(core)) {}
  Handle<ConnectorCore> core_;
};

struct Credentials {
  pid_t pid;
  uid_t uid;
  gid_t gid;
};
/// Who made the other end of a unix socket, at the time of connect() or socketpair().
/// Source: unix(7), SO_PEERCRED.
[[nodiscard]] Result<Credentials> peer_credentials(int socket);

}  // namespace sallyport::io
