// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sallyport {
namespace {

std::vector<IpAddress> addresses_of(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0) return {};
  std::vector<IpAddress> found;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family == AF_INET) {
      sockaddr_in in{};
      std::memcpy(&in, entry->ai_addr, sizeof in);
      found.push_back(IpAddress::v4(ntohl(in.sin_addr.s_addr)));
    } else if (entry->ai_family == AF_INET6) {
      sockaddr_in6 in{};
      std::memcpy(&in, entry->ai_addr, sizeof in);
      const IpAddress address = IpAddress::v6(std::span<const uint8_t, 16>(in.sin6_addr.s6_addr));
      if (!address.is_v4()) found.push_back(address);
    }
  }
  freeaddrinfo(list);
  return found;
}

}  // namespace

Result<std::unique_ptr<Resolver>> Resolver::start(io::Loop& loop, Answer answer) {
  Fd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) return fail(errno, "eventfd for the resolver");
  std::unique_ptr<Resolver> resolver(new Resolver(std::move(event), std::move(answer)));
  Resolver* const self = resolver.get();
  resolver->readable_ =
      io::Readable::borrow(loop, resolver->event_.raw(), [self](uint32_t) { self->deliver(); });
  resolver->thread_ = std::thread([self] { self->work(); });
  return resolver;
}

Resolver::~Resolver() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wanted_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Resolver::look_up(std::string host) {
  {
    const std::lock_guard lock(mutex_);
    questions_.push_back(std::move(host));
  }
  wanted_.notify_one();
}

void Resolver::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wanted_.wait(lock, [this] { return ended_ || !questions_.empty(); });
    if (ended_) return;
    std::string host = std::move(questions_.front());
    questions_.pop_front();
    lock.unlock();
    auto found = addresses_of(host);
    lock.lock();
    answers_.emplace_back(std::move(host), std::move(found));
    const uint64_t one = 1;
    // Full (EAGAIN) is as good: it is readable then.
    [[maybe_unused]] const ssize_t written = write(event_.raw(), &one, sizeof one);
  }
}

void Resolver::deliver() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t taken = read(event_.raw(), &count, sizeof count);
  std::vector<std::pair<std::string, std::vector<IpAddress>>> answers;
  {
    const std::lock_guard lock(mutex_);
    answers.swap(answers_);
  }
  for (const auto& [host, found] : answers) answer_(host, found);
}

}  // namespace sallyport
