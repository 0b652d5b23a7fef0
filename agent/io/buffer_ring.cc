// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/buffer_ring.h"

#include <sys/mman.h>

#include <cerrno>

namespace sallyport::io {
namespace {

constexpr size_t kPageBytes = 4096;

}  // namespace

Result<std::unique_ptr<BufferRing>> BufferRing::create(std::shared_ptr<Ring> ring, unsigned count,
                                                       size_t bytes) {
  std::unique_ptr<BufferRing> made{new BufferRing(std::move(ring), count, bytes)};
  const size_t entries_bytes =
      (count * sizeof(io_uring_buf) + kPageBytes - 1) / kPageBytes * kPageBytes;
  made->mapped_bytes_ = entries_bytes + count * made->stride_;
  void* memory = ::mmap(nullptr, made->mapped_bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail(errno, "mmap of receive buffers");
  made->memory_ = static_cast<uint8_t*>(memory);
  made->buffers_ = made->memory_ + entries_bytes;

  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uintptr_t>(memory);
  registration.ring_entries = count;
  registration.bgid = made->group_;
  const int error = ::io_uring_register_buf_ring(made->ring_->raw(), &registration, 0);
  if (error < 0) return fail(-error, "IORING_REGISTER_PBUF_RING");
  made->registered_ = true;
  for (unsigned id = 0; id < count; ++id) made->give(static_cast<uint16_t>(id));
  return made;
}

BufferRing::~BufferRing() {
  if (registered_) (void)::io_uring_unregister_buf_ring(ring_->raw(), group_);
  if (memory_ != nullptr) ::munmap(memory_, mapped_bytes_);
  ring_->give_back_group(group_);
}

void BufferRing::give(uint16_t id) {
  // The tail lies over the unused end of entry 0, so entries are written field by field, never
  // whole.
  auto* entries = reinterpret_cast<io_uring_buf*>(memory_);
  auto* tail = &reinterpret_cast<io_uring_buf_ring*>(memory_)->tail;
  io_uring_buf& entry = entries[*tail & (count_ - 1)];
  entry.addr = reinterpret_cast<uintptr_t>(buffers_ + id * stride_);
  entry.len = static_cast<uint32_t>(bytes_);
  entry.bid = id;
  __atomic_store_n(tail, static_cast<uint16_t>(*tail + 1), __ATOMIC_RELEASE);
}

}  // namespace sallyport::io
