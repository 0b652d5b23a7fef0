// SPDX-License-Identifier: BSD-3-Clause
#include "agent/model/host_port.h"

#include <algorithm>
#include <charconv>

#include "agent/model/endpoint.h"

namespace sallyport {

std::optional<HostPort> HostPort::parse_name(std::string_view text) {
  constexpr size_t kMaxHost = 253;  // RFC 1035 2.3.4 in its written form
  if (Endpoint::parse(text)) return std::nullopt;
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon > kMaxHost) return std::nullopt;
  const std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  if (!std::ranges::all_of(host, good)) return std::nullopt;
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size() || port == 0)
    return std::nullopt;
  return HostPort{std::string(host), port};
}

}  // namespace sallyport
