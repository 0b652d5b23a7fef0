// SPDX-License-Identifier: BSD-3-Clause
/// What the bounds of a victim say of a state, by reason alone.
#pragma once

#include <vector>

#include "agent/guard/bounds.h"
#include "tests/support/hostile_node.h"

namespace sallyport {

inline std::vector<Refusal> refusals(const Victim& victim, const NodeState& state) {
  std::vector<Refusal> out;
  for (const Refused& refused :
       check_bounds(state, victim.config, BoundsFacts{victim.own_key, victim.devices}))
    out.push_back(refused.reason);
  return out;
}

}  // namespace sallyport
