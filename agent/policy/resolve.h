// SPDX-License-Identifier: BSD-3-Clause
/// Rules of config.yaml, written in names, become rules over addresses.
#pragma once

#include <vector>

#include "agent/base/result.h"
#include "agent/model/config.h"
#include "agent/model/position.h"
#include "agent/model/rule.h"
#include "bpf/abi/settings.h"

namespace sallyport {

/// The box's own packets may go out to its peers: always the last rule, no ceiling bounds it (it is
/// no rule of a control server's), and no rule in a file can have its id.
constexpr uint16_t kOwnRuleCounter = 1;
constexpr const char* kOwnRuleId = "own";

/// What the configuration does not say about the box it is on.
struct Surroundings {
  /// All addresses of the box, the WireGuard device's too; only the addresses count, not the
  /// lengths.
  std::vector<Prefix> own_addresses;
  /// Of the devices that are WAN: the provider's routers are in them.
  std::vector<Prefix> wan_prefixes;
  friend bool operator==(const Surroundings&, const Surroundings&) = default;
};

struct ResolvedPolicy {
  std::vector<Rule> rules;  // file order, our own rule last; counters are not assigned but to that
  std::optional<std::vector<Rule>> ceiling;
  std::vector<IpRange> own;         // `self`, normalised
  std::vector<IpRange> exit_reach;  // what `exit` stands for; empty: no exit
  std::vector<IpRange> exit_local;  // private ranges, own and WAN addresses: never through the exit
};

/// Words:
///   NAME        a peer: the addresses it owns (see ownership.h); or a LAN: its prefix
///   group:NAME  its peers
///   lan         all LANs
///   self        all addresses of the box
///   exit        in `to`: the internet. Everything but private and other special ranges, own
///               addresses, LANs, peers and the WAN's own prefixes, in the families that exit
///               serves
///   *           in `from`: every address. In `to`: lan, all peers, self and, if configured, exit
///   else        an address, a prefix, a range
/// 169.254.169.254 is in a `to` only if it is named itself. All complaints are returned at once.
Result<ResolvedPolicy, std::vector<InputError>> resolve(const Config& config,
                                                        const Surroundings& surroundings);

}  // namespace sallyport
