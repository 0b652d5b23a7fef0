// SPDX-License-Identifier: BSD-3-Clause
/// What the node gives up before it reads its first stranger's byte.
#pragma once

#include <sys/types.h>

#include <optional>

#include "agent/base/result.h"

namespace sallyport {

/// Dies with its parent, becomes `user` if it is root, and drops every capability for good
/// (PR_SET_NO_NEW_PRIVS). Error EPERM: it would have stayed root or kept a capability; ESRCH: the
/// parent is gone already.
Result<void> drop_privileges(std::optional<uid_t> user, pid_t parent);

/// From here on only what a node needs: its sockets, memory, threads, reading files. Everything
/// else fails with EPERM; what no program of ours tries by accident (ptrace, execve, modules,
/// mounts, other io_urings) too. Files open for reading only. The loop's ring has to exist, with
/// its operations restricted: io_uring passes by this filter.
Result<void> close_sandbox();

}  // namespace sallyport
