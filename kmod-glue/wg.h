// SPDX-License-Identifier: BSD-3-Clause
/// In-kernel WireGuard: devices and peers, set and observed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "agent/base/result.h"
#include "agent/model/kernel_state.h"
#include "kmod-glue/netlink/socket.h"
#include "kmod-glue/netlink/wg_message.h"

namespace sallyport {

/// Talks to the WireGuard of the network namespace it was opened in. Needs CAP_NET_ADMIN. A kernel
/// without WireGuard answers EOPNOTSUPP to each call. Text of errors: what was asked, of which
/// device, and the kernel's own words.
class WireGuard {
 public:
  static Result<WireGuard> open();

  /// EEXIST: a device of that name is there (of whatever kind).
  Result<void> create_link(const std::string& name);
  /// ENODEV: there is none.
  Result<void> delete_link(const std::string& name);

  Result<void> apply(const SetDevice& set);
  /// In as few messages as kPeersMessageBytes allows, in order. On an error the messages before it
  /// have been carried out, and of the failing one the peers before the bad one: observe. The
  /// device's own public key is passed over by the kernel in silence, and so is an unknown peer
  /// without `create`.
  Result<void> apply(std::span<const SetPeer> peers);
  Result<void> apply(const SetPeer& peer) { return apply(std::span(&peer, 1)); }
  /// A peer that is gone already is no error.
  Result<void> apply(const RemovePeer& remove);

  /// Nothing: no device of that name. EAGAIN: peers came and went five times while we looked.
  /// Holds rtnl while it runs: poll rarely.
  Result<std::optional<WgObserved>> dump(const std::string& name);

 private:
  WireGuard(NetlinkSocket route, NetlinkSocket generic)
      : route_(std::move(route)), generic_(std::move(generic)) {}
  /// The family's number, asked for once.
  Result<uint16_t> family();
  Result<void> send(Message& message, const std::string& doing);

  NetlinkSocket route_;
  NetlinkSocket generic_;
  std::optional<uint16_t> family_;
};

}  // namespace sallyport
