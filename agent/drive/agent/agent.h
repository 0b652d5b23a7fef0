// SPDX-License-Identifier: BSD-3-Clause
/// The privileged process: configuration in, kernel state out. Composition and order of events;
/// each decision is in guard or policy.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/exit_code.h"
#include "agent/base/result.h"
#include "agent/drive/agent/answers.h"
#include "agent/drive/agent/control_server.h"
#include "agent/drive/agent/instance.h"
#include "agent/drive/agent/joined.h"
#include "agent/drive/agent/kernel_driver.h"
#include "agent/drive/agent/metrics.h"
#include "agent/drive/agent/node_process.h"
#include "agent/drive/agent/node_sockets.h"
#include "agent/drive/agent/path_keeper.h"
#include "agent/drive/agent/policy_driver.h"
#include "agent/drive/agent/service_manager.h"
#include "agent/io/loop.h"
#include "agent/io/poll.h"
#include "agent/io/signal.h"
#include "agent/io/timer.h"
#include "kmod-glue/kernel.h"
#include "kmod-glue/probe.h"
#include "kmod-glue/wg.h"

namespace sallyport {

struct AgentOptions {
  Directories directories;
  std::string node_program;
  std::optional<io::ChildOptions::User> node_user;
};

/// What stands for the WireGuard device: kmod-glue's, or in tests on a kernel without it a
/// stand-in.
struct WireGuardPart {
  std::unique_ptr<WireGuardOps> ops;
  /// With statistics, for status; nothing: there is no device.
  std::function<Result<std::optional<WgObserved>>(const std::string& device)> dump;
};

/// Why the agent did not start, or how it ended.
struct AgentEnd {
  ExitCode code = ExitCode::kDone;
  std::vector<InputError> errors;
  /// Start this program anew with what it was started with: only a fresh process has the
  /// capabilities that starting a node takes.
  bool again = false;
};

class Agent {
 public:
  /// Reads the configuration, takes up or makes the data plane, and serves. Nothing of a running
  /// instance changes before all of it has been checked.
  static Result<std::unique_ptr<Agent>, AgentEnd> start(io::Loop& loop, AgentOptions options,
                                                        ServiceManager manager, Probe probe,
                                                        WireGuardPart wireguard);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  ~Agent();

  /// How it ended, once the loop has stopped.
  [[nodiscard]] const AgentEnd& end() const { return end_; }

 private:
  Agent(io::Loop& loop, AgentOptions options, ServiceManager manager, Probe probe,
        WireGuardPart wireguard, Instance instance, Config config);

  // Start.
  Result<void, AgentEnd> bring_up();
  Result<void, AgentEnd> serve();
  Result<void> serve_metrics();
  Result<void> start_node();
  Result<void> hold_paths(const Config& config);
  void hold_no_paths();
  [[nodiscard]] BoundsFacts bounds_facts() const;
  [[nodiscard]] PublicKey called() const;
  [[nodiscard]] WallTime saved_clock() const;
  Result<Fd> listener(const std::string& name, const std::string& path, mode_t mode);
  Result<void> write_ready();

  // What happens.
  std::vector<InputError> reload();
  std::vector<InputError> apply(const Config& config);
  [[nodiscard]] std::optional<InputError> what_needs_a_restart(const Config& next) const;
  void turn();
  void converge(bool repairing);
  void set_ports();
  void renew_policy();
  void arm_policy_timer();
  void on_policy_due();
  void on_watchdog();
  void on_clock();
  void save_clock() const;
  void remember_trust();
  [[nodiscard]] ClockTrust remembered_trust() const;
  void on_drop_events();
  void on_signal(int signal);
  void on_node_state(const NodeState& state);
  void on_move(const PathSteps& path);
  void on_observe(const PublicKey& peer);
  void on_node_end(const std::string& why);
  void tell_node();
  Result<void, ControlRefusal> down();
  void stop(AgentEnd end);

  // What is asked.
  ControlAnswer answer(const std::string& verb, const Json& args);
  bool hand_over(const std::string& verb, const Json& args, const TakeConnection& take);
  ControlAnswer answer_with(const std::function<ControlAnswer(const AgentView&)>& make,
                            bool with_device);
  ControlAnswer answer_peer_offer(const Json& args);
  ControlAnswer answer_doctor_fixing(bool fix);
  ControlAnswer answer_plan_of_file();
  ControlAnswer answer_prefs(const Json& args, bool connect);
  std::vector<Finding> findings(bool thorough);
  std::vector<Description> pending();
  [[nodiscard]] PolicyDriver::Now now() const;

  io::Loop& loop_;
  AgentOptions options_;
  ServiceManager manager_;
  Probe probe_;
  WireGuardPart wireguard_;
  Instance instance_;
  Config config_;
  std::vector<StoredFd> stored_;
  Fd namespace_lock_;
  std::optional<PrivateKey> private_key_;
  uint16_t wg_port_ = 0;
  NodeState node_state_;
  NodePorts node_ports_;  // of a node that has joined a tailnet
  std::optional<NodeSockets> node_sockets_;
  bool paths_pruned_ = false;  // after the node's first word
  bool running_ = false;

  std::unique_ptr<DataPlane> data_plane_;
  std::unique_ptr<AttachOps> attacher_;
  std::unique_ptr<Kernel> kernel_;
  std::unique_ptr<KernelDriver> kernel_driver_;
  std::unique_ptr<PolicyDriver> policy_;
  std::unique_ptr<PathKeeper> paths_;
  std::unique_ptr<NodeProcess> node_;
  std::unique_ptr<ControlServer> control_;
  std::vector<std::unique_ptr<MetricsServer>> metrics_;
  DropLog drops_;
  std::vector<std::string> failures_;
  Surroundings surroundings_;

  io::Readable kernel_changes_;
  io::Readable drop_events_;
  std::optional<io::SignalSet> signals_;
  std::optional<io::WallClockWatch> wall_clock_;
  io::Timer turn_timer_;
  io::Timer policy_timer_;
  io::Timer watchdog_timer_;
  io::Timer node_timer_;
  io::Timer clock_timer_;
  io::Timer tidy_timer_;
  bool clock_synchronised_ = false;
  Instant clock_save_due_{};
  Instant node_started_{};
  AgentEnd end_;
};

}  // namespace sallyport
