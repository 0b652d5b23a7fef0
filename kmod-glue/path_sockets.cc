// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/path_sockets.h"

#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

namespace sallyport {
namespace {

// A group is 64 KB and WireGuard's queue holds 1,024 packets: room for both ways of a burst.
constexpr int kRelayBuffer = 4 << 20;
// Pings and answers of 1,000 peers at once.
constexpr int kNodeBuffer = 1 << 20;
constexpr char kLo[] = "lo";

// Sets options until one fails, which it then names.
class Options {
 public:
  explicit Options(const Fd& socket) : socket_(socket) {}

  Options& set(int level, int option, const void* value, socklen_t length, const char* name) {
    if (failed_ == nullptr && setsockopt(socket_.raw(), level, option, value, length) != 0) {
      errno_ = errno;
      failed_ = name;
    }
    return *this;
  }
  Options& set(int level, int option, int value, const char* name) {
    return set(level, option, &value, sizeof(value), name);
  }
  [[nodiscard]] Result<void> done() const {
    if (failed_ == nullptr) return {};
    return fail(errno_, std::string("setting ") + failed_);
  }

 private:
  const Fd& socket_;
  const char* failed_ = nullptr;
  int errno_ = 0;
};

Result<void> bind_to(const Fd& socket, int family, uint16_t port) {
  sockaddr_in6 any{};  // and long enough for the other family
  socklen_t length = sizeof(any);
  if (family == AF_INET) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&any, &v4, sizeof(v4));
    length = sizeof(v4);
  } else {
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(port);
  }
  if (bind(socket.raw(), reinterpret_cast<const sockaddr*>(&any), length) != 0) {
    return fail(errno, fmt::format("binding to UDP port {}", port));
  }
  return {};
}

int option_of(const Fd& socket, int option) {
  int value = -1;
  socklen_t length = sizeof(value);
  if (getsockopt(socket.raw(), SOL_SOCKET, option, &value, &length) != 0) return -1;
  return value;
}

std::string device_of(const Fd& socket) {
  std::array<char, IF_NAMESIZE> name{};
  socklen_t length = name.size();
  if (getsockopt(socket.raw(), SOL_SOCKET, SO_BINDTODEVICE, name.data(), &length) != 0) return {};
  return name.data();
}

}  // namespace

Result<Fd> open_node_socket(uint16_t port, uint32_t mark) {
  int family = AF_INET6;
  Fd socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid() && errno == EAFNOSUPPORT) {
    family = AF_INET;
    socket = Fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  }
  if (!socket.valid()) return fail(errno, "opening the node's socket");
  Options options(socket);
  if (family == AF_INET6) {
    options.set(IPPROTO_IPV6, IPV6_V6ONLY, 0, "IPV6_V6ONLY")
        .set(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO");
  }
  TRY(options.set(IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO")
          .set(SOL_SOCKET, SO_MARK, &mark, sizeof(mark), "SO_MARK")
          .set(SOL_SOCKET, SO_RCVBUFFORCE, kNodeBuffer, "SO_RCVBUFFORCE")
          .set(SOL_SOCKET, SO_SNDBUFFORCE, kNodeBuffer, "SO_SNDBUFFORCE")
          .done());
  TRY(bind_to(socket, family, port));
  return socket;
}

Result<Fd> open_relay_socket(uint16_t port) {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return fail(errno, "opening the relay socket");
  TRY(Options(socket)
          .set(SOL_SOCKET, SO_BINDTODEVICE, kLo, sizeof(kLo), "SO_BINDTODEVICE")
          .set(IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO")
          .set(SOL_SOCKET, SO_RCVBUFFORCE, kRelayBuffer, "SO_RCVBUFFORCE")
          .set(SOL_SOCKET, SO_SNDBUFFORCE, kRelayBuffer, "SO_SNDBUFFORCE")
          .done());
  TRY(bind_to(socket, AF_INET, port));
  return socket;
}

bool is_node_socket(const Fd& socket, uint16_t port, uint32_t mark) {
  return option_of(socket, SO_TYPE) == SOCK_DGRAM && device_of(socket).empty() &&
         option_of(socket, SO_MARK) == static_cast<int>(mark) && bound_port(socket) == port;
}

bool is_relay_socket(const Fd& socket, uint16_t port) {
  return option_of(socket, SO_TYPE) == SOCK_DGRAM && option_of(socket, SO_DOMAIN) == AF_INET &&
         device_of(socket) == kLo && bound_port(socket) == port;
}

uint16_t bound_port(const Fd& socket) {
  sockaddr_in6 at{};
  socklen_t length = sizeof(at);
  if (getsockname(socket.raw(), reinterpret_cast<sockaddr*>(&at), &length) != 0) return 0;
  if (at.sin6_family != AF_INET && at.sin6_family != AF_INET6) return 0;
  return ntohs(at.sin6_port);  // at the same place in both families
}

}  // namespace sallyport
