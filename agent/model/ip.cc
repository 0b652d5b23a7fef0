// SPDX-License-Identifier: BSD-3-Clause
#include "agent/model/ip.h"

#include <arpa/inet.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

namespace sallyport {
namespace {

constexpr std::array<uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// Bytes 8 to 11 of kMapped as they lie in memory.
constexpr auto kMappedMiddle = std::bit_cast<uint32_t>(std::array<uint8_t, 4>{0, 0, 0xff, 0xff});

// The IPv6 neighbours of the block that stands for IPv4.
constexpr IpAddress kBeforeMapped{
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff}};
constexpr IpAddress kBehindMapped{{0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

IpAddress with_tail(const Prefix& prefix, uint8_t fill) {
  IpAddress out = prefix.address;
  const unsigned skip = (prefix.address.is_v4() ? 96U : 0U) + prefix.length;
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned first_bit = i * 8;
    if (first_bit + 8 <= skip) continue;
    const unsigned keep = first_bit >= skip ? 0 : skip - first_bit;
    const auto mask = static_cast<uint8_t>(0xff >> keep);
    out.bytes[i] = static_cast<uint8_t>((out.bytes[i] & ~mask) | (fill & mask));
  }
  return out;
}

}  // namespace

IpAddress IpAddress::v4(uint32_t host_order) {
  IpAddress out;
  std::ranges::copy(kMapped, out.bytes.begin());
  for (unsigned i = 0; i < 4; ++i) {
    out.bytes[12 + i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
  }
  return out;
}

IpAddress IpAddress::v6(std::span<const uint8_t, 16> network_order) {
  IpAddress out;
  std::ranges::copy(network_order, out.bytes.begin());
  return out;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN) return {};
  const std::string terminated(text);
  in_addr four{};
  if (inet_pton(AF_INET, terminated.c_str(), &four) == 1) return v4(ntohl(four.s_addr));
  in6_addr six{};
  if (inet_pton(AF_INET6, terminated.c_str(), &six) != 1) return {};
  const IpAddress out = v6(std::span<const uint8_t, 16>(six.s6_addr));
  if (out.is_v4()) return {};
  return out;
}

bool IpAddress::is_v4() const {
  uint64_t high = 0;
  uint32_t middle = 0;
  std::memcpy(&high, bytes.data(), sizeof(high));
  std::memcpy(&middle, &bytes[8], sizeof(middle));
  return high == 0 && middle == kMappedMiddle;
}

uint32_t IpAddress::v4_number() const {
  return (uint32_t{bytes[12]} << 24) | (uint32_t{bytes[13]} << 16) | (uint32_t{bytes[14]} << 8) |
         bytes[15];
}

std::string IpAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> out{};
  if (is_v4()) {
    inet_ntop(AF_INET, &bytes[12], out.data(), out.size());
  } else {
    inet_ntop(AF_INET6, bytes.data(), out.data(), out.size());
  }
  return out.data();
}

std::optional<IpAddress> IpAddress::next() const {
  if (*this == (is_v4() ? all_v4() : all_v6()).last) return {};
  IpAddress out = *this;
  for (size_t i = 16; i-- > 0;) {
    if (++out.bytes[i] != 0) break;
  }
  return !is_v4() && out.is_v4() ? kBehindMapped : out;
}

std::optional<IpAddress> IpAddress::previous() const {
  if (*this == (is_v4() ? all_v4() : all_v6()).first) return {};
  IpAddress out = *this;
  for (size_t i = 16; i-- > 0;) {
    if (out.bytes[i]-- != 0) break;
  }
  return !is_v4() && out.is_v4() ? kBeforeMapped : out;
}

std::optional<IpRange> IpRange::parse(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) {
    const auto prefix = Prefix::parse(text);
    if (!prefix || prefix->has_host_bits()) return {};
    return prefix->range();
  }
  const auto first = IpAddress::parse(text.substr(0, dash));
  const auto last = IpAddress::parse(text.substr(dash + 1));
  if (!first || !last || first->is_v4() != last->is_v4() || *last < *first) return {};
  return IpRange{*first, *last};
}

std::string IpRange::text() const {
  if (first == last) return first.text();
  for (unsigned length = 0; length <= first.bits(); ++length) {
    const Prefix prefix{first, static_cast<uint8_t>(length)};
    if (!prefix.has_host_bits() && prefix.range() == *this) return prefix.text();
  }
  return first.text() + "-" + last.text();
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return {};
  if (slash == std::string_view::npos) return host(*address);
  const std::string_view digits = text.substr(slash + 1);
  unsigned length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc{} || end != digits.data() + digits.size() || length > address->bits()) {
    return {};
  }
  if (digits.size() > 1 && digits.front() == '0') return {};
  return Prefix{*address, static_cast<uint8_t>(length)};
}

Prefix Prefix::host(const IpAddress& address) {
  return {address, static_cast<uint8_t>(address.bits())};
}

Prefix Prefix::masked() const { return {with_tail(*this, 0), length}; }

IpRange Prefix::range() const {
  const IpAddress last = with_tail(*this, 0xff);
  return {with_tail(*this, 0), !address.is_v4() && last.is_v4() ? kBeforeMapped : last};
}

std::string Prefix::text() const { return address.text() + "/" + std::to_string(length); }

IpRange all_v4() { return {IpAddress::v4(0), IpAddress::v4(0xffffffff)}; }

IpRange all_v6() {
  IpAddress last;
  last.bytes.fill(0xff);
  return {IpAddress{}, last};
}

std::vector<IpRange> normalise(std::vector<IpRange> ranges) {
  // By family first: the IPv4 interval lies inside IPv6's order and must not be swallowed by ::/0.
  std::ranges::sort(ranges, [](const IpRange& a, const IpRange& b) {
    if (a.first.is_v4() != b.first.is_v4()) return a.first.is_v4();
    return a < b;
  });
  std::vector<IpRange> out;
  for (const IpRange& range : ranges) {
    if (!out.empty() && out.back().first.is_v4() == range.first.is_v4()) {
      const auto after = out.back().last.next();
      if (!after || range.first <= *after) {
        out.back().last = std::max(out.back().last, range.last);
        continue;
      }
    }
    out.push_back(range);
  }
  return out;
}

std::vector<IpRange> subtract(std::vector<IpRange> a, std::vector<IpRange> b) {
  std::vector<IpRange> out;
  const std::vector<IpRange> holes = normalise(std::move(b));
  for (IpRange left : normalise(std::move(a))) {
    bool gone = false;
    for (const IpRange& hole : holes) {
      if (hole.first.is_v4() != left.first.is_v4() || !hole.overlaps(left)) continue;
      if (left.first < hole.first) out.push_back({left.first, *hole.first.previous()});
      if (hole.last >= left.last) {
        gone = true;
        break;
      }
      left.first = *hole.last.next();
    }
    if (!gone) out.push_back(left);
  }
  return out;
}

bool contains(const std::vector<IpRange>& normalised, const IpAddress& address) {
  const bool is_v4 = address.is_v4();
  return std::ranges::any_of(normalised, [&](const IpRange& range) {
    return range.first.is_v4() == is_v4 && range.contains(address);
  });
}

}  // namespace sallyport
