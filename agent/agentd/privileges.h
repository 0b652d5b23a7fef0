// SPDX-License-Identifier: BSD-3-Clause
/// Capabilities of this process.
#pragma once

#include "agent/base/result.h"

namespace sallyport {

/// Keeps what a gateway takes, and gives up all the rest, for what this process executes later too:
/// NET_ADMIN, BPF, PERFMON, NET_BIND_SERVICE and, for the start only, SYS_MODULE, SETUID, SETGID.
/// What the process does not have is not missed here; the kernel's probe says what is missing.
Result<void> keep_start_capabilities();

/// Gives up SYS_MODULE, SETUID and SETGID. They stay in the bounding set: executing this program
/// anew brings them back, which is how a new node is started.
Result<void> drop_start_capabilities();

}  // namespace sallyport
