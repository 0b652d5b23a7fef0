// SPDX-License-Identifier: BSD-3-Clause
#include "tests/interop/scenes/page_server.h"

#include <poll.h>
#include <sodium.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>

#include "tests/support/scene/net.h"
#include "tests/support/scene/traffic.h"

namespace sallyport::scene {
namespace {

std::string sum_of(const std::string& page) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> sum{};
  crypto_hash_sha256(sum.data(), reinterpret_cast<const unsigned char*>(page.data()), page.size());
  std::array<char, (2 * sum.size()) + 1> text{};
  return sodium_bin2hex(text.data(), text.size(), sum.data(), sum.size());
}

}  // namespace

PageServer::PageServer(const std::string& netns, const std::string& local, size_t bytes)
    : page_(bytes, '\0'), wake_(::eventfd(0, EFD_CLOEXEC)) {
  randombytes_buf(page_.data(), page_.size());
  sha256_ = sum_of(page_);
  SocketAddress at = socket_address(local, 0);
  inside(netns, [&] {
    listener_ = Fd(::socket(at.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ::bind(listener_.raw(), at.get(), at.length);
    ::listen(listener_.raw(), 8);
  });
  const std::string host = local.find(':') == std::string::npos ? local : "[" + local + "]";
  url_ = "http://" + host + ":" + std::to_string(port_of(listener_)) + "/";
  thread_ = std::thread([this] { serve(); });
}

PageServer::~PageServer() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_.raw(), &one, sizeof one);
  thread_.join();
}

void PageServer::serve() {
  for (;;) {
    std::array<pollfd, 2> both{{{wake_.raw(), POLLIN, 0}, {listener_.raw(), POLLIN, 0}}};
    ::poll(both.data(), both.size(), -1);
    if (both[0].revents != 0) return;
    const Fd client(::accept4(listener_.raw(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client.valid()) answer(client);
  }
}

void PageServer::answer(const Fd& client) const {
  const timeval limit{.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(client.raw(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(client.raw(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  std::string request;
  std::array<char, 4096> buffer{};
  while (request.find("\r\n\r\n") == std::string::npos) {
    const ssize_t n = ::recv(client.raw(), buffer.data(), buffer.size(), 0);
    if (n <= 0) return;
    request.append(buffer.data(), static_cast<size_t>(n));
  }
  const std::string whole =
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(page_.size()) +
      "\r\n\r\n" + page_;
  for (size_t at = 0; at < whole.size();) {
    const ssize_t n = ::send(client.raw(), whole.data() + at, whole.size() - at, MSG_NOSIGNAL);
    if (n <= 0) return;
    at += static_cast<size_t>(n);
  }
}

}  // namespace sallyport::scene
