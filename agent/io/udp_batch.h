// SPDX-License-Identifier: BSD-3-Clause
/// Datagrams on their way out, gathered for sendmmsg(2). For this room.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "agent/io/sockaddr.h"
#include "agent/io/udp.h"

namespace sallyport::io {

/// Copies of datagrams in the order given, in memory that is allocated once.
///
/// A UDP send never waits for a peer, so it is no operation in flight: sendmmsg costs less than a
/// submission a datagram, and nothing of ours stays in the kernel's hands.
class UdpBatch {
 public:
  UdpBatch(sa_family_t family, size_t limit);

  [[nodiscard]] size_t size() const { return used_ - sent_; }
  [[nodiscard]] bool full() const { return size() >= limit_; }
  /// Only if not full.
  void add(const Outgoing& datagram);

  enum class Flushed { kAll, kWouldBlock };
  /// Gives the kernel as many as it takes. `on_sent(count)` and `on_refused(endpoint, errno)` are
  /// called as it goes; neither may add.
  template <class OnSent, class OnRefused>
  Flushed flush(int socket, OnSent&& on_sent, OnRefused&& on_refused) {
    while (size() > 0) {
      const int count = send_some(socket);
      if (count > 0) {
        on_sent(static_cast<size_t>(count));
        continue;
      }
      if (-count == EAGAIN) return Flushed::kWouldBlock;
      if (-count == EINTR) continue;
      const Endpoint to = slots_[sent_++].to;
      on_refused(to, -count);
    }
    used_ = sent_ = payload_used_ = 0;
    return Flushed::kAll;
  }

 private:
  static constexpr size_t kControlBytes =
      CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t));
  struct Slot {
    SocketAddress address;
    Endpoint to;
    size_t payload_offset;
    size_t payload_bytes;
    iovec part;
    alignas(cmsghdr) uint8_t control[kControlBytes];
  };

  /// How many were taken, or the negated errno.
  int send_some(int socket);
  size_t write_control(Slot& slot, const Outgoing& datagram) const;
  void make_room();

  sa_family_t family_;
  size_t limit_;
  size_t used_ = 0;
  size_t sent_ = 0;
  size_t payload_used_ = 0;
  std::vector<uint8_t> payload_;
  std::vector<Slot> slots_;
  std::vector<mmsghdr> headers_;
};

}  // namespace sallyport::io
