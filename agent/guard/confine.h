// SPDX-License-Identifier: BSD-3-Clause
/// The rules of a netmap, held to its own peers: they judge tailnet peers and open nothing for, or
/// towards, the peers of config.yaml.
#pragma once

#include <vector>

#include "agent/model/config.h"
#include "agent/model/node_state.h"
#include "agent/model/rule.h"

namespace sallyport {

/// Ranges of all confined rules together: "*" becomes one range a peer, in each rule.
constexpr size_t kMaxConfinedRanges = 1U << 20;

/// The rules in order, `from` cut down to the addresses of tailnet peers and `to` by those of
/// configured peers; a rule of which nothing is left is left out. Counters are not assigned. What
/// comes out goes into PolicyInput.rules, where the ceiling bounds it further.
std::vector<Rule> confined_rules(const NodeState& state, const Config& config);

/// Will confined_rules() stay below kMaxConfinedRanges? Counted without making them.
bool confined_size_fits(const NodeState& state);

}  // namespace sallyport
