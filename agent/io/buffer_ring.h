// SPDX-License-Identifier: BSD-3-Clause
/// Memory that the kernel picks a buffer from when data arrives, not before. For this room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "agent/base/result.h"
#include "agent/io/ring.h"

namespace sallyport::io {

/// `count` buffers of `bytes` each, registered with the ring as one group. Pages are touched only
/// as data arrives. Destroyed on the ring's thread, when no operation that selects from it is in
/// flight.
class BufferRing {
 public:
  /// `count`: a power of two, at most 32768.
  static Result<std::unique_ptr<BufferRing>> create(std::shared_ptr<Ring> ring, unsigned count,
                                                    size_t bytes);
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;
  ~BufferRing();

  [[nodiscard]] uint16_t group() const { return group_; }
  /// The buffer that a completion with these flags (IORING_CQE_F_BUFFER) has filled.
  [[nodiscard]] std::span<uint8_t> picked(uint32_t cqe_flags) const {
    const size_t id = cqe_flags >> IORING_CQE_BUFFER_SHIFT;
    return {buffers_ + id * stride_, bytes_};
  }
  /// The kernel may fill it again.
  void give_back(uint32_t cqe_flags) {
    give(static_cast<uint16_t>(cqe_flags >> IORING_CQE_BUFFER_SHIFT));
  }

 private:
  static constexpr size_t kLineBytes = 64;  // a cache line; aligns what the kernel puts in front

  BufferRing(std::shared_ptr<Ring> ring, unsigned count, size_t bytes)
      : ring_(std::move(ring)),
        count_(count),
        bytes_(bytes),
        stride_((bytes + kLineBytes - 1) / kLineBytes * kLineBytes),
        group_(ring_->take_group()) {}
  void give(uint16_t id);

  std::shared_ptr<Ring> ring_;
  unsigned count_;
  size_t bytes_;
  size_t stride_;
  uint16_t group_;
  bool registered_ = false;
  uint8_t* memory_ = nullptr;  // the ring's entries, then the buffers
  uint8_t* buffers_ = nullptr;
  size_t mapped_bytes_ = 0;
};

}  // namespace sallyport::io
