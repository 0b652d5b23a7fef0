// SPDX-License-Identifier: BSD-3-Clause
/// A UDP address and port.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/model/ip.h"

namespace sallyport {

/// Always UDP. Port in host order.
struct Endpoint {
  IpAddress address;
  uint16_t port = 0;

  /// "192.0.2.1:51820" or "[2001:db8::1]:51820".
  static std::optional<Endpoint> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

}  // namespace sallyport
