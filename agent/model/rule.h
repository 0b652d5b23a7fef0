// SPDX-License-Identifier: BSD-3-Clause
/// Access rules as values: what may go from where to where, when. Allow rules only; default deny.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/model/ip.h"
#include "agent/model/position.h"

namespace sallyport {

/// Assigned Internet protocol numbers that we treat by name (IANA registry).
enum class IpProto : uint8_t {
  kIcmp = 1,
  kTcp = 6,
  kUdp = 17,
  kGre = 47,
  kEsp = 50,
  kIcmpV6 = 58,
  kTsmp = 99,
  kSctp = 132,
};
/// "tcp", or the number where there is no name.
std::string name_of(IpProto proto);
/// A name ("tcp", "udp", "icmp", "icmpv6", "sctp", "esp", "gre", ...) or a number 0-255.
std::optional<IpProto> parse_proto(std::string_view text);

/// Both ends included, host order.
struct PortRange {
  uint16_t first = 0;
  uint16_t last = 65535;
  friend auto operator<=>(const PortRange&, const PortRange&) = default;
};

/// "Mon-Fri 08:00-18:00 Europe/Berlin": open on these days between these wall-clock times of the
/// zone. A window whose end is not after its start crosses midnight; the day is that of its start.
struct TimeWindow {
  uint8_t days = 0x7f;        // bit 0 = Monday ... bit 6 = Sunday
  uint16_t start_minute = 0;  // of the day
  uint16_t end_minute = 1440;
  std::string zone = "UTC";  // IANA name
  std::string text;          // as it was written
  friend bool operator==(const TimeWindow&, const TimeWindow&) = default;
};

/// One allow rule, names already resolved to addresses.
struct Rule {
  std::string id;
  Position where;
  std::vector<IpRange> from;  // normalised
  std::vector<IpRange> to;    // normalised
  /// Sorted. Empty: TCP, UDP and ICMP of both families.
  std::vector<IpProto> protos;
  /// Sorted, disjoint. Empty: every port. Counts for TCP, UDP and SCTP only.
  std::vector<PortRange> ports;
  /// Empty: always.
  std::vector<TimeWindow> when;
  std::optional<WallTime> not_before;
  std::optional<WallTime> not_after;
  /// Index of the rule's counters in the kernel; stable for an id over policies and restarts.
  /// 1 ... kMaxRules-1; 0 is "no rule".
  uint16_t counter = 0;

  [[nodiscard]] bool has_time() const {
    return !when.empty() || not_before.has_value() || not_after.has_value();
  }
  friend bool operator==(const Rule&, const Rule&) = default;
};

/// A packet as rules see it: what to judge. Ports are 0 where the protocol has none.
struct PacketKey {
  IpAddress src;
  IpAddress dst;
  IpProto proto = IpProto::kTcp;
  uint16_t src_port = 0;
  uint16_t dst_port = 0;
  friend auto operator<=>(const PacketKey&, const PacketKey&) = default;
};

}  // namespace sallyport
