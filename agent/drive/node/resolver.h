// SPDX-License-Identifier: BSD-3-Clause
/// Names to addresses by the system's resolver, which blocks, hence on a thread of its own.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "agent/io/loop.h"
#include "agent/io/poll.h"
#include "agent/model/ip.h"

namespace sallyport {

class Resolver {
 public:
  /// Called on the loop's thread; no addresses: none, or no such name.
  using Answer = std::function<void(const std::string& host, const std::vector<IpAddress>& found)>;

  static Result<std::unique_ptr<Resolver>> start(io::Loop& loop, Answer answer);
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  /// Waits for the lookup under way.
  ~Resolver();

  void look_up(std::string host);

 private:
  Resolver(Fd event, Answer answer) : event_(std::move(event)), answer_(std::move(answer)) {}
  void work();
  void deliver();

  Fd event_;  // eventfd: answers are there
  Answer answer_;
  std::mutex mutex_;
  std::condition_variable wanted_;
  std::deque<std::string> questions_;
  std::vector<std::pair<std::string, std::vector<IpAddress>>> answers_;
  bool ended_ = false;
  std::thread thread_;
  io::Readable readable_;
};

}  // namespace sallyport
