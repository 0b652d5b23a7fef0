// SPDX-License-Identifier: BSD-3-Clause
/// Network namespaces, links and processes of a scene. Everything made here is gone with the
/// object.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/fd.h"

namespace sallyport::scene {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// What a command printed and how it ended (128 + signal if it was killed).
struct Output {
  int exit = -1;
  std::string out;
  std::string err;
};

/// Runs a program and waits for it. `netns`: a namespace made by Net, or empty for ours.
Output run(const std::vector<std::string>& argv, const std::string& netns = {},
           std::chrono::milliseconds limit = 60s, const std::string& input = {});
/// The same through the shell; fails the test if it does not exit with 0.
std::string sh(const std::string& command, const std::string& netns = {});

/// Waits until `happened` is true; looks every few milliseconds. False: the limit has passed.
bool eventually(const std::function<bool()>& happened, std::chrono::milliseconds limit = 30s);

/// A process that lives as long as this object. Its output goes to a file that a failing test
/// shows.
class Process {
 public:
  /// Standard input and output of the process, if not the void and the file.
  struct Ends {
    int in = -1;
    int out = -1;
  };
  Process(std::vector<std::string> argv, const std::string& netns, const std::string& log_file)
      : Process(std::move(argv), netns, log_file, Ends{}) {}
  Process(std::vector<std::string> argv, const std::string& netns, const std::string& log_file,
          Ends ends);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();  // SIGKILL

  [[nodiscard]] int pid() const { return pid_; }
  void signal(int number) const;
  /// Waits for its end; the exit code as in Output, or -1 at the limit.
  int wait(std::chrono::milliseconds limit = 10s);
  [[nodiscard]] std::string log() const;

 private:
  int pid_ = -1;
  std::string log_file_;
};

/// The namespaces of one scene, with names of its own so that scenes never meet.
class Net {
 public:
  /// `scene`: a short word that appears in the names.
  explicit Net(const std::string& scene);
  Net(const Net&) = delete;
  Net& operator=(const Net&) = delete;
  ~Net();

  /// A new namespace with lo up. Returns its full name, for every `netns` argument here.
  std::string add(const std::string& host);
  /// A veth pair between two of them, up, with the given addresses (IPv6 without DAD).
  void link(const std::string& a, const std::string& a_device, const std::string& b,
            const std::string& b_device, const std::vector<std::string>& a_addresses = {},
            const std::vector<std::string>& b_addresses = {});
  /// `ip` commands in one process, one a line: "route add default via 10.0.0.1".
  void ip(const std::string& netns, const std::string& batch);
  static void forwarding(const std::string& netns);
  /// A folder for files of the scene, removed with it.
  [[nodiscard]] const std::string& dir() const { return dir_; }

 private:
  std::string prefix_;
  std::string dir_;
  std::vector<std::string> names_;
};

/// Runs `work` with the calling thread inside a namespace and comes back.
void inside(const std::string& netns, const std::function<void()>& work);

}  // namespace sallyport::scene
