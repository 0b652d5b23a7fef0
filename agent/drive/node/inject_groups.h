// SPDX-License-Identifier: BSD-3-Clause
/// Packets for WireGuard, gathered into groups that the kernel takes as one (udp(7), UDP_SEGMENT).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/model/ip.h"

namespace sallyport {

/// Packets of one peer in their order, one after the other: all of segment_bytes, the last one may
/// be smaller.
struct InjectGroup {
  IpAddress parking;
  size_t segment_bytes = 0;
  size_t packets = 0;
  Bytes bytes;
};

/// A queue in bounded memory. The packets of one peer keep their order, those of different peers
/// do not.
class InjectGroups {
 public:
  /// Of a group. Older kernels take no more segments; a datagram has 16 bits for its length.
  static constexpr size_t kMaxPackets = 64;
  static constexpr size_t kMaxBytes = 65'000;
  /// Of all that waits.
  static constexpr size_t kQueuePackets = 1024;
  static constexpr size_t kQueueBytes = size_t{1} << 20;

  /// Copies it. False: the queue is full, or it is empty or longer than a group may be.
  [[nodiscard]] bool add(const IpAddress& parking, ByteView packet);
  [[nodiscard]] bool empty() const { return groups_.empty(); }
  /// The oldest; only if there is one.
  [[nodiscard]] const InjectGroup& front() const { return groups_.front(); }
  void pop();
  /// That wait.
  [[nodiscard]] size_t packets() const { return packets_; }

 private:
  InjectGroup* find_open(const IpAddress& parking, size_t size);
  InjectGroup& begin(const IpAddress& parking, size_t size);

  std::deque<InjectGroup> groups_;
  size_t packets_ = 0;
  size_t bytes_ = 0;
  std::vector<Bytes> spare_;  // buffers of groups that are gone
};

}  // namespace sallyport
