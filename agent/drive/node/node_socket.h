// SPDX-License-Identifier: BSD-3-Clause
/// The node's UDP socket to everybody: disco, STUN, Geneve. It shares WireGuard's port with the
/// kernel (bpf/lib/demux.h) and is opened by the agent (kmod-glue/path_sockets.h).
#pragma once

#include <cstdint>
#include <optional>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/io/callback.h"
#include "agent/io/loop.h"
#include "agent/io/udp.h"
#include "agent/model/endpoint.h"
#include "agent/node/path_action.h"

namespace sallyport {

struct NodeSocketHooks {
  /// Borrowed: valid during the call. IPv4 is IPv4, also on a socket of both families.
  io::Callback<void(const UdpArrival& how, ByteView bytes)> on_datagram = {};
  /// Receiving has ended for good; a socket of the same port opened anew is the remedy.
  io::Callback<void(const Error& why)> on_broken = {};
};

struct NodeSocketCounters {
  uint64_t received = 0;
  uint64_t sent = 0;
  /// The kernel would not have it (no route, no such source, a packet filter), or it cannot be.
  uint64_t refused = 0;
  uint64_t dropped = 0;  // our own queue was full
  uint64_t truncated = 0;
};

class NodeSocket {
 public:
  /// The largest datagram that is taken; disco, STUN and a WireGuard packet in Geneve are smaller.
  static constexpr size_t kMaxDatagram = 2048;

  NodeSocket() = default;
  /// Registers receive buffers with the loop's ring: before a sandbox is closed. `socket`: bound,
  /// of both families or of IPv4 alone.
  static Result<NodeSocket> adopt(io::Loop& loop, Fd socket, NodeSocketHooks hooks);

  /// At the end of the loop's turn, with the others. `from`: the address of ours that it leaves
  /// from, nothing: as the kernel routes; `ifindex`: the device, 0: as routed; it is the scope of a
  /// link-local `to`. Errors are counted, no more: UDP promises nothing anyway.
  void send(const Endpoint& to, const std::optional<IpAddress>& from, uint32_t ifindex,
            ByteView bytes);

  /// Of both families? Else what is sent to IPv6 is refused.
  [[nodiscard]] bool has_v6() const { return has_v6_; }
  [[nodiscard]] Result<Endpoint> local() const { return socket_.local(); }
  [[nodiscard]] NodeSocketCounters counters() const;

 private:
  NodeSocket(io::UdpSocket socket, bool has_v6) : socket_(std::move(socket)), has_v6_(has_v6) {}

  io::UdpSocket socket_;
  bool has_v6_ = false;
  uint64_t impossible_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace sallyport
