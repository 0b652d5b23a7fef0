// SPDX-License-Identifier: BSD-3-Clause
/// IP addresses, prefixes and ranges of both families.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport {

/// An IPv4 or IPv6 address as 16 bytes in network order; IPv4 is ::ffff:a.b.c.d (RFC 4291 2.5.5.2),
/// so an IPv6 address of that form does not exist here and a packet that carries one is dropped.
/// The order is that of the bytes: all of IPv4 is one interval.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};

  /// From a number in host order: 0x0a000001 is 10.0.0.1.
  static IpAddress v4(uint32_t host_order);
  static IpAddress v6(std::span<const uint8_t, 16> network_order);
  /// "10.0.0.1", "fd00::1". No zone, no brackets, no IPv4-mapped IPv6.
  static std::optional<IpAddress> parse(std::string_view text);

  [[nodiscard]] bool is_v4() const;
  /// Host order; only for is_v4().
  [[nodiscard]] uint32_t v4_number() const;
  /// 32 or 128.
  [[nodiscard]] unsigned bits() const { return is_v4() ? 32 : 128; }
  [[nodiscard]] std::string text() const;
  /// The neighbour; nothing past the end of the family's space. IPv6 steps over the mapped block.
  [[nodiscard]] std::optional<IpAddress> next() const;
  [[nodiscard]] std::optional<IpAddress> previous() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

/// All addresses from first to last, both included, of one family.
struct IpRange {
  IpAddress first;
  IpAddress last;

  /// "10.0.0.1-10.0.0.9", a prefix, or an address.
  static std::optional<IpRange> parse(std::string_view text);
  /// Of one family only: ::/0 has the IPv4 interval inside its order, but none of its addresses.
  [[nodiscard]] bool contains(const IpAddress& a) const {
    return first <= a && a <= last && first.is_v4() == a.is_v4();
  }
  [[nodiscard]] bool overlaps(const IpRange& o) const {
    return first <= o.last && o.first <= last && first.is_v4() == o.first.is_v4();
  }
  [[nodiscard]] std::string text() const;
  friend auto operator<=>(const IpRange&, const IpRange&) = default;
};

/// An address and how many of its leading bits count (0-32, 0-128).
struct Prefix {
  IpAddress address;
  uint8_t length = 0;

  /// A lone address is its own /32 or /128. Host bits may be set: see has_host_bits().
  static std::optional<Prefix> parse(std::string_view text);
  static Prefix host(const IpAddress& address);

  /// The prefix with its host bits cleared.
  [[nodiscard]] Prefix masked() const;
  [[nodiscard]] bool has_host_bits() const { return masked() != *this; }
  /// One that would end inside the mapped block (::/80 is such) ends before it.
  [[nodiscard]] IpRange range() const;
  [[nodiscard]] bool contains(const IpAddress& a) const { return range().contains(a); }
  [[nodiscard]] bool overlaps(const Prefix& o) const { return range().overlaps(o.range()); }
  [[nodiscard]] std::string text() const;
  friend auto operator<=>(const Prefix&, const Prefix&) = default;
};

/// The whole space of a family.
IpRange all_v4();
IpRange all_v6();

/// Sorted, disjoint and not adjacent: the one form in which address sets are compared.
std::vector<IpRange> normalise(std::vector<IpRange> ranges);
/// a without b; both are normalised first, and so is the answer.
std::vector<IpRange> subtract(std::vector<IpRange> a, std::vector<IpRange> b);
/// Is the address in one of the (normalised) ranges?
bool contains(const std::vector<IpRange>& normalised, const IpAddress& address);

}  // namespace sallyport
