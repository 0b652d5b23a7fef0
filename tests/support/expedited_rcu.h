// SPDX-License-Identifier: BSD-3-Clause
/// Grace periods in a hurry.
#pragma once

#include <fstream>
#include <string>

namespace sallyport {

/// The kernel waits for a grace period for each WireGuard peer that goes with its device, under
/// rtnl: 12 ms each with 250 HZ, two minutes for 10,000 in which no other test gets on. Needs root;
/// without effect where sysfs is not writable.
class ExpeditedRcu {
 public:
  ExpeditedRcu() {
    std::ifstream(kFile) >> before_;
    std::ofstream(kFile) << 1;
  }
  ExpeditedRcu(const ExpeditedRcu&) = delete;
  ExpeditedRcu& operator=(const ExpeditedRcu&) = delete;
  ~ExpeditedRcu() {
    if (!before_.empty()) std::ofstream(kFile) << before_;
  }

 private:
  static constexpr const char* kFile = "/sys/kernel/rcu_expedited";
  std::string before_;
};

}  // namespace sallyport
