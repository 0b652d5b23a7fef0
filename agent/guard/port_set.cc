// SPDX-License-Identifier: BSD-3-Clause
#include "agent/guard/port_set.h"

#include <bitset>
#include <charconv>
#include <memory>
#include <optional>

namespace sallyport {
namespace {

constexpr size_t kPorts = 65536;
using PortSet = std::bitset<kPorts>;

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

std::unique_ptr<PortSet> parse_set(std::string_view text) {
  auto set = std::make_unique<PortSet>();
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
    const size_t dash = item.find('-');
    const auto first = parse_port(item.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_port(item.substr(dash + 1));
    if (!first || !last) return std::make_unique<PortSet>();
    for (size_t port = *first; port <= *last; ++port) set->set(port);
  }
  return set;
}

std::string write_set(const PortSet& set) {
  std::string out;
  for (size_t port = 0; port < kPorts; ++port) {
    if (!set[port]) continue;
    size_t last = port;
    while (last + 1 < kPorts && set[last + 1]) ++last;
    if (!out.empty()) out += ',';
    out += std::to_string(port);
    if (last != port) out += '-' + std::to_string(last);
    port = last;
  }
  return out;
}

}  // namespace

std::string with_port(std::string_view set, uint16_t port) {
  const auto ports = parse_set(set);
  ports->set(port);
  return write_set(*ports);
}

std::string without_port(std::string_view set, uint16_t port) {
  const auto ports = parse_set(set);
  ports->reset(port);
  return write_set(*ports);
}

bool has_port(std::string_view set, uint16_t port) { return (*parse_set(set))[port]; }

}  // namespace sallyport
