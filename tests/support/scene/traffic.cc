// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/scene/traffic.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <sstream>

namespace sallyport::scene {
namespace {

std::pair<std::string, uint16_t> text_of(const SocketAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> out{};
  if (address.storage.ss_family == AF_INET) {
    const auto* four = reinterpret_cast<const sockaddr_in*>(&address.storage);
    inet_ntop(AF_INET, &four->sin_addr, out.data(), out.size());
    return {out.data(), ntohs(four->sin_port)};
  }
  const auto* six = reinterpret_cast<const sockaddr_in6*>(&address.storage);
  inet_ntop(AF_INET6, &six->sin6_addr, out.data(), out.size());
  return {out.data(), ntohs(six->sin6_port)};
}

Fd bound_socket(const std::string& netns, int type, const std::string& local, uint16_t port) {
  Fd out;
  inside(netns, [&] {
    const SocketAddress address = socket_address(local, port);
    out = Fd(::socket(address.storage.ss_family, type | SOCK_CLOEXEC, 0));
    const int one = 1;
    ::setsockopt(out.raw(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    const int big = 4 << 20;
    ::setsockopt(out.raw(), SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big);
    EXPECT_EQ(::bind(out.raw(), address.get(), address.length), 0)
        << netns << " " << local << ": " << std::strerror(errno);
  });
  return out;
}

bool ready(const Fd& socket, short events, std::chrono::milliseconds limit) {
  pollfd one{socket.raw(), events, 0};
  return ::poll(&one, 1, static_cast<int>(limit.count())) > 0;
}

}  // namespace

SocketAddress socket_address(const std::string& text, uint16_t port) {
  SocketAddress out;
  auto* four = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* six = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (inet_pton(AF_INET, text.c_str(), &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    out.length = sizeof(sockaddr_in);
  } else if (inet_pton(AF_INET6, text.c_str(), &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    out.length = sizeof(sockaddr_in6);
  }
  return out;
}

Fd udp_socket(const std::string& netns, const std::string& local, uint16_t port) {
  return bound_socket(netns, SOCK_DGRAM, local, port);
}

uint16_t port_of(const Fd& socket) {
  SocketAddress address;
  address.length = sizeof address.storage;
  ::getsockname(socket.raw(), address.get(), &address.length);
  return text_of(address).second;
}

int send_to(const Fd& socket, const std::string& remote, uint16_t port,
            const std::string& payload) {
  const SocketAddress to = socket_address(remote, port);
  const ssize_t n = ::sendto(socket.raw(), payload.data(), payload.size(), 0, to.get(), to.length);
  return n < 0 ? errno : 0;
}

std::optional<Datagram> receive(const Fd& socket, std::chrono::milliseconds limit) {
  if (!ready(socket, POLLIN, limit)) return {};
  std::array<char, 65536> buffer{};
  SocketAddress from;
  from.length = sizeof from.storage;
  const ssize_t n =
      ::recvfrom(socket.raw(), buffer.data(), buffer.size(), 0, from.get(), &from.length);
  if (n < 0) return {};
  const auto [text, port] = text_of(from);
  return Datagram{{buffer.data(), static_cast<size_t>(n)}, text, port};
}

Connection tcp_connect(const std::string& netns, const std::string& remote, uint16_t port,
                       std::chrono::milliseconds limit, const std::string& local) {
  Connection out;
  const SocketAddress to = socket_address(remote, port);
  inside(netns, [&] {
    out.socket = Fd(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!local.empty()) {
      const SocketAddress from = socket_address(local, 0);
      ::bind(out.socket.raw(), from.get(), from.length);
    }
    if (::connect(out.socket.raw(), to.get(), to.length) != 0 && errno != EINPROGRESS) {
      out.error = errno;
    }
  });
  if (out.error != 0) return out;
  if (!ready(out.socket, POLLOUT, limit)) {
    out.error = ETIMEDOUT;
    return out;
  }
  socklen_t length = sizeof out.error;
  ::getsockopt(out.socket.raw(), SOL_SOCKET, SO_ERROR, &out.error, &length);
  return out;
}

bool tcp_echo(const Fd& socket, size_t bytes, std::chrono::milliseconds limit) {
  std::string data(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<char>('a' + i % 23);
  std::string back;
  size_t sent = 0;
  const auto end = Clock::now() + limit;
  while (back.size() < bytes) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) return false;
    const short events = static_cast<short>(POLLIN | (sent < bytes ? POLLOUT : 0));
    pollfd one{socket.raw(), events, 0};
    if (::poll(&one, 1, static_cast<int>(left.count())) <= 0) return false;
    if ((one.revents & POLLOUT) != 0 && sent < bytes) {
      const ssize_t n =
          ::send(socket.raw(), data.data() + sent, bytes - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) sent += static_cast<size_t>(n);
    }
    if ((one.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      std::array<char, 65536> buffer{};
      const ssize_t n = ::recv(socket.raw(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (n == 0 || (n < 0 && errno != EAGAIN)) return false;
      if (n > 0) back.append(buffer.data(), static_cast<size_t>(n));
    }
  }
  return back == data;
}

uint64_t tcp_retransmits(const std::string& netns) {
  std::istringstream words(
      sh("nstat -asz TcpRetransSegs | awk '/TcpRetransSegs/{print $2}'", netns));
  uint64_t out = 0;
  words >> out;
  return out;
}

EchoServer::EchoServer(const std::string& netns, const std::string& local, uint16_t port) {
  tcp_ = bound_socket(netns, SOCK_STREAM, local, port);
  port_ = port_of(tcp_);
  udp_ = bound_socket(netns, SOCK_DGRAM, local, port_);
  ::listen(tcp_.raw(), 64);
  wake_ = Fd(::eventfd(0, EFD_CLOEXEC));
  thread_ = std::thread([this] { serve(); });
}

EchoServer::~EchoServer() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_.raw(), &one, sizeof one);
  thread_.join();
}

std::string EchoServer::last_client() const {
  const std::lock_guard lock(mutex_);
  return last_client_;
}

void EchoServer::serve() {
  std::vector<Fd> connections;
  std::array<char, 65536> buffer{};
  for (;;) {
    std::vector<pollfd> all{
        {wake_.raw(), POLLIN, 0}, {udp_.raw(), POLLIN, 0}, {tcp_.raw(), POLLIN, 0}};
    for (const Fd& connection : connections) all.push_back({connection.raw(), POLLIN, 0});
    ::poll(all.data(), all.size(), -1);
    if (all[0].revents != 0) return;
    if (all[1].revents != 0) {
      SocketAddress from;
      from.length = sizeof from.storage;
      const ssize_t n =
          ::recvfrom(udp_.raw(), buffer.data(), buffer.size(), 0, from.get(), &from.length);
      if (n >= 0) {
        const std::lock_guard lock(mutex_);
        last_client_ = text_of(from).first;
        ::sendto(udp_.raw(), buffer.data(), static_cast<size_t>(n), 0, from.get(), from.length);
      }
    }
    for (size_t i = connections.size(); i-- > 0;) {
      if (all[3 + i].revents == 0) continue;
      const ssize_t n = ::recv(connections[i].raw(), buffer.data(), buffer.size(), 0);
      if (n <= 0) {
        connections.erase(connections.begin() + static_cast<ptrdiff_t>(i));
      } else {
        ::send(connections[i].raw(), buffer.data(), static_cast<size_t>(n), MSG_NOSIGNAL);
      }
    }
    if (all[2].revents != 0) {
      SocketAddress from;
      from.length = sizeof from.storage;
      Fd connection(::accept4(tcp_.raw(), from.get(), &from.length, SOCK_CLOEXEC));
      if (connection.valid()) {
        const std::lock_guard lock(mutex_);
        last_client_ = text_of(from).first;
        connections.push_back(std::move(connection));
      }
    }
  }
}

int pings(const std::string& netns, const std::string& remote, int count,
          std::chrono::milliseconds limit) {
  const auto seconds = std::to_string((limit.count() + 999) / 1000);
  const Output result =
      run({"ping", "-n", "-q", "-c", std::to_string(count), "-i", "0.2", "-W", seconds, remote},
          netns, limit * count + 10s);
  int received = 0;
  const size_t at = result.out.find(" received");
  if (at == std::string::npos) return 0;
  const size_t start = result.out.rfind(' ', at - 1);
  std::istringstream(result.out.substr(start + 1)) >> received;
  return received;
}

}  // namespace sallyport::scene
