// SPDX-License-Identifier: BSD-3-Clause
/// NIC features over ethtool netlink.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "agent/base/result.h"
#include "agent/model/kernel_state.h"
#include "kmod-glue/netlink/socket.h"

namespace sallyport {

/// Names of features of one device.
struct Features {
  std::set<std::string> active;
  std::set<std::string> changeable;  // `ethtool -k` does not say [fixed]
};

/// Belongs to the network namespace where it was opened.
class Ethtool {
 public:
  static Result<Ethtool> open();

  /// ENODEV: no such device.
  Result<Features> features(const std::string& device);
  /// EOPNOTSUPP: the device keeps this feature as it is (`ethtool -k` says [fixed]), or the kernel
  /// does not know it.
  Result<void> set(const Offload& offload, bool on);

 private:
  Ethtool(NetlinkSocket socket, uint16_t family) : socket_(std::move(socket)), family_(family) {}

  NetlinkSocket socket_;
  uint16_t family_;
};

}  // namespace sallyport
