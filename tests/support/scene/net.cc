// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/scene/net.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace sallyport::scene {
namespace {

Fd open_netns(const std::string& name) {
  return Fd(::open(("/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC));
}

std::vector<char*> pointers(const std::vector<std::string>& argv) {
  std::vector<char*> out;
  out.reserve(argv.size() + 1);
  for (const std::string& word : argv) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

int code_of(int status) {
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return 128 + WTERMSIG(status);
}

// After fork: only calls that are safe there.
[[noreturn]] void become(char* const* argv, int netns, int in, int out, int err) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (netns >= 0 && setns(netns, CLONE_NEWNET) != 0) _exit(126);
  dup2(in, 0);
  dup2(out, 1);
  dup2(err, 2);
  execvp(argv[0], argv);
  _exit(127);
}

struct Pipe {
  Fd read, write;
  Pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) == 0) {
      read = Fd(ends[0]);
      write = Fd(ends[1]);
    }
  }
};

}  // namespace

Output run(const std::vector<std::string>& argv, const std::string& netns,
           std::chrono::milliseconds limit, const std::string& input) {
  Pipe in, out, err;
  const Fd space = netns.empty() ? Fd() : open_netns(netns);
  const auto words = pointers(argv);
  const int pid = fork();
  if (pid == 0) become(words.data(), space.raw(), in.read.raw(), out.write.raw(), err.write.raw());
  in.read.reset();
  out.write.reset();
  err.write.reset();
  // Scene inputs are far below a pipe's 64 KB.
  [[maybe_unused]] const ssize_t written = ::write(in.write.raw(), input.data(), input.size());
  in.write.reset();

  Output result;
  const auto end = Clock::now() + limit;
  std::array<pollfd, 2> ends{{{out.read.raw(), POLLIN, 0}, {err.read.raw(), POLLIN, 0}}};
  std::array<std::string*, 2> texts{&result.out, &result.err};
  size_t open_ends = 2;
  while (open_ends > 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0 || ::poll(ends.data(), 2, static_cast<int>(left.count())) <= 0) {
      ::kill(pid, SIGKILL);
      result.err += "\n(killed after its limit)";
      break;
    }
    for (size_t i = 0; i < 2; ++i) {
      if (ends[i].fd < 0 || ends[i].revents == 0) continue;
      std::array<char, 65536> buffer{};
      const ssize_t n = ::read(ends[i].fd, buffer.data(), buffer.size());
      if (n > 0) {
        texts[i]->append(buffer.data(), static_cast<size_t>(n));
      } else {
        ends[i].fd = -1;
        --open_ends;
      }
    }
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  result.exit = code_of(status);
  return result;
}

std::string sh(const std::string& command, const std::string& netns) {
  const Output result = run({"/bin/sh", "-c", command}, netns);
  EXPECT_EQ(result.exit, 0) << command << "\n" << result.out << result.err;
  return result.out;
}

bool eventually(const std::function<bool()>& happened, std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (!happened()) {
    if (Clock::now() >= end) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

Process::Process(std::vector<std::string> argv, const std::string& netns,
                 const std::string& log_file, Ends ends)
    : log_file_(log_file) {
  const Fd space = netns.empty() ? Fd() : open_netns(netns);
  const Fd log(::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto words = pointers(argv);
  pid_ = fork();
  if (pid_ != 0) return;
  become(words.data(), space.raw(), ends.in < 0 ? null.raw() : ends.in,
         ends.out < 0 ? log.raw() : ends.out, log.raw());
}

Process::~Process() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Process::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

int Process::wait(std::chrono::milliseconds limit) {
  int status = 0;
  if (pid_ <= 0) return -1;
  if (!eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, limit)) return -1;
  pid_ = -1;
  return code_of(status);
}

std::string Process::log() const {
  std::ostringstream text;
  text << std::ifstream(log_file_).rdbuf();
  return text.str();
}

Net::Net(const std::string& scene) {
  static std::atomic<int> serial{0};
  prefix_ = scene + "-" + std::to_string(getpid()) + "-" + std::to_string(++serial) + "-";
  dir_ = "/tmp/sallyport-scene-" + prefix_;
  std::filesystem::create_directories(dir_);
}

Net::~Net() {
  for (const std::string& name : names_) run({"ip", "netns", "del", name});
  std::error_code ignored;
  std::filesystem::remove_all(dir_, ignored);
}

std::string Net::add(const std::string& host) {
  const std::string name = prefix_ + host;
  sh("ip netns add " + name + " && ip -n " + name + " link set lo up");
  // Link-local addresses would else arrive a second or two later, in the middle of a scene.
  sh("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0", name);
  names_.push_back(name);
  return name;
}

void Net::link(const std::string& a, const std::string& a_device, const std::string& b,
               const std::string& b_device, const std::vector<std::string>& a_addresses,
               const std::vector<std::string>& b_addresses) {
  ip(a, "link add " + a_device + " type veth peer name " + b_device + " netns " + b);
  const auto up = [this](const std::string& netns, const std::string& device,
                         const std::vector<std::string>& addresses) {
    std::string batch;
    for (const std::string& address : addresses) {
      const bool six = address.find(':') != std::string::npos;
      batch += "addr add " + address + " dev " + device + (six ? " nodad\n" : "\n");
    }
    ip(netns, batch + "link set " + device + " up");
  };
  up(a, a_device, a_addresses);
  up(b, b_device, b_addresses);
}

void Net::ip(const std::string& netns, const std::string& batch) {
  const Output result = run({"ip", "-n", netns, "-batch", "-"}, {}, 60s, batch + "\n");
  EXPECT_EQ(result.exit, 0) << batch << "\n" << result.err;
}

void Net::forwarding(const std::string& netns) {
  sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1", netns);
}

void inside(const std::string& netns, const std::function<void()>& work) {
  const Fd home(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  const Fd there = open_netns(netns);
  ASSERT_EQ(setns(there.raw(), CLONE_NEWNET), 0) << netns;
  work();
  ASSERT_EQ(setns(home.raw(), CLONE_NEWNET), 0);
}

}  // namespace sallyport::scene
