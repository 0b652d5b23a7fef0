// SPDX-License-Identifier: BSD-3-Clause
/// A UDP socket: multishot receive into a buffer ring, sends gathered into batches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/io/callback.h"
#include "agent/io/loop.h"
#include "agent/io/operation.h"
#include "agent/model/endpoint.h"

namespace sallyport::io {

class UdpCore;

/// One that has arrived. Borrowed: valid during the call.
struct Received {
  ByteView bytes;
  Endpoint from;
  /// Where it was sent to, and the device it came in by; only with UdpOptions::packet_info.
  std::optional<IpAddress> to;
  uint32_t ifindex = 0;
  /// Not 0: the kernel has coalesced datagrams of this size each (the last one may be shorter);
  /// only with UdpOptions::coalesce. Source: udp(7), UDP_GRO.
  uint16_t segment_bytes = 0;
};

/// One to be sent.
struct Outgoing {
  ByteView bytes;
  Endpoint to;
  /// The source address, and the device to leave by (0: as routed; the scope of a link-local `to`).
  std::optional<IpAddress> from = std::nullopt;
  uint32_t ifindex = 0;
  /// Not 0: `bytes` is cut into datagrams of this size by the kernel. Source: udp(7), UDP_SEGMENT.
  uint16_t segment_bytes = 0;
};

struct UdpOptions {
  bool packet_info = false;
  bool coalesce = false;
  /// IPv4 as well, on a socket bound to `::`.
  bool dual_stack = false;
  /// A power of two. What arrives while all are full waits in the socket's own queue.
  unsigned receive_buffers = 256;
  /// The largest datagram; a longer one is dropped and counted. With `coalesce` at least 65536.
  size_t receive_bytes = 2048;
  /// Datagrams that may wait for the kernel; more are refused as full.
  size_t send_queue = 256;
};

struct UdpCallbacks {
  Callback<void(const Received&)> on_datagram = {};
  /// There is room again after send() has returned false.
  Callback<void()> on_writable = {};
  /// The kernel has refused this one (errno): EMSGSIZE, ENETUNREACH, EPERM by a firewall.
  Callback<void(const Endpoint& to, int error)> on_refused = {};
  /// Receiving has ended for good. Sending may still work.
  Callback<void(const Error&)> on_error = {};
};

struct UdpCounters {
  uint64_t received = 0;   // CQEs: a coalesced group is one
  uint64_t truncated = 0;  // longer than receive_bytes; dropped
  uint64_t starved = 0;    // times that all buffers were full
  uint64_t sent = 0;       // as given to send()
  uint64_t refused = 0;
};

class UdpSocket {
 public:
  UdpSocket() = default;
  /// A new socket; port 0 takes any.
  static Result<UdpSocket> bind(Loop& loop, const Endpoint& local, const UdpOptions& options,
                                UdpCallbacks callbacks);
  /// A bound socket made elsewhere (another process, systemd). Sets the options asked for, and
  /// clears O_NONBLOCK: io_uring does not wait on a descriptor that has it.
  static Result<UdpSocket> adopt(Loop& loop, Fd socket, const UdpOptions& options,
                                 UdpCallbacks callbacks);

  /// Copies it and sends it with the others of this turn. False: the queue is full, on_writable
  /// will be called. What was taken is offered to the kernel once, even if the socket is destroyed.
  [[nodiscard]] bool send(const Outgoing& datagram);
  /// Offers what was sent in this turn to the kernel now instead of at its end.
  void flush();

  [[nodiscard]] Result<Endpoint> local() const;
  [[nodiscard]] UdpCounters counters() const;
  /// For setsockopt(2); valid as long as this object.
  [[nodiscard]] int raw() const;

 private:
  explicit UdpSocket(Handle<UdpCore> core) : core_(std::move(core)) {}
  Handle<UdpCore> core_;
};

/// A bound socket, as UdpSocket::bind() makes it, for handing to somebody else.
[[nodiscard]] Result<Fd> open_udp(const Endpoint& local, bool dual_stack = false);

}  // namespace sallyport::io
