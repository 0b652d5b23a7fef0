// SPDX-License-Identifier: BSD-3-Clause
/// What other people's forward chains do with a packet, as far as its devices tell. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport {

/// The devices that a rule is about; no names: any.
struct DeviceMatch {
  std::vector<std::string> names;  // "eth*" is a pattern
  bool negated = false;            // any device but these
  [[nodiscard]] bool covers(std::string_view device) const;
  friend bool operator==(const DeviceMatch&, const DeviceMatch&) = default;
};

enum class ForwardVerdict : uint8_t { kAccept, kDrop };

/// A rule that ends a packet's way through the chain and looks at its devices only.
struct ForwardRule {
  DeviceMatch in;
  DeviceMatch out;
  ForwardVerdict verdict = ForwardVerdict::kDrop;
  friend bool operator==(const ForwardRule&, const ForwardRule&) = default;
};

/// A base chain on hook forward that may drop what we forward. What iptables-legacy holds is not
/// seen here: the kernel keeps it apart from nftables, and only iptables-legacy itself lists it.
struct ForeignForwardChain {
  std::string family;  // "ip", "ip6", "inet"
  std::string table;
  std::string chain;
  bool drops = false;  // its policy
  size_t rules = 0;    // in the chain itself
  /// In the order of the packet's way, jumps followed. Rules that look at more than devices (a
  /// protocol, an address, conntrack's state) are left out: they judge some packets only.
  std::vector<ForwardRule> by_device;

  /// Does it drop what goes from one device to the other, unless a rule about more than devices
  /// lets it pass?
  [[nodiscard]] bool stops(std::string_view in, std::string_view out) const;
  friend bool operator==(const ForeignForwardChain&, const ForeignForwardChain&) = default;
};

/// The base chains on hook forward in libnftables' JSON of a table that have policy drop or rules.
/// An answer that is none: no chains.
std::vector<ForeignForwardChain> parse_forward_chains(const std::string& json);

}  // namespace sallyport
