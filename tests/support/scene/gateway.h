// SPDX-License-Identifier: BSD-3-Clause
/// A gateway of ours inside a namespace: the shipped programs, run as an administrator would.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/scene/net.h"
#include "tests/support/scene/rung.h"

namespace sallyport::scene {

class Gateway {
 public:
  /// `dir`: an existing folder of the scene; configuration, state and run folders are made in it.
  Gateway(const std::string& netns, const std::string& dir);

  /// Writes config.yaml (mode 0600). Takes effect at start() or reload().
  void configure(const std::string& yaml) const;
  /// Starts the agent and waits until it serves. False: it did not; see log().
  bool start(std::chrono::milliseconds limit = 120s);
  /// How the agent is started.
  [[nodiscard]] std::vector<std::string> command() const;
  /// Waits for an agent that starts now (again) to serve.
  bool serving(std::chrono::milliseconds limit = 120s) const;
  /// SIGTERM; its exit code.
  int stop();
  /// SIGKILL to the agent, and to its node where it outlives it.
  void kill9();
  void signal(int number) const { agent_->signal(number); }
  /// Pid of the node process, or -1.
  [[nodiscard]] int node_pid() const;

  /// `sallyport --run DIR words...`.
  [[nodiscard]] Output cli(const std::vector<std::string>& words) const;
  /// The same with --json; fails the test if it is not JSON.
  [[nodiscard]] nlohmann::json json(const std::vector<std::string>& words) const;
  /// Reload with a new configuration; fails the test unless it is taken.
  void reload(const std::string& yaml) const;

  /// Packets that ended with this verdict at any hook ("no_rule", "flow", ...).
  [[nodiscard]] uint64_t verdicts(const std::string& name) const;
  /// The whole text of the metrics page.
  [[nodiscard]] std::string metrics() const;

  [[nodiscard]] const std::string& netns() const { return netns_; }
  [[nodiscard]] std::string file(const std::string& name) const { return dir_ + "/" + name; }
  [[nodiscard]] std::string public_key() const;
  [[nodiscard]] int wg_port() const;
  /// Folder of the agent and its node, if not that of the test.
  std::string programs;

  /// What the agent has said so far, over all its starts.
  [[nodiscard]] std::string log() const;
  /// Everything that explains a failure: log, status, ruleset, links, wg show.
  [[nodiscard]] std::string dump() const;

 private:
  std::string netns_;
  std::string dir_;
  std::unique_ptr<Kept> wireguard_;
  std::unique_ptr<Process> agent_;
};

/// The folder of the programs under test.
std::string program(const std::string& name);

}  // namespace sallyport::scene
