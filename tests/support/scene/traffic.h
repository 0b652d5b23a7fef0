// SPDX-License-Identifier: BSD-3-Clause
/// Traffic of a scene: sockets inside namespaces, and a server that echoes. Streams are in
/// stream.h.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/fd.h"
#include "tests/support/scene/net.h"

namespace sallyport::scene {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};
/// Of "10.0.0.1" or "fd00::1"; length 0: neither.
SocketAddress socket_address(const std::string& text, uint16_t port);

/// A socket made inside a namespace; `local` and `remote` as "10.0.0.1" or "fd00::1".
Fd udp_socket(const std::string& netns, const std::string& local, uint16_t port = 0);
uint16_t port_of(const Fd& socket);
/// Sends to an address; the errno, or 0.
int send_to(const Fd& socket, const std::string& remote, uint16_t port, const std::string& payload);
/// One datagram, or nothing at the limit.
struct Datagram {
  std::string payload;
  std::string from;
  uint16_t port = 0;
};
std::optional<Datagram> receive(const Fd& socket, std::chrono::milliseconds limit);

/// How a connection attempt ended: 0 or an errno (ETIMEDOUT: nothing was heard within the limit).
struct Connection {
  int error = 0;
  Fd socket;
};
Connection tcp_connect(const std::string& netns, const std::string& remote, uint16_t port,
                       std::chrono::milliseconds limit = 15s, const std::string& local = {});
/// Sends all and reads exactly as many bytes back; false on error or at the limit.
bool tcp_echo(const Fd& socket, size_t bytes, std::chrono::milliseconds limit = 10s);
/// TcpRetransSegs of a namespace.
uint64_t tcp_retransmits(const std::string& netns);

/// Echoes TCP and UDP on one address, and remembers who came.
class EchoServer {
 public:
  EchoServer(const std::string& netns, const std::string& local, uint16_t port = 0);
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;
  ~EchoServer();
  [[nodiscard]] uint16_t port() const { return port_; }
  /// Source address of the latest TCP connection or datagram.
  [[nodiscard]] std::string last_client() const;

 private:
  void serve();
  Fd udp_, tcp_, wake_;
  uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::string last_client_;
  std::thread thread_;
};

/// ICMP echo by the ping program of the system: how many of `count` came back.
int pings(const std::string& netns, const std::string& remote, int count = 1,
          std::chrono::milliseconds limit = 3s);

}  // namespace sallyport::scene
