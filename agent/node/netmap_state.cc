// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/netmap_state.h"

#include <set>
#include <tuple>
#include <utility>

namespace sallyport {
namespace {

using tailcfg::MapResponse;
using tailcfg::PeerChange;

/// The chunk that the unnamed filter is.
constexpr const char* kBaseFilter = "base";
constexpr const char* kAll = "*";

/// Fills in what old and new servers leave to the client.
NetmapNode completed(NetmapNode node) {
  if (!node.allowed_ips) node.allowed_ips = node.addresses;
  // Tailnet lock does not cover it: a server that has been broken into must not give it routes.
  if (node.unsigned_peerapi_only) node.allowed_ips = node.addresses;
  return node;
}

auto tunnel_of(const NetmapNode& n) {
  return std::tie(n.node_key, n.addresses, n.allowed_ips, n.key_expiry, n.expired, n.jailed,
                  n.masquerade_v4, n.masquerade_v6, n.wireguard_only, n.name, n.user, n.sharer);
}
auto path_of(const NetmapNode& n) { return std::tie(n.endpoints, n.home_derp, n.disco_key, n.cap); }
auto access_of(const NetmapNode& n) {
  return std::tie(n.jailed, n.unsigned_peerapi_only, n.capabilities, n.cap_map);
}
auto presence_of(const NetmapNode& n) { return std::tie(n.online, n.last_seen); }

uint8_t aspects_between(const NetmapNode& a, const NetmapNode& b) {
  if (a == b) return 0;
  const int bits = (tunnel_of(a) == tunnel_of(b) ? 0 : kPeerTunnel) |
                   (path_of(a) == path_of(b) ? 0 : kPeerPath) |
                   (access_of(a) == access_of(b) ? 0 : kPeerAccess) |
                   (presence_of(a) == presence_of(b) ? 0 : kPeerPresence);
  return bits != 0 ? static_cast<uint8_t>(bits) : uint8_t{kPeerOther};
}

void patch(NetmapNode& peer, PeerChange& change) {
  if (change.derp_region != 0) peer.home_derp = change.derp_region;
  if (change.cap != 0) peer.cap = change.cap;
  if (change.cap_map) peer.cap_map = std::move(*change.cap_map);
  if (change.endpoints) peer.endpoints = std::move(*change.endpoints);
  if (change.node_key) peer.node_key = *change.node_key;
  if (change.key_signature) peer.key_signature = std::move(*change.key_signature);
  if (change.disco_key) peer.disco_key = *change.disco_key;
  if (change.online) peer.online = change.online;
  if (change.last_seen) peer.last_seen = change.last_seen;
  if (change.key_expiry) peer.key_expiry = *change.key_expiry;
}

/// Puts a whole new value; true if it is another one.
template <class T>
bool replace(T& have, T&& value) {
  if (have == value) return false;
  have = std::forward<T>(value);
  return true;
}

Fail<std::string> refuse(const char* why) { return {std::string(why)}; }

}  // namespace

Result<NetmapChanges, std::string> NetmapState::apply(MapResponse frame, WallTime now) {
  TRY(check(frame));
  NetmapChanges changes;
  if (frame.control_time)
    changes.clock =
        replace(netmap_.clock_offset, std::optional<Duration>(*frame.control_time - now));
  if (frame.keep_alive) return changes;
  if (frame.node)
    changes.self = replace(netmap_.self, std::optional(completed(std::move(*frame.node))));
  apply_peers(frame, now, changes);
  apply_filter(frame, changes);
  apply_messages(frame, changes);
  apply_users(frame, changes);
  apply_rest(frame, changes);
  return changes;
}

Result<void, std::string> NetmapState::check(const MapResponse& frame) const {
  if (frame.keep_alive) return {};
  if (!netmap_.self && !frame.node) return refuse("the first netmap does not say who we are");
  const auto has_no_id = [](const NetmapNode& node) { return node.id == NodeId{}; };
  if (frame.node && has_no_id(*frame.node)) return refuse("our own node has no id");
  std::set<NodeId> fresh;
  for (const auto* peers : {&frame.peers, &frame.peers_changed}) {
    for (const NetmapNode& peer : *peers) {
      if (has_no_id(peer)) return refuse("a peer has no id");
      if (!frame.peers.empty() || !netmap_.peers.contains(peer.id)) fresh.insert(peer.id);
    }
  }
  // Those that this frame removes first are not counted off: a bound, not a bill.
  const size_t stay = frame.peers.empty() ? netmap_.peers.size() : 0;
  if (stay + fresh.size() > kMaxNetmapPeers && stay + fresh.size() > netmap_.peers.size())
    return refuse("more peers than we take");

  size_t rules = frame.packet_filter ? frame.packet_filter->size() : 0;
  const auto& named = frame.packet_filters;
  const bool all_new = named && named->contains(kAll) && !named->at(kAll);
  if (named) {
    for (const auto& [name, chunk] : *named) rules += chunk ? chunk->size() : 0;
  }
  for (const auto& [name, chunk] : netmap_.filters) {
    const bool replaced =
        all_new || (named && named->contains(name)) || (frame.packet_filter && name == kBaseFilter);
    if (!replaced) rules += chunk.size();
  }
  if (rules > kMaxFilterRules) return refuse("more filter rules than we take");
  if (netmap_.users.size() + frame.user_profiles.size() > kMaxNetmapUsers * 2)
    return refuse("more users than we take");
  return {};
}

void NetmapState::put_peer(NetmapNode peer, NetmapChanges& changes) {
  peer = completed(std::move(peer));
  const auto at = netmap_.peers.find(peer.id);
  if (at == netmap_.peers.end()) {
    // One that was removed in this frame is another one of the same name.
    changes.peers[peer.id] |= kPeerNew;
    netmap_.peers.emplace(peer.id, std::move(peer));
    return;
  }
  const uint8_t aspects = aspects_between(at->second, peer);
  if (aspects == 0) return;
  changes.peers[peer.id] |= aspects;
  at->second = std::move(peer);
}

void NetmapState::remove_peer(NodeId id, NetmapChanges& changes) {
  if (netmap_.peers.erase(id) > 0) changes.peers[id] = kPeerGone;
}

template <class Edit>
void NetmapState::edit_peer(NodeId id, NetmapChanges& changes, Edit edit) {
  const auto at = netmap_.peers.find(id);
  if (at == netmap_.peers.end()) return;  // not ours to know
  const NetmapNode before = at->second;
  edit(at->second);
  const uint8_t aspects = aspects_between(before, at->second);
  if (aspects != 0) changes.peers[id] |= aspects;
}

void NetmapState::apply_peers(MapResponse& frame, WallTime now, NetmapChanges& changes) {
  if (!frame.peers.empty()) {  // all of them, and no other member about peers counts
    std::set<NodeId> keep;
    for (NetmapNode& peer : frame.peers) {
      keep.insert(peer.id);
      put_peer(std::move(peer), changes);
    }
    std::vector<NodeId> gone;
    for (const auto& [id, peer] : netmap_.peers) {
      if (!keep.contains(id)) gone.push_back(id);
    }
    for (const NodeId id : gone) remove_peer(id, changes);
    return;
  }
  for (const NodeId id : frame.peers_removed) remove_peer(id, changes);
  for (NetmapNode& peer : frame.peers_changed) put_peer(std::move(peer), changes);
  for (const auto& [id, seen] : frame.peer_seen_change) {
    edit_peer(id, changes,
              [&](NetmapNode& peer) { peer.last_seen = seen ? std::optional(now) : std::nullopt; });
  }
  for (const auto& [id, online] : frame.online_change)
    edit_peer(id, changes, [&](NetmapNode& peer) { peer.online = online; });
  for (PeerChange& change : frame.peers_changed_patch)
    edit_peer(change.node_id, changes, [&](NetmapNode& peer) { patch(peer, change); });
}

void NetmapState::apply_filter(MapResponse& frame, NetmapChanges& changes) {
  if (frame.packet_filter)
    changes.filter |= replace(netmap_.filters[kBaseFilter], std::move(*frame.packet_filter));
  if (!frame.packet_filters) return;
  auto& named = *frame.packet_filters;
  if (const auto all = named.find(kAll); all != named.end() && !all->second) {
    changes.filter |= !netmap_.filters.empty();
    netmap_.filters.clear();
  }
  for (auto& [name, chunk] : named) {
    if (name == kAll) continue;
    if (chunk) {
      changes.filter |= replace(netmap_.filters[name], std::move(*chunk));
    } else {
      changes.filter |= netmap_.filters.erase(name) > 0;
    }
  }
}

void NetmapState::apply_messages(MapResponse& frame, NetmapChanges& changes) {
  if (frame.health) changes.messages |= replace(netmap_.health, std::move(*frame.health));
  if (!frame.display_messages) return;
  auto& named = *frame.display_messages;
  if (const auto all = named.find(kAll); all != named.end() && !all->second) {
    changes.messages |= !netmap_.messages.empty();
    netmap_.messages.clear();
  }
  for (auto& [id, message] : named) {
    if (id == kAll) continue;
    if (message) {
      changes.messages |= replace(netmap_.messages[id], std::move(*message));
    } else {
      changes.messages |= netmap_.messages.erase(id) > 0;
    }
  }
}

void NetmapState::apply_users(MapResponse& frame, NetmapChanges& changes) {
  for (UserProfile& user : frame.user_profiles) {
    const UserId id = user.id;
    changes.users |= replace(netmap_.users[id], std::move(user));
  }
  if (netmap_.users.size() <= kMaxNetmapUsers) return;
  // A server does not send a profile twice, so one is kept as long as there is room, even if none
  // of its nodes is in sight.
  std::set<UserId> used;
  if (netmap_.self) used.insert(netmap_.self->user);
  for (const auto& [id, peer] : netmap_.peers) used.insert({peer.user, peer.sharer});
  std::erase_if(netmap_.users, [&](const auto& user) { return !used.contains(user.first); });
}

void NetmapState::apply_rest(MapResponse& frame, NetmapChanges& changes) {
  if (frame.derp_map) {
    auto& [regions, scores, omit] = *frame.derp_map;
    if (regions) changes.derp_map |= replace(netmap_.derp_map.regions, std::move(*regions));
    if (scores) changes.derp_map |= replace(netmap_.derp_map.region_score, std::move(*scores));
  }
  if (frame.dns_config) changes.dns |= replace(netmap_.dns, std::move(*frame.dns_config));
  if (!frame.domain.empty()) changes.other |= replace(netmap_.domain, std::move(frame.domain));
  if (frame.tka_info) changes.other |= replace(netmap_.tka, std::move(frame.tka_info));
  if (frame.ssh_policy) changes.other |= replace(netmap_.ssh_policy, std::move(frame.ssh_policy));
}

MapResponse whole_frame(const Netmap& netmap) {
  MapResponse frame;
  frame.node = netmap.self;
  for (const auto& [id, peer] : netmap.peers) frame.peers.push_back(peer);
  frame.derp_map = {netmap.derp_map.regions, netmap.derp_map.region_score, false};
  frame.dns_config = netmap.dns;
  frame.domain = netmap.domain;
  frame.packet_filters.emplace();
  for (const auto& [name, chunk] : netmap.filters) frame.packet_filters->emplace(name, chunk);
  for (const auto& [id, user] : netmap.users) frame.user_profiles.push_back(user);
  frame.health = netmap.health;
  frame.display_messages.emplace();
  for (const auto& [id, message] : netmap.messages) frame.display_messages->emplace(id, message);
  frame.tka_info = netmap.tka;
  frame.ssh_policy = netmap.ssh_policy;
  return frame;
}

}  // namespace sallyport
