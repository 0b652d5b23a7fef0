// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/opening.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace sallyport {
namespace {

constexpr int kPatienceMs = 30'000;
constexpr size_t kMostFds = static_cast<size_t>(channel::JoinFd::kCount);

std::vector<Fd> descriptors_of(msghdr& message) {
  std::vector<Fd> out;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      out.emplace_back(fd);
    }
  }
  return out;
}

}  // namespace

Result<Opening> read_opening(const Fd& agent) {
  pollfd wait{agent.raw(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&wait, 1, kPatienceMs);
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) return fail(errno, "wait for the agent");
  if (ready == 0) return fail(ETIMEDOUT, "wait for the agent");

  Bytes bytes(channel::kMaxMessage);
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(kMostFds * sizeof(int))> control{};
  iovec part{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t length = ::recvmsg(agent.raw(), &message, MSG_CMSG_CLOEXEC);
  if (length < 0) return fail(errno, "read the agent's first message");
  if (length == 0) return fail(EPIPE, "read the agent's first message");
  Opening out;
  out.fds = descriptors_of(message);
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return fail(EBADMSG, "the agent's first message");
  auto records = channel::parse_agent_message(ByteView(bytes.data(), static_cast<size_t>(length)));
  if (!records || records->empty()) return fail(EBADMSG, "the agent's first message");
  out.records = *std::move(records);
  return out;
}

}  // namespace sallyport
