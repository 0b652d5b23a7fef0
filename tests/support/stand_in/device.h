// SPDX-License-Identifier: BSD-3-Clause
/// One WireGuard device that is none: a TUN and the state that WireGuard would keep.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/model/kernel_state.h"
#include "kmod-glue/netlink/wg_message.h"

namespace sallyport::stand_in {

/// Source and destination of an IP packet; nothing for what is none.
struct PacketAddresses {
  IpAddress from;
  IpAddress to;
};
std::optional<PacketAddresses> addresses_of(std::span<const uint8_t> packet);

class Device {
 public:
  /// Makes the TUN in the calling thread's network namespace, set up as WireGuard sets up its
  /// devices: no link-local address, no multicast. EBUSY: a device of that name is there.
  static Result<Device> create(const std::string& name);

  [[nodiscard]] const Fd& tun() const { return tun_; }
  /// False: somebody has deleted the link.
  [[nodiscard]] bool exists() const;
  [[nodiscard]] const std::optional<PublicKey>& public_key() const { return public_key_; }

  void set(const SetDevice& step);
  void set(const SetPeer& step);
  void remove(const RemovePeer& step);
  [[nodiscard]] const WgObserved& seen() const { return seen_; }

  /// The peer that an address belongs to, by the longest allowed IP.
  [[nodiscard]] const WgPeer* owner(const IpAddress& address) const;
  /// Would a packet to this peer leave? The endpoint is configured or was learnt.
  [[nodiscard]] bool knows_where(const WgPeer& peer) const;

  void on_sent(const PublicKey& peer, size_t bytes);
  void on_received(const PublicKey& peer, size_t bytes);

 private:
  explicit Device(Fd tun) : tun_(std::move(tun)) {}

  Fd tun_;
  std::optional<PublicKey> public_key_;
  WgObserved seen_;
};

}  // namespace sallyport::stand_in
