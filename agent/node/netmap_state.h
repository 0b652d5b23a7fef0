// SPDX-License-Identifier: BSD-3-Clause
/// The netmap as it becomes through the frames of a map session, and what each frame changed.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/model/netmap.h"
#include "agent/wire/tailcfg/map_response.h"

namespace sallyport {

/// As many as the agent takes (guard/bounds).
constexpr size_t kMaxNetmapPeers = 10000;
constexpr size_t kMaxNetmapUsers = 20000;
constexpr size_t kMaxFilterRules = 16384;  // of all chunks together

/// What of a peer is another than before. Bits.
enum PeerAspect : uint8_t {
  kPeerNew = 1,
  kPeerGone = 2,
  kPeerTunnel = 4,     // key, addresses, allowed IPs, expiry, jail, masquerade, name, owner
  kPeerPath = 8,       // endpoints, home DERP, disco key, capability version
  kPeerAccess = 16,    // what packet filters look at: jail, signature, capabilities
  kPeerPresence = 32,  // online, last seen
  kPeerOther = 64,
};

struct NetmapChanges {
  std::map<NodeId, uint8_t> peers;  // PeerAspects; only those with any
  bool self = false;
  bool derp_map = false;
  bool dns = false;
  bool filter = false;
  bool users = false;
  bool messages = false;
  bool clock = false;
  bool other = false;

  [[nodiscard]] bool any() const { return *this != NetmapChanges{}; }
  friend bool operator==(const NetmapChanges&, const NetmapChanges&) = default;
};

/// Source of the order in which a frame's members apply: tailscale control/controlclient map.go.
class NetmapState {
 public:
  /// All of the frame or, with an error, nothing. `now`: the wall clock, for "seen now" and for the
  /// server's offset. A keepalive changes the clock at most.
  Result<NetmapChanges, std::string> apply(tailcfg::MapResponse frame, WallTime now);

  [[nodiscard]] const Netmap& netmap() const { return netmap_; }

 private:
  [[nodiscard]] Result<void, std::string> check(const tailcfg::MapResponse& frame) const;
  void apply_peers(tailcfg::MapResponse& frame, WallTime now, NetmapChanges& changes);
  void put_peer(NetmapNode peer, NetmapChanges& changes);
  void remove_peer(NodeId id, NetmapChanges& changes);
  template <class Edit>
  void edit_peer(NodeId id, NetmapChanges& changes, Edit edit);
  void apply_rest(tailcfg::MapResponse& frame, NetmapChanges& changes);
  void apply_filter(tailcfg::MapResponse& frame, NetmapChanges& changes);
  void apply_messages(tailcfg::MapResponse& frame, NetmapChanges& changes);
  void apply_users(tailcfg::MapResponse& frame, NetmapChanges& changes);

  Netmap netmap_;
};

/// One frame that makes an empty state into this netmap, less its clock: for the state directory.
tailcfg::MapResponse whole_frame(const Netmap& netmap);

}  // namespace sallyport
