// SPDX-License-Identifier: BSD-3-Clause
/// A network namespace of a test's own.
#pragma once

#include <fcntl.h>
#include <sched.h>

#include "agent/base/fd.h"

namespace sallyport {

/// The calling thread lives in a new, empty network namespace until the end of this object; what
/// was made in there goes with it.
class OwnNetns {
 public:
  OwnNetns() : before_(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) {
    entered_ = before_.valid() && unshare(CLONE_NEWNET) == 0;
  }
  OwnNetns(const OwnNetns&) = delete;
  OwnNetns& operator=(const OwnNetns&) = delete;
  ~OwnNetns() {
    if (entered_) setns(before_.raw(), CLONE_NEWNET);
  }
  /// False: not root.
  [[nodiscard]] bool entered() const { return entered_; }

 private:
  Fd before_;
  bool entered_ = false;
};

}  // namespace sallyport
