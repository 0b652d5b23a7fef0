// SPDX-License-Identifier: BSD-3-Clause
// Peers and what their paths want. Messages: paths_disco.cc; our own network and the relays:
// paths_network.cc.
#include "agent/node/paths.h"

#include <algorithm>
#include <utility>

#include "agent/base/overloaded.h"

namespace sallyport {

namespace {

/// Two wakes of one path are never closer.
constexpr Duration kWakeGap = std::chrono::milliseconds(1);
constexpr std::string_view kOurApp = "sallyport";

bool has_path(const PathPeer& peer) {
  return !peer.node_key.is_zero() && (peer.wireguard_only || !peer.disco_key.is_zero());
}

}  // namespace

std::string_view name_of(PathKind kind) {
  switch (kind) {
    case PathKind::kNone:
      return "none";
    case PathKind::kDerp:
      return "derp";
    case PathKind::kDirect:
      return "direct";
  }
  return "";
}

std::string_view name_of(PathsEvent event) {
  switch (event) {
    case PathsEvent::kDerpUp:
      return "derp.up";
    case PathsEvent::kDerpDown:
      return "derp.down";
    case PathsEvent::kDerpComplains:
      return "derp.complains";
    case PathsEvent::kDiscoOnly:
      return "path.disco_only";
    case PathsEvent::kNoFreeParking:
      return "path.no_address";
  }
  return "";
}

PathPeer path_peer(const NetmapNode& node) {
  PathPeer out;
  out.node_key = node.node_key;
  out.disco_key = node.disco_key;
  out.home_region = node.home_derp;
  out.endpoints = node.endpoints;
  out.wireguard_only = node.wireguard_only;
  out.one_of_us = node.hostinfo && node.hostinfo->app == kOurApp;
  return out;
}

Paths::Paths(RandomSource& random, std::string_view memory, Instant now)
    : random_(random), own_(random), netcheck_(random, 0) {
  if (auto remembered = parse_paths_memory(memory)) {
    disco_private_ = remembered->disco;
    remembered_ = std::move(remembered->peers);
    netcheck_.home().restore(remembered->home);
  } else {
    disco_private_ = clamped(random_.bytes<32>());
    save_soon(now);
  }
  disco_key_.bytes = disco_private_.public_key().bytes;
}

PathsActions Paths::on_node_key(const PrivateKey& node_key, Instant now) {
  PathsActions out;
  if (node_private_ == node_key) return out;
  if (pool_) {
    // The relays know us by the key.
    act(pool_->on_map({}, now), now, out);
    pool_.reset();
  }
  node_private_ = node_key;
  node_key_ = node_key.public_key();
  ByteReader bytes(node_key_.bytes);
  netcheck_.home().set_spread(bytes.u64());
  table_.each([&](PeerEntry& entry) { set_crossing(entry); });
  open_pool(now, out);
  return out;
}

void Paths::set_crossing(PeerEntry& entry) const {
  if (node_private_) entry.crossing.emplace(node_key_, entry.peer.node_key, entry.peer.one_of_us);
}

PathsActions Paths::on_netmap(const Netmap& netmap, const NetmapChanges& changes, bool whole,
                              Instant now) {
  PathsActions out;
  if (whole || changes.derp_map) out = on_derp_map(netmap.derp_map, now);
  const auto forget = [&](NodeId id) {
    const auto known = netmap_peers_.find(id);
    if (known == netmap_peers_.end()) return;
    drop(known->second, now, out);
    netmap_peers_.erase(known);
  };
  const auto learn = [&](NodeId id, const NetmapNode& node) {
    const auto known = netmap_peers_.find(id);
    if (known != netmap_peers_.end() && known->second != node.node_key) forget(id);
    if (node.expired) return forget(id);
    netmap_peers_[id] = node.node_key;
    put(path_peer(node), now, out);
  };
  if (whole) {
    const std::map<NodeId, NodeKey> before = netmap_peers_;
    for (const auto& [id, key] : before) {
      if (!netmap.peers.contains(id)) forget(id);
    }
    for (const auto& [id, node] : netmap.peers) learn(id, node);
    remembered_.clear();
    return out;
  }
  constexpr unsigned kOfInterest = kPeerNew | kPeerGone | kPeerTunnel | kPeerPath | kPeerOther;
  for (const auto& [id, aspects] : changes.peers) {
    if ((aspects & kOfInterest) == 0) continue;
    const auto node = netmap.peers.find(id);
    if (node == netmap.peers.end()) {
      forget(id);
    } else {
      learn(id, node->second);
    }
  }
  return out;
}

PathsActions Paths::on_peer(const PathPeer& peer, Instant now) {
  PathsActions out;
  put(peer, now, out);
  return out;
}

PathsActions Paths::on_peer_removed(const NodeKey& key, Instant now) {
  PathsActions out;
  drop(key, now, out);
  return out;
}

void Paths::put(const PathPeer& peer, Instant now, PathsActions& out) {
  if (!has_path(peer)) return drop(peer.node_key, now, out);
  if (PeerEntry* const known = table_.find(peer.node_key)) {
    if (known->peer == peer) return;
    const bool same_kind = known->peer.one_of_us == peer.one_of_us;
    table_.update(*known, peer);
    if (!same_kind) set_crossing(*known);
    return run(*known, known->path.on_peer(peer, now), now, out);
  }
  const auto remembered = remembered_.find(peer.node_key);
  const bool known_before = remembered != remembered_.end();
  PeerEntry* const entry = table_.add(
      peer, known_before ? std::optional(remembered->second.parking) : std::nullopt, random_);
  if (entry == nullptr) {
    out.push_back(PathsNote{PathsEvent::kNoFreeParking, 0, peer.node_key, {}});
    return;
  }
  entry->status.since = now;
  set_crossing(*entry);
  if (entry->parking != parking_for(peer.node_key, 0)) save_soon(now);
  run(*entry, entry->path.on_peer(peer, now), now, out);
  if (!known_before) return;
  if (!peer.wireguard_only) run(*entry, entry->path.resume(remembered->second.path, now), now, out);
  remembered_.erase(remembered);
}

void Paths::drop(const NodeKey& key, Instant now, PathsActions& out) {
  PeerEntry* const entry = table_.find(key);
  if (entry == nullptr) return;
  // WireGuard loses the peer by the plan; the maps beside it are ours.
  std::vector<KernelStep> steps = kernel_steps(entry->path.kernel_path(), {});
  std::erase_if(steps, [](const KernelStep& s) { return std::holds_alternative<PointAt>(s); });
  if (!steps.empty()) out.push_back(StepKernel{key, std::move(steps)});
  const bool was_active = entry->active;
  table_.remove(*entry);
  save_soon(now);
  if (was_active && --active_ == 0) act(own_.on_active(false, now), now, out);
}

void Paths::run(PeerEntry& entry, PathActions actions, Instant now, PathsActions& out) {
  for (PathAction& action : actions) act(entry, action, now, out);
  settle(entry, now, out);
}

void Paths::act(PeerEntry& entry, PathAction& action, Instant now, PathsActions& out) {
  const NodeKey& key = entry.peer.node_key;
  std::visit(Overloaded{
                 [&](const SendPing& ping) {
                   send(entry, ping.to, disco::Ping{ping.tx, node_key_, 0}, now, out);
                 },
                 [&](const SendPong& pong) { answer(entry, pong, now, out); },
                 [&](const SendCallMeMaybe& call) {
                   entry.call_region = call.region;
                   act(own_.call_me_maybe(key, now), now, out);
                 },
                 [&](SetKernelPath& set) {
                   save_soon(now);
                   out.push_back(StepKernel{key, std::move(set.steps)});
                 },
                 [](const Duplicate&) {},  // nobody can duplicate yet; doubt does without
                 [&](const PathChanged& changed) {
                   const PathStatus status = status_of(entry);
                   const Instant since =
                       status.kind == entry.status.kind ? entry.status.since : now;
                   entry.status = status;
                   entry.status.since = since;
                   out.push_back(StatusChanged{key, entry.status, changed.cause});
                 },
                 [&](const DiscoOnly& only) {
                   out.push_back(PathsNote{PathsEvent::kDiscoOnly, 0, key, only.endpoint.text()});
                 },
                 [&](const PingAnswered& answered) {
                   out.push_back(PeerAnswered{key, answered.from, answered.rtt});
                 },
             },
             action);
}

void Paths::settle(PeerEntry& entry, Instant now, PathsActions& out) {
  std::optional<Instant> next = entry.path.next_wake();
  if (next) next = std::max(*next, now + kWakeGap);
  table_.set_wake(entry, next);
  // One that is WireGuard-only has always a path, and no use for our endpoints.
  const bool active = !entry.peer.wireguard_only && entry.path.state() != PathState::kIdle;
  if (active == entry.active) return;
  entry.active = active;
  active_ += active ? 1 : size_t{0} - 1;
  act(own_.on_active(active_ != 0, now), now, out);
}

PathStatus Paths::status_of(const PeerEntry& entry) const {
  PathStatus out;
  out.state = entry.path.state();
  out.endpoint = entry.path.endpoint();
  out.region = entry.path.relay_region();
  out.rtt = entry.path.rtt();
  out.since = entry.status.since;
  if (out.endpoint) {
    out.kind = PathKind::kDirect;
  } else if (out.state != PathState::kIdle && out.region != 0) {
    out.kind = PathKind::kDerp;
  }
  return out;
}

PathsActions Paths::on_observed(const NodeKey& peer, const PathObserved& observed, Instant now) {
  PathsActions out;
  if (PeerEntry* const entry = table_.find(peer))
    run(*entry, entry->path.on_wake(observed, now), now, out);
  return out;
}

PathsActions Paths::on_wake(Instant now) {
  PathsActions out;
  Observe observe;
  while (PeerEntry* const entry = table_.take_due(now)) {
    if (entry->path.wants_observed(now)) observe.peers.push_back(entry->peer.node_key);
    run(*entry, entry->path.on_wake(now), now, out);
  }
  if (!observe.peers.empty()) out.push_back(std::move(observe));
  if (pool_) act(pool_->on_wake(now), now, out);
  act(netcheck_.on_wake(now), now, out);
  if (netcheck_by_ && now >= *netcheck_by_) begin_netcheck(now, out);
  act(own_.on_wake(now), now, out);
  if (save_at_ && now >= *save_at_) {
    save_at_.reset();
    saved_ = now;
    out.push_back(SaveMemory{});
  }
  return out;
}

std::optional<Instant> Paths::next_wake() const {
  std::optional<Instant> next = table_.next_wake();
  const auto earlier = [&](const std::optional<Instant>& when) {
    if (when && (!next || *when < *next)) next = when;
  };
  if (pool_) earlier(pool_->next_wake());
  earlier(netcheck_.next_wake());
  earlier(netcheck_by_);
  earlier(own_.next_wake());
  earlier(save_at_);
  return next;
}

PathsActions Paths::ask(const NodeKey& peer, bool probe_all, Instant now) {
  PathsActions out;
  if (PeerEntry* const entry = table_.find(peer))
    run(*entry, entry->path.ask(probe_all, now), now, out);
  return out;
}

std::optional<WireguardEndpoint> Paths::endpoint_of(const NodeKey& peer,
                                                    uint16_t relay_port) const {
  const PeerEntry* const entry = table_.find(peer);
  if (entry == nullptr) return {};
  const bool yields = !entry->peer.one_of_us || node_key_ < peer;
  const auto& direct = entry->path.kernel_path().direct;
  if (direct) return WireguardEndpoint{direct->peer, kDirectKeepaliveS, yields};
  if (entry->peer.wireguard_only) return {};
  return WireguardEndpoint{{entry->parking, relay_port}, 0, yields};
}

std::optional<IpAddress> Paths::parking_of(const NodeKey& peer) const {
  const PeerEntry* const entry = table_.find(peer);
  if (entry == nullptr) return {};
  return entry->parking;
}

std::optional<PathStatus> Paths::status(const NodeKey& peer) const {
  const PeerEntry* const entry = table_.find(peer);
  if (entry == nullptr) return {};
  return status_of(*entry);
}

void Paths::save_soon(Instant now) {
  if (!save_at_) save_at_ = saved_ ? std::max(now, *saved_ + kSaveGap) : now;
}

std::string Paths::memory() const {
  PathsMemory out;
  out.disco = disco_private_;
  out.home = netcheck_.home().home();
  out.peers = remembered_;
  table_.each([&](const PeerEntry& entry) {
    RememberedPeer peer{entry.parking, entry.path.memory()};
    const NodeKey& key = entry.peer.node_key;
    // The rest is as it will be found again.
    if (peer.path != PathMemory{} || peer.parking != parking_for(key, 0))
      out.peers.insert_or_assign(key, std::move(peer));
  });
  return write_paths_memory(out);
}

}  // namespace sallyport
