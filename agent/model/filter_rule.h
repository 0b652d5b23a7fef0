// SPDX-License-Identifier: BSD-3-Clause
/// A control server's packet filter as it is written. node/packet_filter makes rules of it.
/// Source: tailscale tailcfg FilterRule, NetPortRange, CapGrant.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/ip.h"
#include "agent/model/raw_json.h"
#include "agent/model/rule.h"

namespace sallyport {

struct NetPortRange {
  std::string ip;               // an address, a prefix, a range "a-b", or "*"
  std::optional<int32_t> bits;  // of 2020; nobody may send it any more
  PortRange ports{0, 0};
  friend bool operator==(const NetPortRange&, const NetPortRange&) = default;
};

/// Gives the sources of its rule capabilities at `dsts`; lets no packet through.
struct CapGrant {
  std::vector<Prefix> dsts;
  std::vector<std::string> caps;
  CapMap cap_map;
  friend bool operator==(const CapGrant&, const CapGrant&) = default;
};

struct FilterRule {
  std::vector<std::string> src_ips;  // as NetPortRange::ip, or "cap:NAME"
  std::vector<int32_t> src_bits;     // of 2020; nobody may send it any more
  std::vector<NetPortRange> dst_ports;
  std::vector<int32_t> ip_proto;  // empty: TCP, UDP and ICMP of both families
  std::vector<CapGrant> cap_grants;
  friend bool operator==(const FilterRule&, const FilterRule&) = default;
};

}  // namespace sallyport
