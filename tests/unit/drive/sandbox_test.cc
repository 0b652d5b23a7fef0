// SPDX-License-Identifier: BSD-3-Clause
// The node's sandbox: each call is tried in a child, which can do it, and in one that has closed
// the sandbox, which cannot. What the node needs goes on working.
#include "agent/drive/node/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

namespace sallyport {
namespace {

constexpr int kNotClosed = 250;

int errno_if(bool failed) { return failed ? errno : 0; }

int write_passwd() { return errno_if(::open("/etc/passwd", O_WRONLY | O_CLOEXEC) < 0); }
int read_and_write() { return errno_if(::open("/etc/passwd", O_RDWR | O_CLOEXEC) < 0); }
int make_file() {
  const std::string path = "/tmp/sallyport-sandbox-" + std::to_string(::getpid());
  const int fd = ::open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const int error = errno_if(fd < 0);
  ::unlink(path.c_str());
  return error;
}
int netlink() { return errno_if(::socket(AF_NETLINK, SOCK_RAW, 0) < 0); }
int raw_socket() { return errno_if(::socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0); }
int packet_socket() { return errno_if(::socket(AF_PACKET, SOCK_DGRAM, 0) < 0); }
int unix_socket() { return errno_if(::socket(AF_UNIX, SOCK_STREAM, 0) < 0); }
int trace() { return errno_if(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0); }
int execute() {
  char name[] = "true";
  std::array<char*, 2> arguments{name, nullptr};
  ::execve("/bin/true", arguments.data(), nullptr);  // returns only if it fails
  return errno;
}
int another_ring() {
  io_uring_params params{};
  return errno_if(::syscall(SYS_io_uring_setup, 4, &params) < 0);
}
int another_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  if (child > 0) ::waitpid(child, nullptr, 0);
  return errno_if(child < 0);
}
int executable_memory() {
  return errno_if(::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                         0) == MAP_FAILED);
}
int signal_the_parent() { return errno_if(::kill(::getppid(), 0) != 0); }
int another_namespace() { return errno_if(::unshare(CLONE_NEWNET) != 0); }
int load_a_map() {
  bpf_attr attr{};
  attr.map_type = BPF_MAP_TYPE_ARRAY;
  attr.key_size = attr.value_size = 4;
  attr.max_entries = 1;
  return errno_if(::syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr) < 0);
}
int become_root() { return errno_if(::setuid(0) != 0); }

int read_passwd() { return errno_if(::open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0); }
int udp_socket() {
  return errno_if(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) < 0);
}
int tcp_socket() { return errno_if(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0); }
int memory() {
  return errno_if(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                         0) == MAP_FAILED);
}

using Try = int (*)();  // errno, or 0

/// How a child ended that tried it: the errno, or minus the signal.
int in_a_child(Try attempt, bool closed) {
  const pid_t child = ::fork();
  if (child < 0) return -1;
  if (child == 0) {
    if (closed && !close_sandbox()) ::_exit(kNotClosed);
    ::_exit(attempt());
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

struct Row {
  const char* name;
  Try attempt;
};

class sandbox_refuses : public testing::TestWithParam<Row> {};

TEST_P(sandbox_refuses, once_closed) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can do these before";
  EXPECT_EQ(in_a_child(GetParam().attempt, false), 0) << "cannot be done here at all";
  const int closed = in_a_child(GetParam().attempt, true);
  EXPECT_TRUE(closed == EPERM || closed == -SIGSYS) << closed;
}

INSTANTIATE_TEST_SUITE_P(
    calls, sandbox_refuses,
    testing::Values(Row{"write_etc", write_passwd}, Row{"read_and_write_etc", read_and_write},
                    Row{"create", make_file}, Row{"netlink", netlink}, Row{"raw", raw_socket},
                    Row{"packet", packet_socket}, Row{"unix", unix_socket}, Row{"ptrace", trace},
                    Row{"execve", execute}, Row{"io_uring_setup", another_ring},
                    Row{"fork", another_process}, Row{"mmap_exec", executable_memory},
                    Row{"kill", signal_the_parent}, Row{"unshare", another_namespace},
                    Row{"bpf", load_a_map}, Row{"setuid", become_root}),
    [](const auto& row) { return std::string(row.param.name); });

class sandbox_allows : public testing::TestWithParam<Row> {};

TEST_P(sandbox_allows, what_a_node_needs) { EXPECT_EQ(in_a_child(GetParam().attempt, true), 0); }

INSTANTIATE_TEST_SUITE_P(calls, sandbox_allows,
                         testing::Values(Row{"read_etc", read_passwd}, Row{"udp", udp_socket},
                                         Row{"tcp", tcp_socket}, Row{"mmap", memory}),
                         [](const auto& row) { return std::string(row.param.name); });

/// In a child: as which user nothing is left, and the errors of those who would stay root.
int drop(std::optional<uid_t> user, bool other_parent) {
  const pid_t child = ::fork();
  if (child == 0) {
    const pid_t parent = other_parent ? ::getpid() : ::getppid();
    const auto dropped = drop_privileges(user, parent);
    if (!dropped) ::_exit(dropped.error().code.value());
    ::_exit(::getuid() == *user && ::getegid() == *user && netlink() == 0 &&
                    another_namespace() == EPERM && raw_socket() == EPERM && become_root() == EPERM
                ? 0
                : 99);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(privileges, are_dropped_for_good_or_it_is_refused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(drop(65534, false), 0);
  EXPECT_EQ(drop(std::nullopt, false), EPERM);
  EXPECT_EQ(drop(0, false), EPERM);
  EXPECT_EQ(drop(65534, true), ESRCH) << "the parent is gone";
}

}  // namespace
}  // namespace sallyport
