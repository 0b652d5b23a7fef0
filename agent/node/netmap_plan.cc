// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/netmap_plan.h"

#include <algorithm>
#include <utility>

#include "agent/base/text.h"
#include "agent/node/packet_filter.h"
#include "agent/policy/ownership.h"
#include "agent/policy/special_ranges.h"
#include "agent/wire/agent_channel.h"

namespace sallyport {
namespace {

/// Of a stranger, for the agent: no control characters, and not too long.
std::string shown(std::string_view text) {
  std::string out = printable(text);
  if (out.size() <= channel::kMaxText) return out;
  size_t end = channel::kMaxText;
  while (end > 0 && (static_cast<uint8_t>(out[end]) & 0xc0) == 0x80) --end;  // whole characters
  out.resize(end);
  return out;
}

std::string name_of(const NetmapNode& node) {
  std::string_view name = node.name;
  if (name.ends_with('.')) name.remove_suffix(1);
  return shown(name);
}

bool is_single(const Prefix& prefix) { return prefix.length == prefix.address.bits(); }

/// Source: tailscale net/tsaddr; 100.115.92.0/23 is ChromeOS's.
bool is_tailnet_address(const IpAddress& address) {
  static const std::vector<IpRange> kRanges = subtract(
      {Prefix::parse("100.64.0.0/10")->range(), Prefix::parse("fd7a:115c:a1e0::/48")->range()},
      {Prefix::parse("100.115.92.0/23")->range()});
  return contains(kRanges, address);
}

bool overlaps(const std::vector<IpRange>& normalised, const IpRange& range) {
  return std::ranges::any_of(normalised, [&](const IpRange& r) { return r.overlaps(range); });
}

bool has_expired(const NetmapNode& node, WallTime at) {
  return node.expired || (node.key_expiry && *node.key_expiry <= at);
}

/// No offset between two clocks is more than a credible one may be wrong.
constexpr Duration kFarAway = std::chrono::hours(24 * 365 * 50);
/// What an offset, which each frame tells anew, may take back.
constexpr Duration kClockJitter = std::chrono::minutes(1);

bool is_jailed_peer(const NodeObject& object) {
  const auto* peer = std::get_if<TailnetPeer>(&object);
  return peer != nullptr && peer->jailed;
}

bool is_special(const NetmapNode& peer) {
  return peer.jailed || peer.unsigned_peerapi_only || peer.masquerade_v4 || peer.masquerade_v6;
}

}  // namespace

NetmapPlanner::NetmapPlanner(JoinPrefs prefs, PlanFacts facts)
    : prefs_(std::move(prefs)), facts_(std::move(facts)) {}

void NetmapPlanner::find_self(const Netmap& netmap, WallTime at) {
  nothing_.clear();
  own_.clear();
  never_route_.clear();
  own_key_ = {};
  if (!netmap.self) {
    nothing_ = "no netmap yet";
    return;
  }
  const NetmapNode& self = *netmap.self;
  if (!self.machine_authorized) nothing_ = "an admin has to authorise this machine first";
  if (has_expired(self, at)) nothing_ = "our own key has expired: log in again";
  own_key_ = self.node_key;
  for (const Prefix& address : self.addresses) {
    if (is_single(address) && (facts_.ipv6 || address.address.is_v4())) own_.push_back(address);
  }
  std::ranges::sort(own_);
  const auto twice = std::ranges::unique(own_);
  own_.erase(twice.begin(), twice.end());

  for (const auto* prefixes : {&own_, &facts_.local_networks, &prefs_.advertise_routes}) {
    for (const Prefix& prefix : *prefixes) {
      if (prefix.length > 0) never_route_.push_back(prefix.range());
    }
  }
  never_route_ = normalise(std::move(never_route_));
}

bool NetmapPlanner::is_usable(const NetmapNode& peer, WallTime at) const {
  if (!nothing_.empty() || has_expired(peer, at)) return false;
  if (peer.node_key.is_zero() || peer.node_key == own_key_) return false;
  if (!peer.wireguard_only && peer.disco_key.is_zero() && peer.home_derp == 0) return false;
  // Of several with one key the first is the one.
  const auto first = keys_.lower_bound({peer.node_key, NodeId{}});
  return first != keys_.end() && *first == std::pair{peer.node_key, peer.id};
}

std::vector<NetmapPlanner::Claim> NetmapPlanner::claims_of(const NetmapNode& peer) const {
  std::vector<Claim> claims;
  for (const Prefix& asked : peer.allowed_ips.value_or(peer.addresses)) {
    const Prefix prefix = asked.masked();
    if (!facts_.ipv6 && !prefix.address.is_v4()) continue;
    const bool own = (is_single(prefix) && is_tailnet_address(prefix.address)) ||
                     std::ranges::find(peer.addresses, asked) != peer.addresses.end();
    if (prefix.length == 0) {
      if (!prefs_.exit_node.empty() && peer.stable_id == prefs_.exit_node)
        claims.push_back({prefix, true, peer.id});
      continue;
    }
    if (!own && !prefs_.accept_routes) continue;
    if (overlaps(never_route_, prefix.range())) continue;
    claims.push_back({prefix, !own, peer.id});
  }
  std::ranges::sort(claims);
  const auto twice = std::ranges::unique(claims, {}, &Claim::prefix);
  claims.erase(twice.begin(), twice.end());
  return claims;
}

/// Puts right whose keys the concerned peers have; whoever shares one is concerned too.
void NetmapPlanner::learn_keys(const Netmap& netmap, std::set<NodeId>& concerned) {
  const auto meet = [&](const NodeKey& key) {
    for (auto at = keys_.lower_bound({key, NodeId{}}); at != keys_.end() && at->first == key; ++at)
      concerned.insert(at->second);
  };
  const std::vector<NodeId> named(concerned.begin(), concerned.end());
  for (const NodeId id : named) {
    if (const auto before = known_.find(id); before != known_.end()) {
      keys_.erase({before->second.node_key, id});
      meet(before->second.node_key);
    }
    if (const auto peer = netmap.peers.find(id); peer != netmap.peers.end()) {
      keys_.insert({peer->second.node_key, id});
      meet(peer->second.node_key);
    }
  }
}

/// Puts right what the concerned peers claim. Touched is who may have won or lost something.
void NetmapPlanner::learn_claims(const Netmap& netmap, const std::set<NodeId>& concerned,
                                 WallTime at, std::set<NodeId>& touched) {
  const auto meet_owner = [&](const Prefix& prefix) {
    const auto first = claims_.lower_bound(Claim{prefix, false, NodeId{}});
    if (first != claims_.end() && first->prefix == prefix) touched.insert(first->id);
  };
  for (const NodeId id : concerned) {
    touched.insert(id);
    Known& known = known_[id];
    for (const Claim& claim : known.claims) claims_.erase(claim);
    for (const Claim& claim : known.claims) meet_owner(claim.prefix);
    if (known.expiry) expiries_.erase({*known.expiry, id});
    const auto peer = netmap.peers.find(id);
    if (peer == netmap.peers.end()) {
      known_.erase(id);
      continue;
    }
    const NetmapNode& node = peer->second;
    known.node_key = node.node_key;
    known.special = is_special(node);
    known.expiry = has_expired(node, at) ? std::nullopt : node.key_expiry;
    if (known.expiry) expiries_.insert({*known.expiry, id});
    known.claims = is_usable(node, at) ? claims_of(node) : std::vector<Claim>{};
    for (const Claim& claim : known.claims) meet_owner(claim.prefix);
    claims_.insert(known.claims.begin(), known.claims.end());
  }
}

std::optional<TailnetPeer> NetmapPlanner::planned(const Netmap& netmap, NodeId id) const {
  const auto known = known_.find(id);
  const auto node = netmap.peers.find(id);
  if (known == known_.end() || node == netmap.peers.end()) return {};
  const NetmapNode& from = node->second;
  TailnetPeer peer;
  for (const Claim& claim : known->second.claims) {
    const auto owner = claims_.lower_bound(Claim{claim.prefix, false, NodeId{}});
    if (owner->id == id) peer.allowed_ips.push_back(claim.prefix);
  }
  if (peer.allowed_ips.empty()) return {};
  if (peer.allowed_ips.size() > channel::kMaxAllowedIps)
    peer.allowed_ips.resize(channel::kMaxAllowedIps);
  peer.node_key = from.node_key;
  peer.name = name_of(from);
  const auto user = netmap.users.find(from.sharer != UserId{} ? from.sharer : from.user);
  if (user != netmap.users.end()) peer.user = shown(user->second.login_name);
  peer.jailed = from.jailed;
  peer.wireguard_only = from.wireguard_only;
  if (from.masquerade_v4 && from.masquerade_v4->is_v4()) peer.masquerade_v4 = from.masquerade_v4;
  if (facts_.ipv6 && from.masquerade_v6 && !from.masquerade_v6->is_v4())
    peer.masquerade_v6 = from.masquerade_v6;
  if (from.wireguard_only) {
    const auto ours = [&](const Endpoint& e) { return facts_.ipv6 || e.address.is_v4(); };
    const auto endpoint = std::ranges::find_if(from.endpoints, ours);
    if (endpoint != from.endpoints.end()) peer.endpoint = *endpoint;
  }
  return peer;
}

void NetmapPlanner::plan_peers(const Netmap& netmap, const std::set<NodeId>& touched,
                               PlanDelta& delta) {
  std::set<NodeKey> gone;
  for (const NodeId id : touched) {
    const auto have = plan_.peers.find(id);
    auto peer = planned(netmap, id);
    if (have != plan_.peers.end()) {
      if (peer == have->second) continue;
      if (!peer || peer->node_key != have->second.node_key) gone.insert(have->second.node_key);
    }
    if (peer) {
      delta.puts.push_back(*peer);
      plan_.peers.insert_or_assign(id, std::move(*peer));
    } else {
      plan_.peers.erase(id);
    }
  }
  for (const NodeObject& put : delta.puts) {
    if (const auto* peer = std::get_if<TailnetPeer>(&put)) gone.erase(peer->node_key);
  }
  for (const NodeKey& key : gone) delta.deletes.push_back({ObjectKind::kPeer, key, {}, 0});
}

void NetmapPlanner::plan_addresses(PlanDelta& delta) {
  const std::vector<Prefix> wanted = nothing_.empty() ? own_ : std::vector<Prefix>{};
  for (const Prefix& address : plan_.addresses) {
    if (!std::ranges::binary_search(wanted, address))
      delta.deletes.push_back({ObjectKind::kAddress, {}, address, 0});
  }
  for (const Prefix& address : wanted) {
    if (!std::ranges::binary_search(plan_.addresses, address))
      delta.puts.push_back(OwnAddress{address});
  }
  plan_.addresses = wanted;
}

void NetmapPlanner::plan_routes(PlanDelta& delta) {
  std::vector<ServedRoute> wanted;
  if (nothing_.empty()) {
    for (const Prefix& prefix : prefs_.advertise_routes) {
      if (!facts_.ipv6 && !prefix.address.is_v4()) continue;
      const auto snat = prefs_.snat.find(prefix);
      wanted.push_back({prefix.masked(), snat == prefs_.snat.end() || snat->second});
    }
  }
  std::ranges::sort(wanted);
  const auto twice = std::ranges::unique(wanted, {}, &ServedRoute::prefix);
  wanted.erase(twice.begin(), twice.end());
  for (const ServedRoute& route : plan_.routes) {
    if (std::ranges::find(wanted, route.prefix, &ServedRoute::prefix) == wanted.end())
      delta.deletes.push_back({ObjectKind::kRoute, {}, route.prefix, 0});
  }
  for (const ServedRoute& route : wanted) {
    if (std::ranges::find(plan_.routes, route) == plan_.routes.end()) delta.puts.push_back(route);
  }
  plan_.routes = std::move(wanted);
}

/// What may be a destination of the tailnet's packets: our addresses, what others call us, and what
/// we serve. The exit is the internet, less the networks that we are in.
std::vector<IpRange> NetmapPlanner::local(const Netmap& netmap) const {
  std::vector<IpRange> ranges;
  ranges.reserve(own_.size());
  for (const Prefix& address : own_) ranges.push_back(address.range());
  for (const auto& [id, peer] : netmap.peers) {
    for (const auto& address : {peer.masquerade_v4, peer.masquerade_v6}) {
      if (address) ranges.push_back({*address, *address});
    }
  }
  std::vector<IpRange> exit;
  for (const ServedRoute& route : plan_.routes) {
    (route.prefix.length == 0 ? exit : ranges).push_back(route.prefix.range());
  }
  if (!exit.empty()) {
    std::vector<IpRange> inside = not_internet();
    for (const Prefix& prefix : facts_.local_networks) {
      if (prefix.length > 0) inside.push_back(prefix.range());
    }
    exit = subtract(std::move(exit), std::move(inside));
    ranges.insert(ranges.end(), exit.begin(), exit.end());
  }
  return normalise(std::move(ranges));
}

/// What jailed peers may send from. A smaller prefix of a free peer inside is not theirs.
std::vector<IpRange> NetmapPlanner::jailed() const {
  constexpr uint32_t kJailed = 1;
  constexpr uint32_t kFree = 2;
  const auto is_jailed = [](const auto& peer) { return peer.second.jailed; };
  if (std::ranges::none_of(plan_.peers, is_jailed)) return {};
  std::vector<PeerAddresses> peers;
  peers.reserve(plan_.peers.size());
  for (const auto& [id, peer] : plan_.peers)
    peers.push_back({peer.jailed ? kJailed : kFree, peer.allowed_ips});
  return ranges_of(owned_ranges(peers, {}), kJailed);
}

void NetmapPlanner::plan_rules(const Netmap& netmap, PlanDelta& delta) {
  PlannedFilter filter;
  const std::vector<IpRange> cell = jailed();
  any_jailed_ = !cell.empty();
  if (nothing_.empty() && !prefs_.shields_up) filter = plan_filter(netmap, local(netmap), cell);
  plan_.refused = nothing_.empty() ? filter.refused : nothing_;
  plan_.notes = std::move(filter.notes);
  for (size_t i = 0; i < filter.rules.size(); ++i) {
    if (i < plan_.rules.size() && plan_.rules[i] == filter.rules[i]) continue;
    delta.puts.push_back(NodeRule{static_cast<uint16_t>(i), filter.rules[i]});
  }
  for (size_t i = filter.rules.size(); i < plan_.rules.size(); ++i)
    delta.deletes.push_back({ObjectKind::kRule, {}, {}, static_cast<uint16_t>(i)});
  plan_.rules = std::move(filter.rules);
}

void NetmapPlanner::advance(const Netmap& netmap, const NetmapChanges& changes, WallTime at,
                            PlanDelta& delta) {
  std::set<NodeId> concerned;
  bool rules = changes.filter;
  const bool by_caps = filter_asks_for_caps(netmap);
  for (const auto& [id, aspects] : changes.peers) {
    const unsigned planning = aspects & ~(unsigned{kPeerPresence} | kPeerOther);
    if (planning == 0) continue;
    concerned.insert(id);
    const auto peer = netmap.peers.find(id);
    const auto before = known_.find(id);
    rules = rules || (peer != netmap.peers.end() && is_special(peer->second)) ||
            (before != known_.end() && before->second.special) ||
            (by_caps && planning != kPeerPath);
  }
  while (!expiries_.empty() && expiries_.begin()->first <= at) {
    const NodeId id = expiries_.begin()->second;
    expiries_.erase(expiries_.begin());
    concerned.insert(id);
    known_.at(id).expiry.reset();
  }

  learn_keys(netmap, concerned);
  std::set<NodeId> touched;
  learn_claims(netmap, concerned, at, touched);
  plan_peers(netmap, touched, delta);
  // Where someone is jailed, others' prefixes bound the cell.
  any_jailed_ = any_jailed_ || std::ranges::any_of(delta.puts, is_jailed_peer);
  if (rules || (any_jailed_ && !delta.empty())) plan_rules(netmap, delta);
}

void NetmapPlanner::find_due(const Netmap& netmap, WallTime at) {
  due_.reset();
  if (!expiries_.empty()) due_ = expiries_.begin()->first;
  if (netmap.self && netmap.self->key_expiry && *netmap.self->key_expiry > at)
    due_ = std::min(due_.value_or(WallTime::max()), *netmap.self->key_expiry);
  // The latest times stand for "never": an offset would carry them over the end.
  if (due_ && *due_ < WallTime::max() - kFarAway)
    due_ = *due_ - netmap.clock_offset.value_or(Duration{0});
}

WallTime NetmapPlanner::server_time(const Netmap& netmap, WallTime now) {
  return now + std::clamp(netmap.clock_offset.value_or(Duration{0}), -kFarAway, kFarAway);
}

PlanDelta NetmapPlanner::update(const Netmap& netmap, const NetmapChanges& changes, WallTime now) {
  const WallTime at = server_time(netmap, now);
  // Our own node is behind every decision and a user's name in each of its peers: rare. A clock
  // that was set back makes expired keys good again.
  const bool own_turn = netmap.self && nothing_.empty() && has_expired(*netmap.self, at);
  if (changes.self || changes.users || own_turn || at + kClockJitter < last_at_)
    return replan(netmap, now);
  PlanDelta delta;
  last_at_ = at;
  advance(netmap, changes, at, delta);
  find_due(netmap, at);
  return delta;
}

PlanDelta NetmapPlanner::replan(const Netmap& netmap, WallTime now) {
  const WallTime at = server_time(netmap, now);
  last_at_ = at;
  find_self(netmap, at);
  NetmapChanges all;
  all.filter = true;
  for (const auto& [id, known] : known_) all.peers[id] = kPeerTunnel;
  for (const auto& [id, peer] : netmap.peers) all.peers[id] = kPeerTunnel;
  PlanDelta delta;
  plan_addresses(delta);
  plan_routes(delta);
  advance(netmap, all, at, delta);
  find_due(netmap, at);
  return delta;
}

}  // namespace sallyport
