// SPDX-License-Identifier: BSD-3-Clause
/// Between our addresses and the kernel's.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/model/endpoint.h"

namespace sallyport::io {

/// A socket address and its length, as system calls take it.
struct SocketAddress {
  union {
    sockaddr base;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un unix_path;
  };
  socklen_t bytes = 0;

  SocketAddress() : unix_path{} {}
};

/// For a socket of this family: an IPv4 address becomes ::ffff:a.b.c.d on an AF_INET6 socket. An
/// IPv6 address on an AF_INET socket gives an empty one, which the kernel refuses.
[[nodiscard]] SocketAddress to_socket_address(const Endpoint& endpoint, sa_family_t family,
                                              uint32_t scope_ifindex = 0);
/// Nothing for a family that is neither.
[[nodiscard]] std::optional<Endpoint> to_endpoint(const sockaddr* address, socklen_t bytes);

/// Error ENAMETOOLONG: a path has at most 107 bytes. A leading '@' means the abstract namespace.
[[nodiscard]] Result<SocketAddress> unix_address(std::string_view path);

[[nodiscard]] inline sa_family_t family_of(const IpAddress& address) {
  return address.is_v4() ? AF_INET : AF_INET6;
}
/// The port and address that the socket is bound to (getsockname).
[[nodiscard]] Result<Endpoint> local_endpoint(const Fd& socket);
/// getpeername.
[[nodiscard]] Result<Endpoint> remote_endpoint(const Fd& socket);

}  // namespace sallyport::io
