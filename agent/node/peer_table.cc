// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/peer_table.h"

#include <algorithm>
#include <utility>

namespace sallyport {

PeerEntry* PeerTable::add(const PathPeer& peer, std::optional<IpAddress> wanted,
                          RandomSource& random) {
  std::optional<IpAddress> parking;
  if (wanted && is_parking(*wanted) && !by_parking_.contains(*wanted)) parking = wanted;
  for (uint32_t attempt = 0; !parking && attempt < kParkingAttempts; ++attempt) {
    const IpAddress candidate = parking_for(peer.node_key, attempt);
    if (!by_parking_.contains(candidate)) parking = candidate;
  }
  if (!parking) return nullptr;
  PeerEntry& entry = entries_.try_emplace(peer.node_key, peer, random).first->second;
  entry.parking = *parking;
  entry.number = next_number_++;
  by_parking_[*parking] = &entry;
  link(entry);
  return &entry;
}

void PeerTable::update(PeerEntry& entry, const PathPeer& peer) {
  if (peer.disco_key == entry.peer.disco_key) {
    entry.peer = peer;
    return;
  }
  unlink(entry);
  entry.peer = peer;
  link(entry);
}

void PeerTable::remove(PeerEntry& entry) {
  unlink(entry);
  set_wake(entry, {});
  by_parking_.erase(entry.parking);
  const NodeKey key = entry.peer.node_key;
  entries_.erase(key);
}

void PeerTable::link(PeerEntry& entry) {
  if (!entry.peer.disco_key.is_zero()) by_disco_[entry.peer.disco_key].peers.push_back(&entry);
}

void PeerTable::unlink(PeerEntry& entry) {
  const auto disco = by_disco_.find(entry.peer.disco_key);
  if (disco == by_disco_.end()) return;
  std::erase(disco->second.peers, &entry);
  if (disco->second.peers.empty()) by_disco_.erase(disco);
}

PeerEntry* PeerTable::find(const NodeKey& key) {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

const PeerEntry* PeerTable::find(const NodeKey& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

PeerEntry* PeerTable::find_parked(const IpAddress& parking) {
  const auto found = by_parking_.find(parking);
  return found == by_parking_.end() ? nullptr : found->second;
}

DiscoEntry* PeerTable::find_disco(const DiscoKey& key) {
  const auto found = by_disco_.find(key);
  return found == by_disco_.end() ? nullptr : &found->second;
}

void PeerTable::set_wake(PeerEntry& entry, std::optional<Instant> when) {
  if (entry.wake == when) return;
  // Moved as it is where it can be: this happens with every packet that changes something.
  auto node = entry.wake ? waking_.extract({*entry.wake, entry.number, &entry})
                         : std::set<Wake>::node_type();
  entry.wake = when;
  if (!when) return;
  const Wake wake{*when, entry.number, &entry};
  if (node.empty()) {
    waking_.insert(wake);
  } else {
    node.value() = wake;
    waking_.insert(std::move(node));
  }
}

std::optional<Instant> PeerTable::next_wake() const {
  if (waking_.empty()) return {};
  return waking_.begin()->when;
}

PeerEntry* PeerTable::take_due(Instant now) {
  if (waking_.empty() || waking_.begin()->when > now) return nullptr;
  PeerEntry* const entry = waking_.begin()->entry;
  set_wake(*entry, {});
  return entry;
}

}  // namespace sallyport
