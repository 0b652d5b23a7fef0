// SPDX-License-Identifier: BSD-3-Clause
/// The event loop: one thread, one io_uring.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_set>
#include <vector>

#include "agent/base/result.h"
#include "agent/io/callback.h"
#include "agent/io/operation.h"

struct io_uring_sqe;
struct io_uring_cqe;

namespace sallyport::io {

class BufferRing;
class Ring;
class TimerQueue;

struct LoopOptions {
  /// Submissions that fit in one system call; more are possible and cost a second one.
  unsigned entries = 256;
  /// If given, the ring starts disabled and the kernel will never accept another operation
  /// (IORING_OP_*) on it. io_uring bypasses seccomp; this is what bounds it instead, provided that
  /// seccomp forbids io_uring_setup afterwards. Source: io_uring_register(2),
  /// IORING_REGISTER_RESTRICTIONS.
  std::optional<std::vector<uint8_t>> allowed_operations;
};

/// What the objects of this room submit, and nothing that opens, names or maps anything.
[[nodiscard]] std::vector<uint8_t> own_operations();

/// Everything that belongs to a loop is created, used and destroyed on the thread that created it.
/// Objects may outlive their loop; they are then closed and their calls do nothing.
/// A callback never runs inside a call to an object, only from run() or run_once().
class Loop {
 public:
  /// Errors: ENOSYS, EPERM (kernel.io_uring_disabled), ENOMEM.
  static Result<std::unique_ptr<Loop>> create(const LoopOptions& options = {});
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  /// Closes every object, cancels what is in flight and waits until the kernel has let go of it.
  ~Loop();

  /// Runs until stop(). Errors: the ring itself failed; nothing further will work.
  Result<void> run();
  /// run() returns after the present turn; if it does not run, its next call returns at once.
  void stop() { stopped_ = true; }
  /// One turn: what was posted, then waits for at least one completion unless there was something
  /// to do, and handles those that are there.
  Result<void> run_once();
  /// Calls `function` at the next turn, in the order of the calls. Same thread only.
  void post(Callback<void()> function);

  /// Operations that the kernel has not finished with.
  [[nodiscard]] size_t in_flight() const { return in_flight_; }

  // For the objects of this room.

  /// Submits at the end of the turn. `fill` prepares the io_uring_sqe*; what the sqe points to
  /// lives in `core`.
  template <class Fill>
  void submit(Operation& operation, Core& core, Operation::Handler handler, Fill&& fill) {
    io_uring_sqe* sqe = take_sqe();
    fill(sqe);
    begin(sqe, operation, core, handler);
  }
  /// Asks the kernel to complete it soon, if it is in flight.
  void cancel(const Operation& operation);
  /// Changes the expiry of a timeout in flight; if it has just expired nothing happens.
  void update_timeout(const Operation& operation, void* kernel_timespec);
  [[nodiscard]] const std::shared_ptr<Ring>& ring() const { return ring_; }
  [[nodiscard]] TimerQueue& timers() const { return *timers_; }
  /// Buffers that all streams receive into.
  Result<BufferRing*> stream_buffers();

 private:
  friend class Core;
  explicit Loop(std::shared_ptr<Ring> ring);
  void adopt(Core& core) { cores_.insert(&core); }
  void forget(Core& core) { cores_.erase(&core); }
  io_uring_sqe* take_sqe();
  void begin(io_uring_sqe* sqe, Operation& operation, Core& core, Operation::Handler handler);
  void run_posted();
  Result<void> turn(bool wait);
  void dispatch(const io_uring_cqe& cqe);

  std::shared_ptr<Ring> ring_;
  std::unique_ptr<BufferRing> stream_buffers_;
  std::shared_ptr<TimerQueue> timers_;
  std::unordered_set<Core*> cores_;
  std::vector<Callback<void()>> posted_;
  std::vector<Callback<void()>> running_;
  size_t in_flight_ = 0;
  bool stopped_ = false;
};

}  // namespace sallyport::io
