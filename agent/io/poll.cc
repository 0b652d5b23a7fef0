// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/poll.h"

#include <fcntl.h>
#include <poll.h>

#include "agent/io/ring.h"

namespace sallyport::io {

class ReadableCore final : public Core {
 public:
  ReadableCore(Loop& owner, Fd fd, Callback<void(uint32_t)> on_readable)
      : Core(owner), fd_(std::move(fd)), on_readable_(std::move(on_readable)) {}

  void ask() {
    loop().submit(poll_, *this, kHandler<&ReadableCore::on_poll>,
                  [this](io_uring_sqe* sqe) { ::io_uring_prep_poll_add(sqe, fd_.raw(), POLLIN); });
  }

 private:
  void on_poll(int32_t result, uint32_t /*flags*/) {
    if (closed()) return;
    on_readable_(result < 0 ? uint32_t{POLLERR} : static_cast<uint32_t>(result));
    const bool over = result < 0 || (result & POLLNVAL) != 0;
    if (!closed() && !over) ask();
  }
  void on_close() override {
    on_readable_.reset();
    loop().cancel(poll_);
  }

  Fd fd_;
  Callback<void(uint32_t)> on_readable_;
  Operation poll_;
};

Readable::Readable(Loop& loop, Fd fd, Callback<void(uint32_t)> on_readable)
    : core_(std::make_shared<ReadableCore>(loop, std::move(fd), std::move(on_readable))) {
  core_->ask();
}

Readable Readable::borrow(Loop& loop, int borrowed, Callback<void(uint32_t)> on_readable) {
  // A duplicate: the number cannot come to mean another file while a submission names it.
  return Readable{loop, Fd{::fcntl(borrowed, F_DUPFD_CLOEXEC, 0)}, std::move(on_readable)};
}

}  // namespace sallyport::io
