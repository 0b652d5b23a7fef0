// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/ring.h"

#include <cerrno>
#include <cstdlib>

namespace sallyport::io {
namespace {

// Newest first. 6.1 knows DEFER_TASKRUN: completions are then made while we wait and nowhere else.
constexpr unsigned kFlagSets[] = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    0,
};
constexpr unsigned kCompletionsPerEntry = 8;

// What a restricted ring may still register: memory of ours to receive into. The last one lets go
// of the ring at its end; without it the thread would hold it for ever.
constexpr uint8_t kAllowedRegistrations[] = {IORING_REGISTER_PBUF_RING, IORING_UNREGISTER_PBUF_RING,
                                             IORING_UNREGISTER_RING_FDS};

}  // namespace

Result<std::shared_ptr<Ring>> Ring::create(unsigned entries,
                                           const std::optional<std::vector<uint8_t>>& allowed) {
  auto ring = std::make_shared<Ring>();
  int error = 0;
  for (const unsigned flags : kFlagSets) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE |
                   (allowed ? unsigned{IORING_SETUP_R_DISABLED} : 0U);
    params.cq_entries = entries * kCompletionsPerEntry;
    error = ::io_uring_queue_init_params(entries, &ring->ring_, &params);
    if (error != -EINVAL) break;
  }
  if (error != 0) return fail(-error, "io_uring_setup");
  ring->set_up_ = true;
  ::io_uring_ring_dontfork(&ring->ring_);
  // Saves the look-up of the descriptor on each turn; without it everything works too.
  (void)::io_uring_register_ring_fd(&ring->ring_);
  if (allowed) TRY(ring->restrict_to(*allowed));
  return ring;
}

Ring::~Ring() {
  if (set_up_) ::io_uring_queue_exit(&ring_);
}

Result<void> Ring::restrict_to(const std::vector<uint8_t>& allowed) {
  std::vector<io_uring_restriction> list;
  const auto add = [&](uint16_t kind, uint8_t value) {
    io_uring_restriction entry{};
    entry.opcode = kind;
    entry.sqe_op = value;
    list.push_back(entry);
  };
  for (const uint8_t opcode : allowed) add(IORING_RESTRICTION_SQE_OP, opcode);
  add(IORING_RESTRICTION_SQE_OP, IORING_OP_ASYNC_CANCEL);
  for (const uint8_t opcode : kAllowedRegistrations) add(IORING_RESTRICTION_REGISTER_OP, opcode);
  add(IORING_RESTRICTION_SQE_FLAGS_ALLOWED, IOSQE_BUFFER_SELECT);
  // liburing 2.3 declares io_uring_register_restrictions and io_uring_enable_rings and exports
  // neither.
  int error =
      ::io_uring_register(static_cast<unsigned>(ring_.ring_fd), IORING_REGISTER_RESTRICTIONS,
                          list.data(), static_cast<unsigned>(list.size()));
  if (error < 0) return fail(-error, "IORING_REGISTER_RESTRICTIONS");
  error = ::io_uring_register(static_cast<unsigned>(ring_.ring_fd), IORING_REGISTER_ENABLE_RINGS,
                              nullptr, 0);
  if (error < 0) return fail(-error, "IORING_REGISTER_ENABLE_RINGS");
  return {};
}

io_uring_sqe* Ring::take_sqe() {
  for (;;) {
    if (io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_)) return sqe;
    const int submitted = ::io_uring_submit(&ring_);
    if (submitted == -EBUSY || submitted == -EAGAIN) {
      // Completions overflowed: the kernel takes nothing more until they are fetched.
      (void)::io_uring_get_events(&ring_);
      unsigned head = 0;
      unsigned count = 0;
      io_uring_cqe* cqe = nullptr;
      io_uring_for_each_cqe(&ring_, head, cqe) {
        backlog_.push_back(*cqe);
        ++count;
      }
      ::io_uring_cq_advance(&ring_, count);
    } else if (submitted < 0 && submitted != -EINTR) {
      std::abort();  // the wrong thread, or memory of the ring destroyed: a bug of ours
    }
  }
}

Result<void> Ring::enter(bool wait) {
  const int entered = wait && backlog_.empty() ? ::io_uring_submit_and_wait(&ring_, 1)
                                               : ::io_uring_submit_and_get_events(&ring_);
  if (entered >= 0 || entered == -EINTR || entered == -EAGAIN || entered == -EBUSY) return {};
  return fail(-entered, "io_uring_enter");
}

size_t Ring::ready() { return backlog_.size() + ::io_uring_cq_ready(&ring_); }

io_uring_cqe Ring::take_cqe() {
  if (!backlog_.empty()) {
    const io_uring_cqe oldest = backlog_.front();
    backlog_.pop_front();
    return oldest;
  }
  io_uring_cqe* cqe = nullptr;
  (void)::io_uring_peek_cqe(&ring_, &cqe);
  const io_uring_cqe oldest = *cqe;
  ::io_uring_cqe_seen(&ring_, cqe);
  return oldest;
}

uint16_t Ring::take_group() {
  if (free_groups_.empty()) return next_group_++;
  const uint16_t group = free_groups_.back();
  free_groups_.pop_back();
  return group;
}

}  // namespace sallyport::io
