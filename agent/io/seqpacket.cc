// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/seqpacket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>

#include "agent/io/ring.h"

namespace sallyport::io {
namespace {

constexpr size_t kControlBytes = CMSG_SPACE(Seqpacket::kMessageFds * sizeof(int));

// Takes ownership of every descriptor that came with a message.
std::vector<Fd> take_fds(msghdr& message) {
  std::vector<Fd> fds;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int raw = -1;
      std::memcpy(&raw, CMSG_DATA(header) + i * sizeof raw, sizeof raw);
      fds.emplace_back(raw);
    }
  }
  return fds;
}

// 0 or errno.
int send_now(int socket, ByteView bytes, const std::vector<Fd>& fds) {
  iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};  // sendmsg only reads
  alignas(cmsghdr) std::array<uint8_t, kControlBytes> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    for (size_t i = 0; i < fds.size(); ++i) {
      const int raw = fds[i].raw();
      std::memcpy(CMSG_DATA(header) + i * sizeof raw, &raw, sizeof raw);
    }
  }
  for (;;) {
    if (::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

}  // namespace

class SeqpacketCore final : public Core {
 public:
  SeqpacketCore(Loop& owner, Fd fd, SeqpacketCallbacks callbacks, size_t send_queue)
      : Core(owner),
        fd_(std::move(fd)),
        on_(std::move(callbacks)),
        send_queue_(send_queue),
        buffer_(Seqpacket::kMessageBytes) {}

  void receive() {
    part_ = {buffer_.data(), buffer_.size()};
    message_ = {};
    message_.msg_iov = &part_;
    message_.msg_iovlen = 1;
    message_.msg_control = control_.data();
    message_.msg_controllen = control_.size();
    loop().submit(receive_, *this, kHandler<&SeqpacketCore::on_receive>, [this](io_uring_sqe* sqe) {
      ::io_uring_prep_recvmsg(sqe, fd_.raw(), &message_, MSG_CMSG_CLOEXEC);
    });
  }

  Offer send(ByteView bytes, std::vector<Fd>&& fds) {
    if (closed() || broken_) return Offer::kClosed;
    if (bytes.empty() || bytes.size() > Seqpacket::kMessageBytes ||
        fds.size() > Seqpacket::kMessageFds) {
      return Offer::kTooBig;
    }
    if (queue_.empty()) {
      const int error = send_now(fd_.raw(), bytes, fds);
      if (error == 0) {
        fds.clear();
        return Offer::kTaken;
      }
      if (error != EAGAIN) return give_up(error), Offer::kClosed;
    }
    if (queued_bytes_ + bytes.size() > send_queue_) {
      wants_writable_ = true;
      if (!writable_.in_flight()) wait_writable();
      return Offer::kFull;
    }
    queue_.push_back({Bytes(bytes.begin(), bytes.end()), std::move(fds)});
    fds.clear();
    queued_bytes_ += bytes.size();
    if (!writable_.in_flight()) wait_writable();
    return Offer::kTaken;
  }

  [[nodiscard]] size_t queued_bytes() const { return queued_bytes_; }

 private:
  struct Message {
    Bytes bytes;
    std::vector<Fd> fds;
  };

  void on_receive(int32_t result, uint32_t /*flags*/) {
    // Also for nobody: the descriptors have to be closed.
    std::vector<Fd> fds;
    if (result >= 0) fds = take_fds(message_);
    if (closed()) return;
    if (result == -EINTR || result == -EAGAIN) return receive();
    if (result < 0) return end(Error{{-result, std::generic_category()}, "receive on seqpacket"});
    if ((message_.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
      return end(Error{{EMSGSIZE, std::generic_category()}, "receive on seqpacket"});
    }
    if (result == 0) return end(std::nullopt);  // empty messages are not sent
    on_.on_message(ByteView{buffer_}.first(static_cast<size_t>(result)), std::move(fds));
    if (!closed()) receive();
  }

  void end(const std::optional<Error>& error) {
    if (error) broken_ = true;
    if (std::exchange(ended_, true)) return;
    on_.on_end(error);
  }

  // Sending has failed. What the peer sent before is still read; then the end comes by itself,
  // since the other end is gone.
  void give_up(int error) {
    broken_ = true;
    queue_.clear();
    queued_bytes_ = 0;
    if (error == EPIPE || error == ECONNRESET) return;
    loop().post([self = std::static_pointer_cast<SeqpacketCore>(shared_from_this()), error] {
      if (!self->closed()) self->end(Error{{error, std::generic_category()}, "send on seqpacket"});
    });
  }

  void wait_writable() {
    loop().submit(writable_, *this, kHandler<&SeqpacketCore::on_poll>,
                  [this](io_uring_sqe* sqe) { ::io_uring_prep_poll_add(sqe, fd_.raw(), POLLOUT); });
  }

  void on_poll(int32_t /*result*/, uint32_t /*flags*/) {
    if (closed() || broken_) return;
    while (!queue_.empty()) {
      const int error = send_now(fd_.raw(), queue_.front().bytes, queue_.front().fds);
      if (error == EAGAIN) break;
      if (error != 0) return give_up(error);
      queued_bytes_ -= queue_.front().bytes.size();
      queue_.pop_front();
    }
    if (!queue_.empty()) wait_writable();
    if (wants_writable_ && queued_bytes_ <= send_queue_ / 2) {
      wants_writable_ = false;
      on_.on_writable();
    }
  }

  void on_close() override {
    on_ = {};
    queue_.clear();
    loop().cancel(receive_);
    loop().cancel(writable_);
  }

  Fd fd_;
  SeqpacketCallbacks on_;
  size_t send_queue_;
  Bytes buffer_;
  alignas(cmsghdr) std::array<uint8_t, kControlBytes> control_{};
  iovec part_{};
  msghdr message_{};
  std::deque<Message> queue_;
  size_t queued_bytes_ = 0;
  Operation receive_;
  Operation writable_;
  bool ended_ = false;
  bool broken_ = false;
  bool wants_writable_ = false;
};

Result<Seqpacket> Seqpacket::adopt(Loop& loop, Fd socket, SeqpacketCallbacks callbacks,
                                   size_t send_queue) {
  const int status = ::fcntl(socket.raw(), F_GETFL);
  if (status < 0 || ::fcntl(socket.raw(), F_SETFL, status & ~O_NONBLOCK) < 0) {
    return fail(errno, "F_SETFL");
  }
  auto core =
      std::make_shared<SeqpacketCore>(loop, std::move(socket), std::move(callbacks), send_queue);
  core->receive();
  return Seqpacket{Handle<SeqpacketCore>{std::move(core)}};
}

Result<std::pair<Fd, Fd>> Seqpacket::pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail(errno, "socketpair");
  }
  return std::pair{Fd{ends[0]}, Fd{ends[1]}};
}

Offer Seqpacket::send(ByteView message, std::vector<Fd>&& fds) {
  return core_ ? core_->send(message, std::move(fds)) : Offer::kClosed;
}
size_t Seqpacket::queued_bytes() const { return core_ ? core_->queued_bytes() : 0; }

}  // namespace sallyport::io
