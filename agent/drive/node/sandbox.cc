// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>

namespace sallyport {
namespace {

/// Without conditions. The resolver (glibc's files and dns) and the C++ runtime are what most are
/// for.
constexpr std::array kAllowed = {
    // memory
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    // threads and locks
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    // signals
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    // time and chance
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getrandom),
    // the ring, which exists
    SCMP_SYS(io_uring_enter),
    // descriptors
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    // the state, whose files are open already
    SCMP_SYS(pwrite64),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fsync),
    SCMP_SYS(close),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(stat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(uname),
    SCMP_SYS(dup),
    SCMP_SYS(eventfd2),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
#ifdef __SANITIZE_ADDRESS__
    SCMP_SYS(pipe),
    SCMP_SYS(pipe2),  // how UBSan asks whether memory can be read
#endif
    // sockets; socket() itself has conditions
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown),
};

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(EPERM)), seccomp_release) {}

  template <class... Conditions>
  void allow(int call, Conditions... conditions) {
    if (error_ != 0) return;
    error_ = seccomp_rule_add(context_.get(), SCMP_ACT_ALLOW, call, sizeof...(conditions),
                              conditions...);
  }
  Result<void> load() {
    if (!context_) return fail(ENOMEM, "seccomp filter");
    // The resolver's thread runs already and is to be held as well.
    if (error_ == 0) error_ = seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_TSYNC, 1);
    if (error_ == 0) error_ = seccomp_load(context_.get());
    if (error_ != 0) return fail(-error_, "seccomp filter");
    return {};
  }

 private:
  std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
  int error_ = 0;
};

void allow_sockets(Filter& filter) {
  for (const int family : {AF_INET, AF_INET6}) {
    for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
      constexpr scmp_datum_t kFlags = SOCK_CLOEXEC | SOCK_NONBLOCK;
      filter.allow(SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)),
                   SCMP_A1(SCMP_CMP_MASKED_EQ, ~kFlags, static_cast<scmp_datum_t>(type)));
    }
  }
}

void allow_files(Filter& filter) {
  // Read-only, and nothing that creates or truncates.
  constexpr scmp_datum_t kNoReader = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | __O_TMPFILE;
  filter.allow(SCMP_SYS(open), SCMP_A1(SCMP_CMP_MASKED_EQ, kNoReader, O_RDONLY));
  filter.allow(SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, kNoReader & ~O_DIRECTORY, O_RDONLY));
  for (const int command : {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC}) {
    filter.allow(SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, static_cast<scmp_datum_t>(command)));
  }
  // glibc's resolver asks how much there is to read.
  filter.allow(SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, FIONREAD));
}

void allow_memory_and_threads(Filter& filter) {
  // Memory is never made executable: a corrupted node runs nobody's new code. (Libraries are all
  // mapped by now but for NSS modules, of which the resolver needs none that is not in glibc.)
  filter.allow(SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  filter.allow(SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  filter.allow(SCMP_SYS(clone),
               SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_NEWUSER, CLONE_THREAD));
  filter.allow(SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
  filter.allow(SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid())));
}

bool has_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return true;
  for (const auto& part : data) {
    if ((part.effective | part.permitted | part.inheritable) != 0) return true;
  }
  return false;
}

}  // namespace

Result<void> drop_privileges(std::optional<uid_t> user, pid_t parent) {
  if (geteuid() == 0) {
    if (!user || *user == 0) return fail(EPERM, "the node does not run as root");
    const uid_t id = *user;
    if (setgroups(0, nullptr) != 0) return fail(errno, "drop supplementary groups");
    if (setresgid(id, id, id) != 0) return fail(errno, "set the group");
    if (setresuid(id, id, id) != 0) return fail(errno, "set the user");
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> none{};
  if (syscall(SYS_capset, &header, none.data()) != 0) return fail(errno, "drop capabilities");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail(errno, "no_new_privs");
  if (has_capabilities()) return fail(EPERM, "capabilities are still there");
  // A change of user clears it, so it comes last. Source: prctl(2), PR_SET_PDEATHSIG.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return fail(errno, "die with the agent");
  if (getppid() != parent) return fail(ESRCH, "the agent is gone already");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail(errno, "forbid core dumps");
  return {};
}

Result<void> close_sandbox() {
  Filter filter;
  for (const int call : kAllowed) filter.allow(call);
  allow_sockets(filter);
  allow_files(filter);
  allow_memory_and_threads(filter);
  return filter.load();
}

}  // namespace sallyport
