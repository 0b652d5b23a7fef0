// SPDX-License-Identifier: BSD-3-Clause
/// The socket on lo between relays and WireGuard, opened by the agent (kmod-glue/path_sockets.h).
///
///   WireGuard --- to 127.x.y.z, a peer's parking address ---> on_parked ---> a relay
///   WireGuard <-- from that address, in groups, paced ------- inject   <---- a relay
#pragma once

#include <cstdint>
#include <memory>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/drive/node/inject_groups.h"
#include "agent/drive/node/inject_pace.h"
#include "agent/io/callback.h"
#include "agent/io/loop.h"
#include "agent/io/timer.h"
#include "agent/io/udp.h"
#include "agent/model/ip.h"

namespace sallyport {

struct RelaySocketHooks {
  /// WireGuard's packet for the peer of that address. Borrowed: valid during the call.
  io::Callback<void(const IpAddress& parking, ByteView packet)> on_parked = {};
  /// Receiving has ended for good.
  io::Callback<void(const Error& why)> on_broken = {};
};

struct RelaySocketCounters {
  uint64_t parked = 0;
  uint64_t strangers = 0;  // not from WireGuard's port: some program of this host
  uint64_t injected = 0;
  uint64_t groups = 0;   // that `injected` left in
  uint64_t dropped = 0;  // packets: the queue was full, or the kernel refused them
};

/// Hooks run from the loop only. Destroying it drops what waits.
class RelaySocket {
 public:
  /// The largest packet of WireGuard that is taken.
  static constexpr size_t kMaxPacket = 2048;

  /// Registers receive buffers with the loop's ring: before a sandbox is closed. `wireguard`: the
  /// port on 127.0.0.1.
  static Result<std::unique_ptr<RelaySocket>> adopt(io::Loop& loop, Fd socket, uint16_t wireguard,
                                                    RelaySocketHooks hooks);
  RelaySocket(const RelaySocket&) = delete;
  RelaySocket& operator=(const RelaySocket&) = delete;
  ~RelaySocket() = default;

  /// Copies the packet; it goes to WireGuard as the peer's at `parking` (127.0.0.0/8) a turn or
  /// two of the loop later, or when the pace allows. Packets of one peer keep their order.
  void inject(const IpAddress& parking, ByteView packet);
  /// WireGuard listens elsewhere now; what waits goes there.
  void set_wireguard_port(uint16_t port) { wireguard_.port = port; }

  [[nodiscard]] RelaySocketCounters counters() const { return counters_; }

 private:
  RelaySocket(io::Loop& loop, uint16_t wireguard, RelaySocketHooks hooks);
  void on_datagram(const io::Received& received);
  void flush_later();
  void on_turn();
  void flush();
  bool write(const InjectGroup& group);

  io::Loop& loop_;
  Endpoint wireguard_;
  RelaySocketHooks on_;
  InjectGroups waiting_;
  InjectPace pace_;
  RelaySocketCounters counters_;
  bool turn_posted_ = false;
  unsigned turns_ = 0;            // that the oldest packet has waited
  size_t waiting_last_turn_ = 0;  // packets
  io::Timer paused_;
  std::shared_ptr<RelaySocket*> self_;  // what is posted asks it whether we are still there
  io::UdpSocket socket_;
};

}  // namespace sallyport
