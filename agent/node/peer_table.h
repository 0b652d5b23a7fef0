// SPDX-License-Identifier: BSD-3-Clause
/// The peers of a node by each of the names that messages know them by, and in the order in which
/// they want to be woken.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/random.h"
#include "agent/model/tailnet_keys.h"
#include "agent/node/allowance.h"
#include "agent/node/crossing.h"
#include "agent/node/parking.h"
#include "agent/node/paths_action.h"
#include "agent/node/peer_path.h"
#include "agent/wire/box.h"

namespace sallyport {

/// What a peer may cause us to do: it is a member, not a friend.
constexpr Allowance::Bounds kDiscoAllowance{.burst = 128, .refill = std::chrono::milliseconds(30)};
/// Each has us ping all that it names.
constexpr Allowance::Bounds kCallAllowance{.burst = 4, .refill = std::chrono::seconds(2)};

struct PeerEntry {
  PeerEntry(const PathPeer& as, RandomSource& random) : peer(as), path(random) {}

  PathPeer peer;
  IpAddress parking;
  PeerPath path;
  std::optional<Crossing> crossing;  // once we have a key
  uint16_t call_region = 0;          // of the latest call-me-maybe that waits for our endpoints
  PathStatus status;
  bool active = false;
  std::optional<Instant> wake;
  uint64_t number = 0;
};

/// One disco key: usually one peer's; several if one machine is several nodes.
struct DiscoEntry {
  std::optional<BoxKey> box;  // made when it is needed
  bool no_box = false;        // the key is none
  Allowance messages{kDiscoAllowance};
  Allowance calls{kCallAllowance};
  std::vector<PeerEntry*> peers;
};

class PeerTable {
 public:
  /// Not there yet. Nothing: no parking address is left. `wanted`: from before a restart.
  PeerEntry* add(const PathPeer& peer, std::optional<IpAddress> wanted, RandomSource& random);
  /// The entry's disco key may be another.
  void update(PeerEntry& entry, const PathPeer& peer);
  void remove(PeerEntry& entry);

  PeerEntry* find(const NodeKey& key);
  [[nodiscard]] const PeerEntry* find(const NodeKey& key) const;
  PeerEntry* find_parked(const IpAddress& parking);
  DiscoEntry* find_disco(const DiscoKey& key);

  void set_wake(PeerEntry& entry, std::optional<Instant> when);
  [[nodiscard]] std::optional<Instant> next_wake() const;
  /// The earliest that is due; it waits for nothing then.
  PeerEntry* take_due(Instant now);

  template <class Visit>
  void each(Visit&& visit) {
    for (auto& [key, entry] : entries_) visit(entry);
  }
  template <class Visit>
  void each(Visit&& visit) const {
    for (const auto& [key, entry] : entries_) visit(entry);
  }
  [[nodiscard]] size_t size() const { return entries_.size(); }

 private:
  struct Hash {
    template <class Key>
    size_t operator()(const Key& key) const {
      const auto* text = reinterpret_cast<const char*>(key.bytes.data());
      return std::hash<std::string_view>{}({text, key.bytes.size()});
    }
  };
  struct Wake {
    Instant when;
    uint64_t number = 0;  // of equal times the older peer first: runs can be repeated
    PeerEntry* entry = nullptr;
    bool operator<(const Wake& o) const {
      return when != o.when ? when < o.when : number < o.number;
    }
  };
  void link(PeerEntry& entry);
  void unlink(PeerEntry& entry);

  std::unordered_map<NodeKey, PeerEntry, Hash> entries_;
  std::unordered_map<DiscoKey, DiscoEntry, Hash> by_disco_;
  std::unordered_map<IpAddress, PeerEntry*, Hash> by_parking_;
  std::set<Wake> waking_;
  uint64_t next_number_ = 0;
};

}  // namespace sallyport
