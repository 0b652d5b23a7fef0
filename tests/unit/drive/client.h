// SPDX-License-Identifier: BSD-3-Clause
/// Who asks a server of ours, in the thread of its loop: nothing here waits.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "agent/base/fd.h"

namespace sallyport {

class Client {
 public:
  explicit Client(const std::string& unix_path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, unix_path.data(), unix_path.size());
    connect(to);
  }
  /// On 127.0.0.1.
  explicit Client(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connect(to);
  }
  void send(std::string_view text) const {
    EXPECT_EQ(::send(socket_.raw(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  /// Takes what is there; true once the other side has ended.
  bool ended() {
    std::array<char, 4096> part{};
    while (true) {
      const ssize_t size = ::recv(socket_.raw(), part.data(), part.size(), MSG_DONTWAIT);
      if (size == 0) return true;
      if (size < 0) return errno != EAGAIN;
      heard_.append(part.data(), static_cast<size_t>(size));
    }
  }
  [[nodiscard]] const std::string& heard() const { return heard_; }
  void hang_up() { socket_.reset(); }

 private:
  void connect(const auto& to) const {
    EXPECT_EQ(::connect(socket_.raw(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  }

  Fd socket_;
  std::string heard_;
};

}  // namespace sallyport
