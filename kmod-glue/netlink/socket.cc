// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/netlink/socket.h"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

namespace sallyport {
namespace {

// The kernel fills dump datagrams up to the size of the reader's buffer, to this much at most.
// Source: netlink_dump, netlink_recvmsg (net/netlink/af_netlink.c).
constexpr size_t kReceiveBytes = 32768;
// Only for an answer that got lost: the kernel answers before sendmsg returns.
constexpr timeval kAnswerWithin{.tv_sec = 10, .tv_usec = 0};

/// Receives one datagram at a time; wiped, because dumps carry private keys.
class Receiver {
 public:
  Receiver() : buffer_(std::make_unique_for_overwrite<uint8_t[]>(kReceiveBytes)) {}
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  ~Receiver() { explicit_bzero(buffer_.get(), most_); }

  /// The next datagram from the kernel itself, or errno.
  Result<ByteView, int> receive(int fd) {
    while (true) {
      sockaddr_nl from{};
      iovec part{buffer_.get(), kReceiveBytes};
      msghdr header{};
      header.msg_name = &from;
      header.msg_namelen = sizeof(from);
      header.msg_iov = &part;
      header.msg_iovlen = 1;
      const ssize_t got = recvmsg(fd, &header, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Fail{errno};
      most_ = std::max(most_, static_cast<size_t>(got));
      if (from.nl_pid != 0) continue;  // any process may write to us
      if ((header.msg_flags & MSG_TRUNC) != 0) return Fail{EMSGSIZE};
      return ByteView{buffer_.get(), static_cast<size_t>(got)};
    }
  }

 private:
  std::unique_ptr<uint8_t[]> buffer_;
  size_t most_ = 0;
};

Fail<Error> refused(std::string_view doing, const Acknowledgement& ack) {
  return fail(ack.error,
              ack.words.empty() ? std::string(doing) : fmt::format("{}: {}", doing, ack.words));
}

Fail<Error> unheard(std::string_view doing, int number) {
  switch (number) {
    case EAGAIN:
      return fail(ETIMEDOUT, fmt::format("{}: no answer from the kernel", doing));
    case ENOBUFS:
      return fail(ENOBUFS, fmt::format("{}: the kernel's answer was lost", doing));
    default:
      return fail(number, fmt::format("{}: receive the answer", doing));
  }
}

}  // namespace

Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd.valid()) return fail(errno, fmt::format("open netlink socket {}", protocol));
  // Text with errors, and answers that do not quote our message (and its keys). A kernel that
  // knows neither still answers.
  const int on = 1;
  for (const int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK}) {
    setsockopt(fd.raw(), SOL_NETLINK, option, &on, sizeof(on));
  }
  if (setsockopt(fd.raw(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerWithin, sizeof(kAnswerWithin)) != 0) {
    return fail(errno, "limit the wait of a netlink socket");
  }
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  if (bind(fd.raw(), reinterpret_cast<const sockaddr*>(&self), sizeof(self)) != 0) {
    return fail(errno, "bind a netlink socket");
  }
  return NetlinkSocket(std::move(fd));
}

Result<void> NetlinkSocket::be_strict() {
  const int on = 1;
  if (setsockopt(fd_.raw(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on)) != 0) {
    return fail(errno, "set a netlink socket to strict checking");
  }
  return {};
}

Result<void> NetlinkSocket::request(Message& message, std::string_view doing, const Visit& visit) {
  message.header()->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
  TRY(exchange(message, doing, visit));
  return {};
}

Result<NetlinkSocket::DumpEnd> NetlinkSocket::dump(Message& message, std::string_view doing,
                                                   const Visit& visit) {
  message.header()->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
  return exchange(message, doing, visit);
}

Result<NetlinkSocket::DumpEnd> NetlinkSocket::exchange(Message& message, std::string_view doing,
                                                       const Visit& visit) {
  message.header()->nlmsg_seq = ++sequence_;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const ByteView bytes = message.bytes();
  while (sendto(fd_.raw(), bytes.data(), bytes.size(), 0,
                reinterpret_cast<const sockaddr*>(&kernel), sizeof(kernel)) < 0) {
    if (errno != EINTR) return fail(errno, fmt::format("{}: send the request", doing));
  }

  Receiver receiver;
  bool understood = true;
  bool interrupted = false;
  while (true) {
    const auto datagram = receiver.receive(fd_.raw());
    if (!datagram) return unheard(doing, datagram.error());
    AnswerWalk walk(*datagram);
    while (const auto answer = walk.next()) {
      if (answer->sequence != sequence_) continue;  // of an earlier request that was given up
      interrupted = interrupted || (answer->flags & NLM_F_DUMP_INTR) != 0;
      if (answer->type == NLMSG_NOOP) continue;
      if (answer->type != NLMSG_ERROR && answer->type != NLMSG_DONE) {
        // A dump is read to its end even so: the kernel starts no second one before.
        if (visit) understood = visit(*answer) && understood;
        continue;
      }
      const auto ack = parse_acknowledgement(*answer, bytes);
      if (ack && ack->error != 0) return refused(doing, *ack);
      if (!ack || !understood) return fail(EBADMSG, fmt::format("{}: read the answer", doing));
      return interrupted ? DumpEnd::kInterrupted : DumpEnd::kComplete;
    }
    if (walk.malformed()) understood = false;
  }
}

}  // namespace sallyport
