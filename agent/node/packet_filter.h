// SPDX-License-Identifier: BSD-3-Clause
/// The control server's packet filter becomes rules over addresses.
///
/// Where it differs from ours, the meaning is the reference's: a filter that still speaks the
/// language of 2020, or lets in a peer whose key nobody signed, is no filter at all; an entry that
/// cannot be read is left out and the rest stands; "cap:NAME" is the addresses of the peers that
/// have the capability, and such a source may ping everything here that is ours.
/// Source: tailscale wgengine/filter, ipn/ipnlocal (filter update).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/model/netmap.h"
#include "agent/model/rule.h"

namespace sallyport {

/// Rules that the kernel's tables have room for, less ours.
constexpr size_t kMaxPlannedRules = 8190;
/// Complaints kept: enough to see what is wrong.
constexpr size_t kMaxFilterNotes = 16;

struct PlannedFilter {
  /// In the order of the filter, normalised, within the bounds of one object of the agent channel;
  /// ids "CHUNK:N" count from 1. A rule too large for one object is several of the same id.
  std::vector<Rule> rules;
  /// Not empty: no rule is in force, and why.
  std::string refused;
  /// "base:3: \"10.0.0.1/8\" is no source": left out.
  std::vector<std::string> notes;
  friend bool operator==(const PlannedFilter&, const PlannedFilter&) = default;
};

/// `local`: what may be a destination at all, our addresses and the routes that we serve.
/// `jailed`: the addresses of peers that no rule lets in. Both normalised.
PlannedFilter plan_filter(const Netmap& netmap, const std::vector<IpRange>& local,
                          const std::vector<IpRange>& jailed);

/// Does a rule of the filter look at what peers are capable of?
bool filter_asks_for_caps(const Netmap& netmap);

}  // namespace sallyport
