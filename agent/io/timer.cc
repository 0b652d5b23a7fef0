// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/timer.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "agent/io/clock.h"
#include "agent/io/ring.h"
#include "agent/io/timer_queue.h"

namespace sallyport::io {

class TimerCore final : public Core {
 public:
  TimerCore(Loop& owner, Callback<void()> on_due) : Core(owner), on_due_(std::move(on_due)) {}

  void arm(Instant when) {
    if (!closed()) loop().timers().insert(*this, when);
  }
  void cancel() {
    if (!closed()) loop().timers().remove(*this);
  }
  [[nodiscard]] bool armed() const { return armed_; }

 private:
  friend class TimerQueue;
  void on_close() override {
    loop().timers().remove(*this);
    on_due_.reset();
  }

  Callback<void()> on_due_;
  bool armed_ = false;
  TimerQueue::Entry entry_{};
};

void TimerQueue::insert(TimerCore& timer, Instant deadline) {
  remove(timer);
  // From within a callback, "now" is the next pass: a timer that always asks for it starves nobody.
  timer.entry_ = {std::max(deadline, firing_ + Duration{1}), next_number_++, &timer};
  timer.armed_ = true;
  waiting_.insert(timer.entry_);
}

void TimerQueue::remove(TimerCore& timer) {
  if (!std::exchange(timer.armed_, false)) return;
  waiting_.erase(timer.entry_);
}

void TimerQueue::arm() {
  if (waiting_.empty()) return;  // a timeout still in flight wakes us once for nothing
  const Instant earliest = waiting_.begin()->deadline;
  if (timeout_.in_flight() && armed_for_ <= earliest) return;

  const Duration since_boot = std::max(earliest.time_since_epoch(), Duration{0});
  expiry_.tv_sec = since_boot / std::chrono::seconds{1};
  expiry_.tv_nsec = (since_boot % std::chrono::seconds{1}).count();
  armed_for_ = earliest;
  if (timeout_.in_flight()) {
    loop().update_timeout(timeout_, &expiry_);
    return;
  }
  loop().submit(timeout_, *this, kHandler<&TimerQueue::on_timeout>, [this](io_uring_sqe* sqe) {
    ::io_uring_prep_timeout(sqe, &expiry_, 0, IORING_TIMEOUT_BOOTTIME | IORING_TIMEOUT_ABS);
  });
}

void TimerQueue::on_timeout(int32_t /*result*/, uint32_t /*flags*/) {
  if (!closed()) fire(boot_now());
}

void TimerQueue::fire(Instant now) {
  firing_ = now;
  while (!closed() && !waiting_.empty() && waiting_.begin()->deadline <= now) {
    TimerCore& timer = *waiting_.begin()->timer;
    const std::shared_ptr<Core> keep = timer.shared_from_this();
    remove(timer);
    timer.on_due_();
  }
}

void TimerQueue::on_close() { loop().cancel(timeout_); }

Timer::Timer(Loop& loop, Callback<void()> on_due)
    : core_(std::make_shared<TimerCore>(loop, std::move(on_due))) {}

void Timer::arm(Instant when) {
  if (core_) core_->arm(when);
}
void Timer::cancel() {
  if (core_) core_->cancel();
}
bool Timer::armed() const { return core_ && core_->armed(); }

namespace {

// Armed for a time that never comes; setting the clock is what ends the wait.
Result<void> arm_watch(int timer) {
  itimerspec never{};
  never.it_value.tv_sec = std::numeric_limits<int32_t>::max();
  if (::timerfd_settime(timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr) == 0) {
    return {};
  }
  // ECANCELED: set just now, and armed all the same.
  return errno == ECANCELED ? Result<void>{} : fail(errno, "timerfd_settime");
}

}  // namespace

Result<WallClockWatch> WallClockWatch::create(Loop& loop, Callback<void()> on_set) {
  Fd timer{::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC)};
  if (!timer.valid()) return fail(errno, "timerfd_create");
  const int raw = timer.raw();
  TRY(arm_watch(raw));
  return WallClockWatch{
      Readable{loop, std::move(timer), [raw, on_set = std::move(on_set)](uint32_t) {
                 uint64_t expired = 0;
                 const bool set = ::read(raw, &expired, sizeof expired) < 0 && errno == ECANCELED;
                 (void)arm_watch(raw);
                 if (set) on_set();
               }}};
}

}  // namespace sallyport::io
