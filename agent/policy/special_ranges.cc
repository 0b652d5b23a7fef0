// SPDX-License-Identifier: BSD-3-Clause
#include "agent/policy/special_ranges.h"

#include <array>
#include <string_view>
#include <utility>

namespace sallyport {
namespace {

constexpr std::array<std::string_view, 14> kNotInternet{
    "0.0.0.0/8",      "10.0.0.0/8",  "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
    "172.16.0.0/12",  "224.0.0.0/4", "240.0.0.0/4",   "::/128",      "::1/128",
    "192.168.0.0/16", "fc00::/7",    "fe80::/10",     "ff00::/8"};

template <size_t N>
std::vector<IpRange> ranges_of(const std::array<std::string_view, N>& texts) {
  std::vector<IpRange> out;
  out.reserve(N);
  for (const std::string_view text : texts) out.push_back(*IpRange::parse(text));
  return normalise(std::move(out));
}

}  // namespace

const std::vector<IpRange>& not_internet() {
  static const std::vector<IpRange> ranges = ranges_of(kNotInternet);
  return ranges;
}

IpAddress metadata_address() { return IpAddress::v4(0xa9fea9fe); }

std::vector<IpRange> without_metadata(std::vector<IpRange> ranges) {
  return subtract(std::move(ranges), {{metadata_address(), metadata_address()}});
}

bool is_multicast(const IpAddress& address) {
  if (!address.is_v4()) return address.bytes[0] == 0xff;
  return address.bytes[12] >> 4 == 0xe || address.v4_number() == 0xffffffff;
}

bool is_link_local(const IpAddress& address) {
  if (!address.is_v4()) return address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
  return address.v4_number() >> 16 == 0xa9fe && address != metadata_address();
}

}  // namespace sallyport
