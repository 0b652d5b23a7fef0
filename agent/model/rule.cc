// SPDX-License-Identifier: BSD-3-Clause
#include "agent/model/rule.h"

#include <array>
#include <charconv>
#include <utility>

namespace sallyport {
namespace {

constexpr std::array<std::pair<std::string_view, IpProto>, 8> kNames{{
    {"icmp", IpProto::kIcmp},
    {"tcp", IpProto::kTcp},
    {"udp", IpProto::kUdp},
    {"gre", IpProto::kGre},
    {"esp", IpProto::kEsp},
    {"icmpv6", IpProto::kIcmpV6},
    {"tsmp", IpProto::kTsmp},
    {"sctp", IpProto::kSctp},
}};

}  // namespace

std::string name_of(IpProto proto) {
  for (const auto& [name, value] : kNames) {
    if (value == proto) return std::string(name);
  }
  return std::to_string(static_cast<unsigned>(proto));
}

std::optional<IpProto> parse_proto(std::string_view text) {
  for (const auto& [name, value] : kNames) {
    if (name == text) return value;
  }
  uint8_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return {};
  return static_cast<IpProto>(number);
}

}  // namespace sallyport
