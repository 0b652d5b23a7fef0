// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/child.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <optional>
#include <string>

#include "agent/io/file.h"
#include "agent/io/signal.h"
#include "tests/unit/io/drive.h"

namespace sallyport::io {
namespace {

ChildOptions shell(std::string script) {
  return {.program = "/bin/sh",
          .arguments = {"sh", "-c", std::move(script)},
          .environment = {"PATH=/usr/bin:/bin"},
          .fds = {},
          .user = {}};
}

Fd memory_file() { return Fd{::memfd_create("out", MFD_CLOEXEC)}; }
std::string content_of(const Fd& file) {
  std::string out(65536, 0);
  const ssize_t count = ::pread(file.raw(), out.data(), out.size(), 0);
  return out.substr(0, count < 0 ? 0 : static_cast<size_t>(count));
}
Fd duplicate(const Fd& fd) { return Fd{::fcntl(fd.raw(), F_DUPFD_CLOEXEC, 0)}; }

// Runs to the end; what it wrote to its descriptor 3 goes to `out`.
std::optional<ExitStatus> run(Loop& loop, ChildOptions options, std::string* out = nullptr) {
  const Fd file = memory_file();
  options.fds.insert(options.fds.begin(), duplicate(file));
  std::optional<ExitStatus> status;
  const auto child =
      Child::spawn(loop, std::move(options), [&](ExitStatus exited) { status = exited; });
  EXPECT_TRUE(child) << (child ? "" : child.error().text());
  if (!child || !run_until(loop, [&] { return status.has_value(); })) return std::nullopt;
  if (out != nullptr) *out = content_of(file);
  return status;
}

TEST(child, exit_code_and_killing_signal) {
  const auto loop = make_loop();
  auto status = run(*loop, shell("exit 7"));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 7);
  EXPECT_FALSE(status->killed);
  status = run(*loop, shell("kill -TERM $$"));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, SIGTERM);
  EXPECT_TRUE(status->killed);
}

TEST(child, a_program_that_cannot_start_is_an_error_with_its_cause) {
  const auto loop = make_loop();
  const auto child = Child::spawn(
      *loop,
      {.program = "/nonexistent", .arguments = {"x"}, .environment = {}, .fds = {}, .user = {}},
      [](ExitStatus) { FAIL(); });
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code.value(), ENOENT);
  EXPECT_EQ(child.error().doing, "start /nonexistent: execve");
  // Nothing is left of the attempt.
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(child, gets_its_descriptors_in_order_and_no_others) {
  const auto loop = make_loop();
  const Fd leaky{::open("/dev/zero", O_RDONLY)};  // NOLINT: without close-on-exec, on purpose
  ChildOptions options = shell(
      "for f in /proc/$$/fd/*; do n=${f##*/}; [ $n -le 9 ] && echo $n $(readlink $f) >&3; done; "
      "read word <&4; echo word=$word >&3; read word <&5; echo word=$word >&3");
  // The source of one stands where another is to go.
  for (const char* word : {"four\n", "five\n"}) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const Fd write_end{ends[1]};
    ASSERT_EQ(::write(write_end.raw(), word, 5), 5);
    options.fds.emplace_back(ends[0]);
  }
  std::string out;
  ASSERT_TRUE(run(*loop, std::move(options), &out));
  EXPECT_NE(out.find("0 /dev/null\n"), std::string::npos) << out;
  EXPECT_NE(out.find("word=four\nword=five\n"), std::string::npos) << out;
  EXPECT_EQ(out.find("/dev/zero"), std::string::npos) << out;
  EXPECT_EQ(out.find("io_uring"), std::string::npos) << out;
}

TEST(child, inherits_neither_environment_nor_signal_state) {
  const auto loop = make_loop();
  auto blocked = SignalSet::create(*loop, {SIGUSR1}, [](int) {});
  ASSERT_TRUE(blocked);
  struct sigaction ignore{};
  struct sigaction before{};
  ignore.sa_handler = SIG_IGN;
  ASSERT_EQ(::sigaction(SIGPIPE, &ignore, &before), 0);
  ChildOptions options = shell("grep -E '^Sig(Blk|Ign)' /proc/self/status >&3; env >&3");
  options.environment.emplace_back("ONLY=this");
  std::string out;
  ASSERT_TRUE(run(*loop, std::move(options), &out));
  ASSERT_EQ(::sigaction(SIGPIPE, &before, nullptr), 0);
  EXPECT_NE(out.find("SigBlk:\t0000000000000000"), std::string::npos) << out;
  EXPECT_NE(out.find("SigIgn:\t0000000000000000"), std::string::npos) << out;
  EXPECT_NE(out.find("ONLY=this"), std::string::npos) << out;
  EXPECT_EQ(out.find("HOME="), std::string::npos) << out;
}

TEST(child, drops_user_groups_and_capabilities) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  const auto loop = make_loop();
  ChildOptions options =
      shell("grep -E '^(Uid|Gid|Groups|CapEff|CapPrm|NoNewPrivs)' /proc/self/status >&3");
  options.user = ChildOptions::User{.uid = 65534, .gid = 65533};
  options.no_new_privileges = true;
  std::string out;
  const auto status = run(*loop, std::move(options), &out);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 0);
  EXPECT_NE(out.find("Uid:\t65534\t65534\t65534\t65534"), std::string::npos) << out;
  EXPECT_NE(out.find("Gid:\t65533\t65533\t65533\t65533"), std::string::npos) << out;
  EXPECT_NE(out.find("Groups:\t \n"), std::string::npos) << out;
  EXPECT_NE(out.find("CapEff:\t0000000000000000"), std::string::npos) << out;
  EXPECT_NE(out.find("NoNewPrivs:\t1"), std::string::npos) << out;
}

TEST(child, is_killed_and_reaped_when_its_object_goes) {
  const auto loop = make_loop();
  std::optional<Child> child{
      *Child::spawn(*loop, shell("exec sleep 1000"), [](ExitStatus) { FAIL(); })};
  const pid_t pid = child->pid();
  ASSERT_EQ(::kill(pid, 0), 0);
  child.reset();
  ASSERT_TRUE(drained(*loop));
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST(child, is_killed_and_reaped_when_the_loop_goes) {
  auto loop = make_loop();
  auto child = *Child::spawn(*loop, shell("exec sleep 1000"), [](ExitStatus) { FAIL(); });
  const pid_t pid = child.pid();
  loop.reset();
  EXPECT_EQ(::kill(pid, 0), -1);
  const auto killed = child.kill(SIGTERM);
  ASSERT_FALSE(killed);
  EXPECT_EQ(killed.error().code.value(), ESRCH);
}

TEST(child, kill_reaches_it_and_its_object_may_go_in_on_exit) {
  const auto loop = make_loop();
  std::optional<ExitStatus> status;
  std::optional<Child> child;
  child = *Child::spawn(*loop, shell("exec sleep 1000"), [&](ExitStatus exited) {
    child.reset();
    status = exited;
  });
  ASSERT_TRUE(child->kill(SIGINT));
  ASSERT_TRUE(run_until(*loop, [&] { return status.has_value(); }));
  EXPECT_EQ(status->code, SIGINT);
  EXPECT_TRUE(status->killed);
}

TEST(child, dies_with_the_process_that_started_it) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd read_end{ends[0]};
  Fd write_end{ends[1]};
  const pid_t middleman = ::fork();
  ASSERT_GE(middleman, 0);
  if (middleman == 0) {
    const auto own_loop = make_loop();
    const Child child = *Child::spawn(*own_loop, shell("exec sleep 1000"), [](ExitStatus) {});
    const pid_t pid = child.pid();
    (void)!::write(write_end.raw(), &pid, sizeof pid);
    for (;;) ::pause();
  }
  pid_t pid = -1;
  ASSERT_EQ(::read(read_end.raw(), &pid, sizeof pid), ssize_t{sizeof pid});
  Fd watch{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  ASSERT_EQ(::kill(middleman, SIGKILL), 0);
  ASSERT_EQ(::waitpid(middleman, nullptr, 0), middleman);
  const auto loop = make_loop();
  bool gone = false;
  const Readable exit{*loop, std::move(watch), [&](uint32_t) { gone = true; }};
  EXPECT_TRUE(run_until(*loop, [&] { return gone; }));
}

TEST(signal_set, reports_and_gives_the_mask_back) {
  const auto loop = make_loop();
  sigset_t mask;
  {
    std::vector<int> got;
    auto set =
        SignalSet::create(*loop, {SIGUSR1, SIGUSR2}, [&](int signal) { got.push_back(signal); });
    ASSERT_TRUE(set);
    ::raise(SIGUSR2);
    ::raise(SIGUSR1);
    ASSERT_TRUE(run_until(*loop, [&] { return got.size() == 2; }));
    EXPECT_EQ(got, (std::vector{SIGUSR1, SIGUSR2}));  // the lower number first
    ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &mask), 0);
    EXPECT_EQ(sigismember(&mask, SIGUSR1), 1);
  }
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &mask), 0);
  EXPECT_EQ(sigismember(&mask, SIGUSR1), 0);
}

}  // namespace
}  // namespace sallyport::io
