// SPDX-License-Identifier: BSD-3-Clause
/// Talks to the service manager that started us. Source: sd_notify(3), sd_listen_fds(3),
/// sd_watchdog_enabled(3). Without one every call does nothing.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"

namespace sallyport {

/// A descriptor that the manager kept over our restart, under the name it was stored with.
struct StoredFd {
  std::string name;
  Fd fd;
};

class ServiceManager {
 public:
  /// Reads and removes NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS, ... so that no child sees them.
  static ServiceManager from_environment();

  /// "READY=1", "RELOADING=1", "STATUS=...", "WATCHDOG=1", "STOPPING=1"; newline-separated.
  void notify(std::string_view state) const;
  /// Keeps a duplicate of `fd` over a restart. `name`: letters, digits, '-' and '_'.
  void store(int fd, std::string_view name) const;
  void forget(std::string_view name) const;
  /// How often it wants a WATCHDOG=1 at least; ask for half of it.
  [[nodiscard]] std::optional<std::chrono::microseconds> watchdog() const { return watchdog_; }
  /// What it had stored. Ownership passes to the caller, once.
  [[nodiscard]] std::vector<StoredFd> take_stored() { return std::move(stored_); }

 private:
  std::string address_;
  std::optional<std::chrono::microseconds> watchdog_;
  std::vector<StoredFd> stored_;
};

}  // namespace sallyport
