// SPDX-License-Identifier: BSD-3-Clause
/// What would happen to a new connection, and why: the kernel's own walk through the same tables.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/model/ip.h"
#include "agent/model/position.h"
#include "agent/model/rule.h"
#include "bpf/abi/policy_blob.h"

namespace sallyport {

/// Names for what the tables know by number. Borrowed while explain() runs.
struct PolicyNames {
  struct Peer {
    uint32_t index = 0;
    std::string name;
    std::string user;
  };
  struct Lan {
    std::string name;
    Prefix prefix;
  };
  std::vector<Peer> peers;
  std::vector<Lan> lans;
};

struct ExplainedRule {
  std::string id;
  Position where;
  uint16_t counter = 0;
  friend bool operator==(const ExplainedRule&, const ExplainedRule&) = default;
};
struct Explanation {
  bool allowed = false;
  sp_verdict verdict = SP_DROP_NO_POLICY;
  std::optional<ExplainedRule> rule;
  IpAddress from;
  std::string from_peer;  // empty: none of our peers
  std::string from_user;
  IpAddress to;
  std::string to_peer;
  std::string to_lan;  // the most specific one; empty: none
};

/// Tables as the kernel walks them: the verdict of a new flow's first packet, on the way in if its
/// source is a peer's, else on the way out. What depends on flows, fragments or headers is not
/// asked here. Without allocation.
struct NewFlow {
  sp_verdict verdict = SP_DROP_NO_POLICY;
  uint16_t counter = 0;  // of the rule that allows it
  uint32_t src_peer = 0;
  uint32_t dst_peer = 0;
  friend bool operator==(const NewFlow&, const NewFlow&) = default;
};
/// `blob`: as compile() made it, or a whole slot of the kernel's. Too short or of another version:
/// no_policy.
NewFlow judge_new_flow(std::span<const uint8_t> blob, const PacketKey& packet);

/// `rules`: those that the tables were made of.
Explanation explain(std::span<const uint8_t> blob, const std::vector<Rule>& rules,
                    const PolicyNames& names, const PacketKey& packet);

}  // namespace sallyport
