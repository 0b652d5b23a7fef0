// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/stream.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

#include "agent/io/buffer_ring.h"

namespace sallyport::io {
namespace {

// A buffer that has grown over this is given back when it has drained.
constexpr size_t kKeptBytes = size_t{64} * 1024;

}  // namespace

class StreamCore final : public Core {
 public:
  StreamCore(Loop& owner, Fd fd, StreamCallbacks callbacks, BufferRing& buffers, size_t send_queue)
      : Core(owner),
        fd_(std::move(fd)),
        on_(std::move(callbacks)),
        buffers_(buffers),
        send_queue_(send_queue) {}

  // One receive at a time: a busy stream cannot take all buffers from the others, and there is
  // nothing to call back when the owner pauses. Submitting again costs no system call of its own.
  void receive() {
    if (receive_.in_flight() || ended_ || paused_) return;
    loop().submit(receive_, *this, kHandler<&StreamCore::on_receive>, [this](io_uring_sqe* sqe) {
      ::io_uring_prep_recv(sqe, fd_.raw(), nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = buffers_.group();
    });
  }

  Offer write(ByteView bytes) {
    if (closed() || broken_ || shutdown_) return Offer::kClosed;
    if (bytes.size() > send_queue_) return Offer::kTooBig;
    if (queued_bytes() + bytes.size() > send_queue_) {
      wants_writable_ = true;
      return Offer::kFull;
    }
    waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
    send_later();
    return Offer::kTaken;
  }

  void shutdown() {
    if (closed() || shutdown_) return;
    shutdown_ = true;
    send_later();
  }

  void pause() { paused_ = true; }
  void resume() {
    if (closed() || !paused_) return;
    paused_ = false;
    loop().post([self = std::static_pointer_cast<StreamCore>(shared_from_this())] {
      self->deliver_held();
      if (!self->closed()) self->receive();
    });
  }

  Result<Fd> detach() {
    if (closed()) return fail(EBADF, "detach of a closed stream");
    Fd duplicate{::fcntl(fd_.raw(), F_DUPFD_CLOEXEC, 0)};
    if (!duplicate.valid()) return fail(errno, "detach of a stream");
    close();
    return duplicate;
  }

  [[nodiscard]] int raw() const { return fd_.raw(); }
  [[nodiscard]] size_t queued_bytes() const { return waiting_.size() + leaving_.size() - left_; }

 private:
  void on_receive(int32_t result, uint32_t flags) {
    if ((flags & IORING_CQE_F_BUFFER) != 0) {
      if (result > 0 && !closed()) {
        const auto bytes = buffers_.picked(flags).first(static_cast<size_t>(result));
        if (paused_) {
          held_.assign(bytes.begin(), bytes.end());
        } else {
          on_.on_data(bytes);
        }
      }
      buffers_.give_back(flags);
    }
    if (closed()) return;
    if (result > 0 || result == -ENOBUFS || result == -EINTR || result == -EAGAIN) {
      receive();
      return;
    }
    const std::optional<Error> error =
        result == 0 ? std::nullopt
                    : std::optional{Error{{-result, std::generic_category()}, "receive on stream"}};
    if (error) broken_ = true;
    end(error);
  }

  void deliver_held() {
    if (closed() || paused_ || held_.empty()) return;
    const Bytes bytes = std::exchange(held_, {});
    on_.on_data(bytes);
  }

  void end(const std::optional<Error>& error) {
    if (ended_) return;
    ended_ = true;
    on_.on_end(error);
  }

  void send_later() {
    if (send_posted_ || send_.in_flight()) return;
    send_posted_ = true;
    loop().post([self = std::static_pointer_cast<StreamCore>(shared_from_this())] {
      self->send_posted_ = false;
      if (!self->closed()) self->send();
    });
  }

  void send() {
    if (send_.in_flight() || broken_) return;
    if (left_ == leaving_.size()) {
      left_ = 0;
      leaving_.clear();
      if (leaving_.capacity() > kKeptBytes) leaving_.shrink_to_fit();
      leaving_.swap(waiting_);
    }
    if (leaving_.empty()) {
      if (shutdown_) (void)::shutdown(fd_.raw(), SHUT_WR);
      return;
    }
    loop().submit(send_, *this, kHandler<&StreamCore::on_send>, [this](io_uring_sqe* sqe) {
      ::io_uring_prep_send(sqe, fd_.raw(), leaving_.data() + left_, leaving_.size() - left_,
                           MSG_NOSIGNAL);
    });
  }

  void on_send(int32_t result, uint32_t /*flags*/) {
    if (closed()) return;
    if (result < 0 && result != -EINTR && result != -EAGAIN) {
      broken_ = true;
      leaving_.clear();
      waiting_.clear();
      left_ = 0;
      // What the peer has sent before is still to be read; the end comes after it.
      if (!receive_.in_flight()) {
        end(Error{{-result, std::generic_category()}, "send on stream"});
      }
      return;
    }
    if (result > 0) left_ += static_cast<size_t>(result);
    send();
    if (wants_writable_ && queued_bytes() <= send_queue_ / 2) {
      wants_writable_ = false;
      on_.on_writable();
    }
  }

  void on_close() override {
    on_ = {};
    loop().cancel(receive_);
    loop().cancel(send_);
  }

  Fd fd_;
  StreamCallbacks on_;
  BufferRing& buffers_;  // the loop's; used by operations in flight only
  size_t send_queue_;
  Bytes leaving_;  // the kernel reads from it while send_ is in flight
  size_t left_ = 0;
  Bytes waiting_;
  Bytes held_;  // arrived after pause()
  Operation receive_;
  Operation send_;
  bool paused_ = false;
  bool ended_ = false;
  bool broken_ = false;
  bool shutdown_ = false;
  bool send_posted_ = false;
  bool wants_writable_ = false;
};

Result<Stream> Stream::adopt(Loop& loop, Fd socket, StreamCallbacks callbacks, size_t send_queue) {
  const int status = ::fcntl(socket.raw(), F_GETFL);
  if (status < 0 || ::fcntl(socket.raw(), F_SETFL, status & ~O_NONBLOCK) < 0) {
    return fail(errno, "F_SETFL");
  }
  BufferRing* buffers = TRY(loop.stream_buffers());
  auto core = std::make_shared<StreamCore>(loop, std::move(socket), std::move(callbacks), *buffers,
                                           send_queue);
  core->receive();
  return Stream{Handle<StreamCore>{std::move(core)}};
}

Offer Stream::write(ByteView bytes) { return core_ ? core_->write(bytes) : Offer::kClosed; }
void Stream::shutdown() {
  if (core_) core_->shutdown();
}
void Stream::pause() {
  if (core_) core_->pause();
}
void Stream::resume() {
  if (core_) core_->resume();
}
Result<Fd> Stream::detach() {
  if (!core_) return fail(EBADF, "detach of no stream");
  return core_->detach();
}
int Stream::raw() const { return core_ ? core_->raw() : -1; }
size_t Stream::queued_bytes() const { return core_ ? core_->queued_bytes() : 0; }

}  // namespace sallyport::io
