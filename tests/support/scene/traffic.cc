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

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Address address_of(const std::string& text, uint16_t port) {
  Address out;
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

std::pair<std::string, uint16_t> text_of(const Address& address) {
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
    const Address address = address_of(local, port);
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

int64_t ticks() { return Clock::now().time_since_epoch().count(); }

}  // namespace

Fd udp_socket(const std::string& netns, const std::string& local, uint16_t port) {
  return bound_socket(netns, SOCK_DGRAM, local, port);
}

uint16_t port_of(const Fd& socket) {
  Address address;
  address.length = sizeof address.storage;
  ::getsockname(socket.raw(), address.get(), &address.length);
  return text_of(address).second;
}

int send_to(const Fd& socket, const std::string& remote, uint16_t port,
            const std::string& payload) {
  const Address to = address_of(remote, port);
  const ssize_t n = ::sendto(socket.raw(), payload.data(), payload.size(), 0, to.get(), to.length);
  return n < 0 ? errno : 0;
}

std::optional<Datagram> receive(const Fd& socket, std::chrono::milliseconds limit) {
  if (!ready(socket, POLLIN, limit)) return {};
  std::array<char, 65536> buffer{};
  Address from;
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
  const Address to = address_of(remote, port);
  inside(netns, [&] {
    out.socket = Fd(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!local.empty()) {
      const Address from = address_of(local, 0);
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
      Address from;
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
      Address from;
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

Stream::Stream(const Ends& ends, int per_second, uint64_t window)
    : ends_(ends), per_second_(per_second), window_(window) {
  a_.socket = udp_socket(ends.a_netns, ends.a_address);
  b_.socket = udp_socket(ends.b_netns, ends.b_address, ends.b_port);
  ends_.b_port = port_of(b_.socket);
  a_receiver_ = std::thread([this] { receive_loop(a_); });
  b_receiver_ = std::thread([this] { receive_loop(b_); });
  sender_ = std::thread([this] { send_loop(); });
}

Stream::~Stream() {
  sending_ = false;
  running_ = false;
  sender_.join();
  a_receiver_.join();
  b_receiver_.join();
}

void Stream::send_loop() {
  const auto gap = std::chrono::nanoseconds(1'000'000'000 / per_second_);
  auto next = Clock::now();
  std::array<uint64_t, 25> packet{};  // 200 bytes
  while (sending_) {
    std::this_thread::sleep_until(next);
    // After a stall (a busy machine) some of the missed packets follow at once, so that the rate
    // holds on average; not more than any queue on the way takes.
    next = std::max(next, Clock::now() - 16 * gap);
    while (next <= Clock::now() && sending_) {
      next += gap;
      const auto has_room = [this](const Side& from, const Side& to) {
        return window_ == 0 || from.sent - to.received < window_;
      };
      if (a_sends_ && has_room(a_, b_)) {
        packet[0] = a_.sent;
        if (send_to(a_.socket, ends_.b_address, ends_.b_port,
                    {reinterpret_cast<const char*>(packet.data()), sizeof packet}) == 0) {
          ++a_.sent;
        }
      }
      const uint16_t port = a_port_;
      if (b_sends_ && port != 0 && has_room(b_, a_)) {
        std::string to;
        {
          const std::lock_guard lock(peer_mutex_);
          to = a_seen_as_;
        }
        packet[0] = b_.sent;
        if (send_to(b_.socket, to, port,
                    {reinterpret_cast<const char*>(packet.data()), sizeof packet}) == 0) {
          ++b_.sent;
        }
      }
    }
  }
}

void Stream::receive_loop(Side& to) {
  while (running_) {
    const auto datagram = receive(to.socket, 20ms);
    if (!datagram || datagram->payload.size() < 8) continue;
    uint64_t number = 0;
    std::memcpy(&number, datagram->payload.data(), sizeof number);
    if (number > 100'000'000) continue;
    if (&to == &b_) {
      const std::lock_guard lock(peer_mutex_);
      a_seen_as_ = datagram->from;
      a_port_ = datagram->port;
    }
    if (to.seen.size() <= number) to.seen.resize(number + 4096);
    if (to.seen[number]) {
      ++to.duplicates;
    } else {
      to.seen[number] = true;
      ++to.received;
    }
    to.highest = std::max(to.highest.load(), number);
    to.last = ticks();
  }
}

bool Stream::flowing(uint64_t packets, std::chrono::milliseconds limit) {
  const Report before = now();
  return eventually(
      [&] {
        const Report after = now();
        return after.a_to_b.received >= before.a_to_b.received + packets &&
               after.b_to_a.received >= before.b_to_a.received + packets;
      },
      limit);
}

Stream::Report Stream::now() const {
  const auto direction = [](const Side& from, const Side& to) {
    // What is received is read first: the difference never looks smaller than it is.
    const uint64_t received = to.received;
    return Direction{from.sent, received, to.duplicates, to.highest,
                     Clock::time_point(Clock::duration(to.last.load()))};
  };
  return {direction(a_, b_), direction(b_, a_)};
}

std::string Stream::Report::text() const {
  const auto direction = [](const char* name, const Direction& way) {
    return std::string(name) + ": sent " + std::to_string(way.sent) + ", received " +
           std::to_string(way.received) + ", highest " + std::to_string(way.highest) +
           ", duplicates " + std::to_string(way.duplicates) + "\n";
  };
  return direction("there", a_to_b) + direction("back", b_to_a);
}

Stream::Report Stream::finish() {
  sending_ = false;
  eventually([&] { return now().lost() == 0; }, 3s);
  return now();
}

}  // namespace sallyport::scene
