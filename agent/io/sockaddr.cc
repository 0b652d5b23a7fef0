// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/sockaddr.h"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

namespace sallyport::io {

SocketAddress to_socket_address(const Endpoint& endpoint, sa_family_t family,
                                uint32_t scope_ifindex) {
  SocketAddress out;
  if (family == AF_INET && endpoint.address.is_v4()) {
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(endpoint.port);
    std::memcpy(&out.v4.sin_addr, endpoint.address.bytes.data() + 12, 4);
    out.bytes = sizeof out.v4;
  } else if (family == AF_INET6) {
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(endpoint.port);
    std::memcpy(&out.v6.sin6_addr, endpoint.address.bytes.data(), 16);
    out.v6.sin6_scope_id = scope_ifindex;
    out.bytes = sizeof out.v6;
  }
  return out;
}

std::optional<Endpoint> to_endpoint(const sockaddr* address, socklen_t bytes) {
  Endpoint out;
  if (bytes >= sizeof(sockaddr_in) && address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    out.address.bytes[10] = out.address.bytes[11] = 0xff;
    std::memcpy(out.address.bytes.data() + 12, &v4.sin_addr, 4);
    out.port = ntohs(v4.sin_port);
    return out;
  }
  if (bytes >= sizeof(sockaddr_in6) && address->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    std::memcpy(out.address.bytes.data(), &v6.sin6_addr, 16);
    out.port = ntohs(v6.sin6_port);
    return out;
  }
  return std::nullopt;
}

Result<SocketAddress> unix_address(std::string_view path) {
  SocketAddress out;
  if (path.empty() || path.size() >= sizeof out.unix_path.sun_path) {
    return fail(path.empty() ? EINVAL : ENAMETOOLONG, "unix socket '" + std::string{path} + "'");
  }
  out.unix_path.sun_family = AF_UNIX;
  std::memcpy(out.unix_path.sun_path, path.data(), path.size());
  // An abstract name is as long as the address says; a path ends with a zero byte.
  const bool abstract = path.front() == '@';
  if (abstract) out.unix_path.sun_path[0] = '\0';
  out.bytes =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
  return out;
}

Result<Endpoint> local_endpoint(const Fd& socket) {
  SocketAddress address;
  address.bytes = sizeof address.unix_path;
  if (::getsockname(socket.raw(), &address.base, &address.bytes) != 0) {
    return fail(errno, "getsockname");
  }
  const auto endpoint = to_endpoint(&address.base, address.bytes);
  return endpoint ? Result<Endpoint>{*endpoint} : fail(EAFNOSUPPORT, "getsockname");
}

Result<Endpoint> remote_endpoint(const Fd& socket) {
  SocketAddress address;
  address.bytes = sizeof address.unix_path;
  if (::getpeername(socket.raw(), &address.base, &address.bytes) != 0) {
    return fail(errno, "getpeername");
  }
  const auto endpoint = to_endpoint(&address.base, address.bytes);
  return endpoint ? Result<Endpoint>{*endpoint} : fail(EAFNOSUPPORT, "getpeername");
}

}  // namespace sallyport::io
