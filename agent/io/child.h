// SPDX-License-Identifier: BSD-3-Clause
/// A child process: started with exactly what it is given, watched through its pidfd.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/io/callback.h"
#include "agent/io/loop.h"
#include "agent/io/operation.h"

namespace sallyport::io {

class ChildCore;

struct ChildOptions {
  /// A path; PATH is not searched. argv[0] is the first of `arguments`.
  std::string program;
  std::vector<std::string> arguments;
  /// NAME=value; nothing is inherited.
  std::vector<std::string> environment;
  /// Become 3, 4, ... in the child. stdin is /dev/null, stdout and stderr are ours; nothing else is
  /// open.
  std::vector<Fd> fds;
  /// Real, effective and saved ids; supplementary groups are dropped. Leaves no capability.
  struct User {
    uid_t uid;
    gid_t gid;
  };
  std::optional<User> user;
  /// Source: prctl(2), PR_SET_NO_NEW_PRIVS.
  bool no_new_privileges = false;
  /// SIGKILL when the thread that started it ends. Source: prctl(2), PR_SET_PDEATHSIG.
  bool dies_with_us = true;
};

struct ExitStatus {
  /// The exit code, or the signal that killed it.
  int code = 0;
  bool killed = false;
};

/// Destroying it kills the child (SIGKILL) and still reaps it.
class Child {
 public:
  Child() = default;
  /// Errors: those of execve(2) and of the steps before it, so a returned child does run the
  /// program.
  static Result<Child> spawn(Loop& loop, ChildOptions options, Callback<void(ExitStatus)> on_exit);

  [[nodiscard]] pid_t pid() const;
  /// Error ESRCH after it has been reaped; never reaches another process.
  [[nodiscard]] Result<void> kill(int signal) const;

 private:
  explicit Child(Handle<ChildCore> core) : core_(std::move(core)) {}
  Handle<ChildCore> core_;
};

}  // namespace sallyport::io
