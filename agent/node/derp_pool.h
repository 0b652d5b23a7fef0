// SPDX-License-Identifier: BSD-3-Clause
/// All DERP connections of a node: home always, others while they are of use. Sans-IO.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "agent/node/derp_session.h"

namespace sallyport {

/// Source: magicsock derpInactiveCleanupTime.
constexpr Duration kDerpIdle = std::chrono::seconds(60);
/// For a region that is being dialled: the newest so many packets of a peer, for so long.
constexpr size_t kHeldPackets = 8;
constexpr Duration kHeldFor = std::chrono::seconds(5);
/// Of all peers together.
constexpr size_t kHeldInAll = 1024;

/// An action of one region's session.
struct RegionAction {
  uint16_t region = 0;
  DerpAction action;
  friend bool operator==(const RegionAction&, const RegionAction&) = default;
};
/// A packet that was held can go now.
struct SendHeld {
  uint16_t region = 0;
  NodeKey peer;
  Bytes packet;
  friend bool operator==(const SendHeld&, const SendHeld&) = default;
};
using PoolAction = std::variant<RegionAction, SendHeld>;
using PoolActions = std::vector<PoolAction>;

/// What becomes of a packet. kNow: the driver writes it to the region's stream.
enum class DerpRoute : uint8_t { kNow, kHeld, kNone };

class DerpPool {
 public:
  /// `random` and `own` outlive it.
  DerpPool(RandomSource& random, const PrivateKey& own) : random_(random), own_(own) {}

  /// Regions that are gone are closed, changed ones dialled anew.
  PoolActions on_map(const DerpMap& map, Instant now);
  /// 0: none.
  PoolActions set_home(uint16_t region, Instant now);

  struct Sending {
    DerpRoute route = DerpRoute::kNone;
    PoolActions actions;
  };
  /// Copies the packet only if it must be held.
  Sending send(uint16_t region, const NodeKey& peer, ByteView packet, Instant now);
  /// Packets came through the region.
  void on_received(uint16_t region, Instant now);

  PoolActions on_connected(uint16_t region, uint64_t dial, Instant now);
  PoolActions on_closed(uint16_t region, uint64_t dial, std::string_view why, Instant now);
  PoolActions on_message(uint16_t region, const derp::Message& message, Instant now);
  PoolActions on_network_changed(Instant now);
  PoolActions on_wake(Instant now);
  [[nodiscard]] std::optional<Instant> next_wake() const;

  [[nodiscard]] uint16_t home() const { return home_; }
  /// Nothing: not in the map, or never used.
  [[nodiscard]] const DerpSession* session(uint16_t region) const;
  /// Packets that were held for too long or pushed out by newer ones.
  [[nodiscard]] uint64_t dropped() const { return dropped_; }

 private:
  struct Held {
    uint16_t region = 0;
    NodeKey peer;
    Bytes packet;
    Instant until;
  };
  struct Region {
    std::unique_ptr<DerpSession> session;
    Instant last_use;
  };
  Region* open(uint16_t region, Instant now, PoolActions& out);
  /// Tags the session's actions; a session that came up gets what was held for it.
  void add(uint16_t region, DerpActions actions, Instant now, PoolActions& out);
  void expire(Instant now);

  RandomSource& random_;
  const PrivateKey& own_;
  DerpMap map_;
  uint16_t home_ = 0;
  std::map<uint16_t, Region> regions_;
  std::deque<Held> held_;  // the oldest first
  uint64_t dropped_ = 0;
};

}  // namespace sallyport
