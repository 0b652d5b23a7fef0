// SPDX-License-Identifier: BSD-3-Clause
/// A host, by name or address, and a port: an endpoint before it is looked up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sallyport {

struct HostPort {
  std::string host;
  uint16_t port = 0;

  /// "vpn.example.net:51820". Nothing: no such form, port 0, or a literal address (which is an
  /// Endpoint and needs no looking up).
  static std::optional<HostPort> parse_name(std::string_view text);
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

}  // namespace sallyport
