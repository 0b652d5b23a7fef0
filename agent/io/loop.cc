// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/loop.h"

#include <cassert>

#include "agent/io/buffer_ring.h"
#include "agent/io/ring.h"
#include "agent/io/timer_queue.h"

namespace sallyport::io {
namespace {

// One read of a busy stream. All buffers come to be touched, so together they are kept small.
constexpr size_t kStreamBufferBytes = 16 * 1024;
constexpr unsigned kStreamBuffers = 32;

}  // namespace

std::vector<uint8_t> own_operations() {
  return {IORING_OP_POLL_ADD, IORING_OP_RECVMSG,        IORING_OP_RECV,
          IORING_OP_SEND,     IORING_OP_ACCEPT,         IORING_OP_CONNECT,
          IORING_OP_TIMEOUT,  IORING_OP_TIMEOUT_REMOVE, IORING_OP_ASYNC_CANCEL};
}

Core::Core(Loop& loop) : loop_(&loop) { loop.adopt(*this); }

Core::~Core() {
  if (loop_ != nullptr) loop_->forget(*this);
}

void Core::close() {
  if (closed_) return;
  closed_ = true;
  const std::shared_ptr<Core> self = shared_from_this();  // a callback may own the last handle
  on_close();
}

Loop::Loop(std::shared_ptr<Ring> ring) : ring_(std::move(ring)) {}

Result<std::unique_ptr<Loop>> Loop::create(const LoopOptions& options) {
  std::unique_ptr<Loop> loop{
      new Loop(TRY(Ring::create(options.entries, options.allowed_operations)))};
  loop->timers_ = std::make_shared<TimerQueue>(*loop);
  return loop;
}

Loop::~Loop() {
  std::vector<std::shared_ptr<Core>> all;
  all.reserve(cores_.size());
  for (Core* core : cores_) {
    if (auto alive = core->weak_from_this().lock()) all.push_back(std::move(alive));
  }
  for (const auto& core : all) core->close();
  // From here on each goes with its last operation, and its descriptor with it: a child that we may
  // not kill ends because its channel does.
  all.clear();
  posted_.clear();  // may destroy handles, and so cancel more
  while (in_flight_ > 0) {
    if (!ring_->enter(true)) break;
    for (size_t left = ring_->ready(); left > 0; --left) dispatch(ring_->take_cqe());
  }
  assert(in_flight_ == 0);
  for (Core* core : cores_) core->loop_ = nullptr;
}

Result<void> Loop::run() {
  while (!stopped_) {
    run_posted();
    TRY(turn(true));
  }
  stopped_ = false;
  return {};
}

Result<void> Loop::run_once() {
  const bool idle = posted_.empty();
  run_posted();
  return turn(idle);
}

Result<void> Loop::turn(bool wait) {
  timers_->arm();
  TRY(ring_->enter(wait && posted_.empty() && !stopped_));
  // Only those that are there now: what callbacks post is due before what they bring about.
  for (size_t left = ring_->ready(); left > 0; --left) dispatch(ring_->take_cqe());
  return {};
}

void Loop::post(Callback<void()> function) { posted_.push_back(std::move(function)); }

void Loop::run_posted() {
  running_.swap(posted_);
  for (const Callback<void()>& function : running_) function();
  running_.clear();
}

io_uring_sqe* Loop::take_sqe() { return ring_->take_sqe(); }

void Loop::begin(io_uring_sqe* sqe, Operation& operation, Core& core, Operation::Handler handler) {
  assert(!operation.in_flight());
  ::io_uring_sqe_set_data(sqe, &operation);
  operation.keep_ = core.shared_from_this();
  operation.handler_ = handler;
  ++in_flight_;
}

void Loop::dispatch(const io_uring_cqe& cqe) {
  auto* operation = static_cast<Operation*>(::io_uring_cqe_get_data(&cqe));
  if (operation == nullptr) return;  // the answer to a cancellation or to an update
  if ((cqe.flags & IORING_CQE_F_MORE) != 0) {
    operation->handler_(*operation->keep_, cqe.res, cqe.flags);
    return;
  }
  --in_flight_;
  const std::shared_ptr<Core> core = std::move(operation->keep_);
  operation->handler_(*core, cqe.res, cqe.flags);
}

void Loop::cancel(const Operation& operation) {
  // Submissions are taken in order, so this one finds its target even if that is still queued, and
  // never a later operation at the same address.
  if (!operation.in_flight()) return;
  io_uring_sqe* sqe = take_sqe();
  ::io_uring_prep_cancel64(sqe, reinterpret_cast<uintptr_t>(&operation), 0);
  ::io_uring_sqe_set_data(sqe, nullptr);
}

void Loop::update_timeout(const Operation& operation, void* kernel_timespec) {
  io_uring_sqe* sqe = take_sqe();
  ::io_uring_prep_timeout_update(sqe, static_cast<__kernel_timespec*>(kernel_timespec),
                                 reinterpret_cast<uintptr_t>(&operation), IORING_TIMEOUT_ABS);
  ::io_uring_sqe_set_data(sqe, nullptr);
}

Result<BufferRing*> Loop::stream_buffers() {
  if (!stream_buffers_) {
    stream_buffers_ = TRY(BufferRing::create(ring_, kStreamBuffers, kStreamBufferBytes));
  }
  return stream_buffers_.get();
}

}  // namespace sallyport::io
