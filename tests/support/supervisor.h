// SPDX-License-Identifier: BSD-3-Clause
/// A small service manager: one service, its notifications, and the descriptors that it leaves with
/// us over a restart. Source: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/fd.h"

namespace sallyport::test {

class Supervisor {
 public:
  struct Kept {
    std::string name;
    Fd fd;
  };

  Supervisor() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un any{};
    any.sun_family = AF_UNIX;
    // No path: the kernel chooses an abstract name, which belongs to the network namespace.
    if (::bind(socket_.raw(), reinterpret_cast<const sockaddr*>(&any), sizeof any.sun_family) != 0)
      return;
    sockaddr_un name{};
    socklen_t length = sizeof name;
    ::getsockname(socket_.raw(), reinterpret_cast<sockaddr*>(&name), &length);
    address_ = "@" + std::string(name.sun_path + 1, length - offsetof(sockaddr_un, sun_path) - 1);
  }
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  ~Supervisor() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  /// Asked of the service from its next start on.
  void set_watchdog(std::chrono::microseconds period) { watchdog_ = period; }

  /// Runs `service` in a child, whose exit code it gives, with all that we keep as descriptors 3,
  /// 4, ... A program is started by execve() in it.
  void start(const std::function<int()>& service) {
    pid_ = ::fork();
    if (pid_ != 0) return;
    prepare();
    ::_exit(service());
  }
  /// -SIGNAL if it was killed.
  int wait() {
    int status = 0;
    if (::waitpid(pid_, &status, 0) != pid_) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

  /// The next message, after doing what it asks for. Nothing: none within the limit.
  std::optional<std::string> hear(std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    pollfd waiting{socket_.raw(), POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(limit.count())) != 1) return {};
    std::array<char, 4096> text{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec part{text.data(), text.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(socket_.raw(), &message, MSG_CMSG_CLOEXEC);
    if (size < 0) return {};
    Fd with;
    const cmsghdr* rights = CMSG_FIRSTHDR(&message);
    if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
      with = Fd(fd);
    }
    std::string said(text.data(), static_cast<size_t>(size));
    obey(said, std::move(with));
    return said;
  }
  /// False: it never says so.
  bool hear_until(std::string_view line) {
    while (const auto said = hear()) {
      if (value_of(*said, line)) return true;
    }
    return false;
  }
  [[nodiscard]] const std::vector<Kept>& kept() const { return kept_; }

 private:
  /// What is behind `begin` in the line that starts with it.
  static std::optional<std::string> value_of(std::string_view said, std::string_view begin) {
    while (!said.empty()) {
      const size_t end = said.find('\n');
      const std::string_view line = said.substr(0, end);
      if (line.starts_with(begin)) return std::string(line.substr(begin.size()));
      said = end == std::string_view::npos ? std::string_view{} : said.substr(end + 1);
    }
    return {};
  }

  void obey(std::string_view said, Fd with) {
    const std::string name = value_of(said, "FDNAME=").value_or("stored");
    if (value_of(said, "FDSTOREREMOVE=1")) {
      std::erase_if(kept_, [&](const Kept& kept) { return kept.name == name; });
    } else if (value_of(said, "FDSTORE=1") && with.valid()) {
      kept_.push_back({name, std::move(with)});
    }
  }

  /// In the child.
  void prepare() const {
    ::setenv("NOTIFY_SOCKET", address_.c_str(), 1);
    if (watchdog_) {
      ::setenv("WATCHDOG_USEC", std::to_string(watchdog_->count()).c_str(), 1);
      ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
    }
    if (kept_.empty()) return;
    std::string names;
    std::vector<int> high;  // out of the way of the places where they go
    for (const Kept& kept : kept_) {
      names += (names.empty() ? "" : ":") + kept.name;
      high.push_back(::fcntl(kept.fd.raw(), F_DUPFD_CLOEXEC, 100));
    }
    for (size_t i = 0; i < high.size(); ++i) ::dup2(high[i], 3 + static_cast<int>(i));
    ::setenv("LISTEN_FDS", std::to_string(kept_.size()).c_str(), 1);
    ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  }

  Fd socket_;
  std::string address_;
  std::optional<std::chrono::microseconds> watchdog_;
  std::vector<Kept> kept_;
  pid_t pid_ = -1;
};

}  // namespace sallyport::test
