// SPDX-License-Identifier: BSD-3-Clause
/// What the agent is to do for a netmap: peers with the prefixes that are theirs, our addresses,
/// the rules, the routes that we serve.
/// Source: tailscale net/routemanager, ipn/ipnlocal, wgengine/wgcfg/nmcfg.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/clock.h"
#include "agent/model/join_prefs.h"
#include "agent/model/netmap.h"
#include "agent/model/node_object.h"
#include "agent/model/rule.h"
#include "agent/node/netmap_state.h"

namespace sallyport {

/// What else the plan depends on.
struct PlanFacts {
  /// Networks that the box is connected to: never somebody else's route, never part of the exit.
  std::vector<Prefix> local_networks;
  bool ipv6 = true;  // the kernel has it
  friend bool operator==(const PlanFacts&, const PlanFacts&) = default;
};

struct NetmapPlan {
  std::map<NodeId, TailnetPeer> peers;
  std::vector<Prefix> addresses;  // sorted
  std::vector<Rule> rules;
  std::vector<ServedRoute> routes;  // sorted
  /// Not empty: there is nothing above, or no rule, and why. For `status`.
  std::string refused;
  /// What of the filter was left out and why, for `status`.
  std::vector<std::string> notes;
  friend bool operator==(const NetmapPlan&, const NetmapPlan&) = default;
};

/// What to tell the agent so that it has the new plan: those objects, and no other.
struct PlanDelta {
  std::vector<NodeObject> puts;
  std::vector<ObjectId> deletes;  // go before the puts
  [[nodiscard]] bool empty() const { return puts.empty() && deletes.empty(); }
};

/// - A peer is planned unless it has expired, nothing can reach it (neither disco, DERP nor
///   WireGuard-only), its key is zero, or no prefix is left to it.
/// - Its addresses are its own always; routes only with `accept_routes`, a default route only from
///   the chosen exit node; never what overlaps our own addresses or networks.
/// - Who has the prefix: one who is addressed by it before one who routes it, then the lower id.
/// - A peer that is WireGuard-only has its first endpoint; the others' are path discovery's.
/// - Nobody is let in with `shields_up`, and jailed peers by no rule.
/// - Without a netmap, or if our own node has expired or is not authorised: nothing.
///
/// Costs of a change: of the peers that it names, their rivals for prefixes, and, where the filter
/// or our own node is concerned, of all rules.
class NetmapPlanner {
 public:
  NetmapPlanner(JoinPrefs prefs, PlanFacts facts);

  /// `now`: our wall clock; the netmap's offset is added. `changes`: what differs from the netmap
  /// of the last call (NetmapState::apply). Call also at due().
  PlanDelta update(const Netmap& netmap, const NetmapChanges& changes, WallTime now);
  /// All anew, after other preferences or facts too.
  PlanDelta replan(const Netmap& netmap, WallTime now);
  void set_prefs(JoinPrefs prefs) { prefs_ = std::move(prefs); }
  void set_facts(PlanFacts facts) { facts_ = std::move(facts); }

  [[nodiscard]] const NetmapPlan& plan() const { return plan_; }
  /// By our wall clock: when the next key expires.
  [[nodiscard]] std::optional<WallTime> due() const { return due_; }

 private:
  /// The smallest for a prefix has it.
  struct Claim {
    Prefix prefix;
    bool routed = false;  // else it is the peer's address
    NodeId id{};
    friend auto operator<=>(const Claim&, const Claim&) = default;
  };
  struct Known {
    NodeKey node_key;
    std::vector<Claim> claims;
    std::optional<WallTime> expiry;  // to come
    bool special = false;            // jailed, unsigned, masqueraded: rules depend on it
  };

  void find_self(const Netmap& netmap, WallTime at);
  [[nodiscard]] bool is_usable(const NetmapNode& peer, WallTime at) const;
  [[nodiscard]] std::vector<Claim> claims_of(const NetmapNode& peer) const;
  void learn_keys(const Netmap& netmap, std::set<NodeId>& concerned);
  void learn_claims(const Netmap& netmap, const std::set<NodeId>& concerned, WallTime at,
                    std::set<NodeId>& touched);
  void plan_peers(const Netmap& netmap, const std::set<NodeId>& touched, PlanDelta& delta);
  [[nodiscard]] std::optional<TailnetPeer> planned(const Netmap& netmap, NodeId id) const;
  void plan_addresses(PlanDelta& delta);
  void plan_routes(PlanDelta& delta);
  void plan_rules(const Netmap& netmap, PlanDelta& delta);
  [[nodiscard]] std::vector<IpRange> local(const Netmap& netmap) const;
  [[nodiscard]] std::vector<IpRange> jailed() const;
  void advance(const Netmap& netmap, const NetmapChanges& changes, WallTime at, PlanDelta& delta);
  void find_due(const Netmap& netmap, WallTime at);
  [[nodiscard]] static WallTime server_time(const Netmap& netmap, WallTime now);

  JoinPrefs prefs_;
  PlanFacts facts_;
  NetmapPlan plan_;
  std::optional<WallTime> due_;
  std::string nothing_;               // why no peer is planned at all; empty: they are
  std::vector<Prefix> own_;           // our addresses
  std::vector<IpRange> never_route_;  // own addresses and networks, what we serve; normalised
  NodeKey own_key_;
  std::map<NodeId, Known> known_;
  std::set<std::pair<NodeKey, NodeId>> keys_;
  std::set<Claim> claims_;
  std::set<std::pair<WallTime, NodeId>> expiries_;
  WallTime last_at_ = WallTime::min();
  bool any_jailed_ = false;
};

}  // namespace sallyport
