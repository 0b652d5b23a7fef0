// SPDX-License-Identifier: BSD-3-Clause
/// Tables of bpf/abi/policy_blob.h written by hand, so that a test of the programs says itself what
/// each packet meets.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/model/ip.h"
#include "bpf/abi/policy_blob.h"

namespace sallyport::test {

/// Address sets and what one may send another. Class 0 is everything not named.
class PolicyBuilder {
 public:
  PolicyBuilder();
  /// All addresses of `range` (text: prefix, range or address) belong to that peer and that class.
  PolicyBuilder& addresses(std::string_view range, uint32_t peer, uint16_t address_class);
  /// proto 0: every protocol, all ports. Else ports first to last of TCP, UDP or SCTP, or the whole
  /// protocol. Rules of one pair must not overlap.
  PolicyBuilder& allow(uint16_t src, uint16_t dst, uint8_t proto, uint16_t first, uint16_t last,
                       uint16_t rule);
  /// What is said where no rule matches. Default: SP_DROP_NO_RULE.
  PolicyBuilder& reason(uint16_t src, uint16_t dst, sp_verdict reason);
  [[nodiscard]] std::vector<uint8_t> blob() const;

 private:
  struct Row {
    uint16_t any_rule = 0;
    uint16_t deny_reason = SP_DROP_NO_RULE;
    std::vector<sp_policy_entry> entries[4];  // TCP, UDP, SCTP, other
  };
  std::map<IpAddress, sp_policy_address> starts_;
  std::map<std::pair<uint16_t, uint16_t>, Row> rows_;
  uint16_t classes_ = 1;
};

}  // namespace sallyport::test
