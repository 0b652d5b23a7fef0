// SPDX-License-Identifier: BSD-3-Clause
/// What a configuration must be as a whole, beyond each value alone.
#pragma once

#include "agent/options/bind.h"
#include "agent/options/complaints.h"

namespace sallyport::options {

/// Duplicates, overlaps, groups, times. `complete`: every value could be read; if not, nobody is
/// told that a name is unknown. Names in rules are agent/policy's to resolve.
/// Prefixes: no two peers have the same one, nested ones are allowed (the longer wins, as in
/// WireGuard); no peer's touches a LAN or is an address of ours; no two LANs overlap, and no LAN
/// overlaps the network of node.addresses.
void check(const Draft& draft, Complaints& complaints, bool complete);

/// Replaces `group:NAME` among the members of groups by that group's peers, each peer once and
/// where it was first written. Only for groups that check() found nothing wrong with.
std::map<std::string, std::vector<Name>> flatten(
    const std::map<std::string, std::vector<Name>>& groups);

}  // namespace sallyport::options
