// SPDX-License-Identifier: BSD-3-Clause
/// WireGuard's netlink messages: values <-> bytes, no socket. Source: linux/wireguard.h.
#pragma once

#include <cstdint>
#include <map>
#include <span>

#include "agent/base/bytes.h"
#include "agent/model/kernel_state.h"
#include "kmod-glue/netlink/message.h"

namespace sallyport {

/// Bytes of a message with peers: about 120 of them. The kernel holds rtnl while it carries one
/// out, and a new peer costs it a scalar multiplication, so a bigger one only keeps others waiting.
inline constexpr size_t kPeersMessageBytes = 16384;

/// Where in a list of peers a message begins.
struct PeerCursor {
  size_t peer = 0;
  size_t allowed_ip = 0;  // of that peer: those before it are sent already
  friend bool operator==(const PeerCursor&, const PeerCursor&) = default;
};

/// `family` is the generic netlink family's id. False: does not fit (names are short, so a
/// Message::kSmallBytes always does).
[[nodiscard]] bool write_get_device(Message& message, uint16_t family, std::string_view device);
[[nodiscard]] bool write_set_device(Message& message, uint16_t family, const SetDevice& set);
[[nodiscard]] bool write_remove_peer(Message& message, uint16_t family, const RemovePeer& remove);

/// One message with as many peers as fit, of the device of the peer at `from`. Returns where the
/// next message begins; `from` itself if not even one fits. A peer with many allowed IPs goes on in
/// the next message; the continuation only updates, so that a peer removed between the two does not
/// come back as half of one.
[[nodiscard]] PeerCursor write_set_peers(Message& message, uint16_t family,
                                         std::span<const SetPeer> peers, PeerCursor from);

/// A device as it is.
struct WgObserved {
  WgDevice device;
  std::map<PublicKey, WgPeerStats> stats;  // the same keys as device.peers
};

/// Puts the messages of one dump together: a peer may go on in the next message.
class WgDumpReader {
 public:
  /// `attrs` follow the genlmsghdr. False: malformed, the dump is worth nothing.
  [[nodiscard]] bool on_message(ByteView attrs);
  /// With allowed IPs sorted.
  [[nodiscard]] WgObserved finish() &&;

 private:
  bool on_peer(ByteView attrs);

  WgObserved seen_;
};

}  // namespace sallyport
