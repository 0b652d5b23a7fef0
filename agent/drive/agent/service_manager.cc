// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace sallyport {
namespace {

constexpr int kFirstFd = 3;  // SD_LISTEN_FDS_START

std::string take_variable(const char* name) {
  const char* value = ::getenv(name);
  std::string out = value == nullptr ? "" : value;
  ::unsetenv(name);
  return out;
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return {};
  return out;
}

bool for_us(std::string_view pid) { return number(pid) == static_cast<uint64_t>(::getpid()); }

void send(const std::string& address, std::string_view state, int fd) {
  if (address.empty()) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (address.size() >= sizeof to.sun_path) return;
  std::memcpy(to.sun_path, address.data(), address.size());
  if (to.sun_path[0] == '@') to.sun_path[0] = '\0';  // abstract namespace
  const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));

  iovec part{const_cast<char*>(state.data()), state.size()};
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  // The manager may be gone or slow; nothing of ours depends on it.
  [[maybe_unused]] const ssize_t sent =
      ::sendmsg(socket.raw(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

ServiceManager ServiceManager::from_environment() {
  ServiceManager out;
  out.address_ = take_variable("NOTIFY_SOCKET");
  const std::string watchdog_pid = take_variable("WATCHDOG_PID");
  const auto watchdog = number(take_variable("WATCHDOG_USEC"));
  if (watchdog && *watchdog > 0 && (watchdog_pid.empty() || for_us(watchdog_pid))) {
    out.watchdog_ = std::chrono::microseconds(*watchdog);
  }
  const std::string pid = take_variable("LISTEN_PID");
  const auto count = number(take_variable("LISTEN_FDS"));
  const std::string names = take_variable("LISTEN_FDNAMES");
  if (!count || *count > 4096 || !for_us(pid)) return out;
  std::string_view rest = names;
  for (int i = 0; i < static_cast<int>(*count); ++i) {
    const size_t colon = rest.find(':');
    StoredFd stored{std::string(rest.substr(0, colon)), Fd(kFirstFd + i)};
    rest = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon + 1);
    ::fcntl(stored.fd.raw(), F_SETFD, FD_CLOEXEC);
    out.stored_.push_back(std::move(stored));
  }
  return out;
}

void ServiceManager::notify(std::string_view state) const { send(address_, state, -1); }

void ServiceManager::store(int fd, std::string_view name) const {
  send(address_, "FDSTORE=1\nFDNAME=" + std::string(name), fd);
}

void ServiceManager::forget(std::string_view name) const {
  send(address_, "FDSTOREREMOVE=1\nFDNAME=" + std::string(name), -1);
}

}  // namespace sallyport
