// SPDX-License-Identifier: BSD-3-Clause
/// Kernel parameters under /proc/sys, in the network namespace of the calling thread.
#pragma once

#include <optional>
#include <string>

#include "agent/base/result.h"

namespace sallyport {

/// `key` is a path below /proc/sys: "net/ipv4/ip_forward". Without the newline at the end.
/// Nothing: this kernel (or device) has no such parameter.
Result<std::optional<std::string>> read_sysctl(const std::string& key);
Result<void> write_sysctl(const std::string& key, const std::string& value);

}  // namespace sallyport
