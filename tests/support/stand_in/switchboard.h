// SPDX-License-Identifier: BSD-3-Clause
/// WireGuard's stand-in on a kernel without it: the devices of all namespaces of a test, joined in
/// user space. No encryption and no outer packets; which peer a packet goes to and which it is
/// taken from is decided as WireGuard does. It lives in the test's process and so outlives every
/// agent, as the kernel's would.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/stand_in/device.h"
#include "tests/support/stand_in/messages.h"

namespace sallyport::stand_in {

class Switchboard {
 public:
  Switchboard();
  Switchboard(const Switchboard&) = delete;
  Switchboard& operator=(const Switchboard&) = delete;
  ~Switchboard();

  /// Answers the agents of a namespace from now on.
  Result<void> serve(const std::string& netns);
  /// Takes all devices of the namespace away, and answers there no longer.
  void forget(const std::string& netns);
  /// Steps of WireGuard in a namespace; those that failed.
  std::vector<Refusal> apply(const std::string& netns, const std::vector<Operation>& steps);
  void remove(const std::string& netns, const std::string& device);

 private:
  using Name = std::pair<std::string, std::string>;  // namespace, device

  void run();
  void wake() const;
  void answer(const std::string& netns, const Fd& listener);
  void pump(const Name& name);
  void carry(Device& from, std::span<const uint8_t> packet);
  void drop_the_deleted(const std::string& netns);
  Result<void> apply_one(const std::string& netns, const Operation& step);

  std::mutex mutex_;  // of all below
  std::map<std::string, Fd> listeners_;
  std::map<Name, Device> devices_;
  bool ending_ = false;
  Fd wake_;
  std::thread thread_;
};

}  // namespace sallyport::stand_in
