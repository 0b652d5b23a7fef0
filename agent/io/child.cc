// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>

#include "agent/io/ring.h"

namespace sallyport::io {
namespace {

// The child runs on our memory until execve (CLONE_VM | CLONE_VFORK): nothing is copied however
// large we are, and it can tell us what failed. So it makes system calls and touches nothing but
// this.
struct Birth {
  const char* program;
  char* const* arguments;
  char* const* environment;
  int* fds;
  unsigned fd_count;
  bool drop_user;
  uid_t uid;
  gid_t gid;
  bool no_new_privileges;
  bool dies_with_us;
  long parent;
  volatile int error;
  const char* volatile failed;
};

constexpr size_t kStackBytes = size_t{64} * 1024;
constexpr int kFirstFd = 3;

// Sanitizers would note the child's stack in shadow memory that is ours too.
#define CHILD_CODE __attribute__((no_sanitize("address", "undefined", "thread"), noinline))

// The bare system call: libc's setresuid would try to change our other threads as well.
template <class... Args>
CHILD_CODE long call(Birth& birth, const char* what, long number, Args... args) {
  const long result = ::syscall(number, args...);
  if (result < 0 && birth.error == 0) {
    birth.error = errno;
    birth.failed = what;
  }
  return result;
}

CHILD_CODE void place_fds(Birth& birth) {
  const long null = call(birth, "open /dev/null", SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY, 0);
  if (null > 0) call(birth, "dup3", SYS_dup3, null, 0L, 0L);
  // Out of the way first: a source may stand where another is to go.
  const long beyond = kFirstFd + static_cast<long>(birth.fd_count);
  for (unsigned i = 0; i < birth.fd_count; ++i) {
    birth.fds[i] = static_cast<int>(call(birth, "F_DUPFD", SYS_fcntl,
                                         static_cast<long>(birth.fds[i]), F_DUPFD_CLOEXEC, beyond));
  }
  for (unsigned i = 0; i < birth.fd_count; ++i) {
    call(birth, "dup3", SYS_dup3, static_cast<long>(birth.fds[i]), kFirstFd + static_cast<long>(i),
         0L);
  }
  call(birth, "close_range", SYS_close_range, beyond, static_cast<long>(UINT_MAX),
       CLOSE_RANGE_CLOEXEC);
}

CHILD_CODE void drop_user(Birth& birth) {
  call(birth, "PR_CAP_AMBIENT", SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L);
  call(birth, "setgroups", SYS_setgroups, 0L, nullptr);
  call(birth, "setresgid", SYS_setresgid, birth.gid, birth.gid, birth.gid);
  call(birth, "setresuid", SYS_setresuid, birth.uid, birth.uid, birth.uid);
}

CHILD_CODE int run_child(void* argument) {
  Birth& birth = *static_cast<Birth*>(argument);
  // The kernel resets handlers at execve, but what is ignored stays ignored, and so does the mask.
  const struct sigaction as_usual = {};
  for (int signal = 1; signal < _NSIG; ++signal) {
    // Fails for SIGKILL and SIGSTOP and for nothing else. The kernel's struct begins like libc's
    // and all of it is zero.
    (void)::syscall(SYS_rt_sigaction, signal, &as_usual, nullptr, _NSIG / 8);
  }
  place_fds(birth);
  if (birth.drop_user) drop_user(birth);
  if (birth.no_new_privileges) {
    call(birth, "PR_SET_NO_NEW_PRIVS", SYS_prctl, PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
  }
  if (birth.dies_with_us) {
    // After the ids: changing them clears it.
    call(birth, "PR_SET_PDEATHSIG", SYS_prctl, PR_SET_PDEATHSIG, static_cast<long>(SIGKILL), 0L, 0L,
         0L);
    if (::syscall(SYS_getppid) != birth.parent) ::syscall(SYS_exit, 127);  // it was too late
  }
  const uint64_t no_signals = 0;
  call(birth, "sigprocmask", SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, nullptr,
       sizeof no_signals);
  if (birth.error == 0) {
    call(birth, "execve", SYS_execve, birth.program, birth.arguments, birth.environment);
  }
  ::syscall(SYS_exit, 127);
  return 127;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (std::string& string : strings) out.push_back(string.data());
  out.push_back(nullptr);
  return out;
}

void reap(int pidfd, siginfo_t& info) {
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED) != 0 && errno == EINTR) {
  }
}

struct Born {
  pid_t pid;
  Fd pidfd;
};

Result<Born> give_birth(Birth& birth, const std::string& program) {
  void* stack = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return fail(errno, "stack for " + program);
  // No handler of ours may run in the child, on our memory.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  (void)::pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  const int pid = ::clone(run_child, static_cast<uint8_t*>(stack) + kStackBytes,
                          CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &birth, &pidfd);
  const int error = errno;
  (void)::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::munmap(stack, kStackBytes);
  if (pid < 0) return fail(error, "clone for " + program);
  Born born{pid, Fd{pidfd}};
  if (birth.error == 0) return born;
  siginfo_t info{};
  reap(pidfd, info);
  return fail(birth.error, "start " + program + ": " + birth.failed);
}

}  // namespace

class ChildCore final : public Core {
 public:
  ChildCore(Loop& owner, Born born, Callback<void(ExitStatus)> on_exit)
      : Core(owner), pid_(born.pid), pidfd_(std::move(born.pidfd)), on_exit_(std::move(on_exit)) {}
  ChildCore(const ChildCore&) = delete;
  ChildCore& operator=(const ChildCore&) = delete;
  // The loop may have ended before the child did: SIGKILL is under way, so this does not take long.
  ~ChildCore() override { finish(); }

  void watch() {
    loop().submit(exit_, *this, kHandler<&ChildCore::on_poll>, [this](io_uring_sqe* sqe) {
      ::io_uring_prep_poll_add(sqe, pidfd_.raw(), POLLIN);
    });
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] Result<void> kill(int signal) const {
    if (reaped_) return fail(ESRCH, "kill a child that is gone");
    if (::syscall(SYS_pidfd_send_signal, pidfd_.raw(), signal, nullptr, 0) != 0) {
      return fail(errno, "pidfd_send_signal");
    }
    return {};
  }

 private:
  ExitStatus finish() {
    siginfo_t info{};
    if (!std::exchange(reaped_, true)) reap(pidfd_.raw(), info);
    return {.code = info.si_status, .killed = info.si_code != CLD_EXITED};
  }
  void on_poll(int32_t result, uint32_t /*flags*/) {
    if (result < 0) return;  // cancelled with the loop
    const ExitStatus status = finish();
    if (!closed()) on_exit_(status);
  }
  void on_close() override {
    on_exit_.reset();
    // The watch goes on, so that there is no zombie.
    if (!reaped_) (void)kill(SIGKILL);
  }

  pid_t pid_;
  Fd pidfd_;
  Callback<void(ExitStatus)> on_exit_;
  Operation exit_;
  bool reaped_ = false;
};

Result<Child> Child::spawn(Loop& loop, ChildOptions options, Callback<void(ExitStatus)> on_exit) {
  const std::vector<char*> arguments = pointers(options.arguments);
  const std::vector<char*> environment = pointers(options.environment);
  std::vector<int> fds;
  fds.reserve(options.fds.size());
  for (const Fd& fd : options.fds) fds.push_back(fd.raw());
  Birth birth{.program = options.program.c_str(),
              .arguments = arguments.data(),
              .environment = environment.data(),
              .fds = fds.data(),
              .fd_count = static_cast<unsigned>(fds.size()),
              .drop_user = options.user.has_value(),
              .uid = options.user ? options.user->uid : 0,
              .gid = options.user ? options.user->gid : 0,
              .no_new_privileges = options.no_new_privileges,
              .dies_with_us = options.dies_with_us,
              .parent = ::getpid(),
              .error = 0,
              .failed = ""};
  auto core = std::make_shared<ChildCore>(loop, TRY(give_birth(birth, options.program)),
                                          std::move(on_exit));
  core->watch();
  return Child{Handle<ChildCore>{std::move(core)}};
}

pid_t Child::pid() const { return core_ ? core_->pid() : -1; }
Result<void> Child::kill(int signal) const {
  if (!core_) return fail(ESRCH, "kill no child");
  return core_->kill(signal);
}

}  // namespace sallyport::io
