// SPDX-License-Identifier: BSD-3-Clause
/// The unprivileged child: started, told its part of the configuration, heard with suspicion.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/guard/bounds.h"
#include "agent/guard/stage.h"
#include "agent/io/child.h"
#include "agent/io/loop.h"
#include "agent/io/seqpacket.h"
#include "agent/io/timer.h"
#include "agent/model/config.h"
#include "agent/wire/agent_channel.h"

namespace sallyport {

struct NodeProcessOptions {
  std::string program;
  /// Nothing: our own (only where we are not root).
  std::optional<io::ChildOptions::User> user;
  WallTime saved_clock;
  /// The tailnet to join, with the descriptors of channel::JoinFd; nothing: none.
  std::optional<channel::Join> join = {};
  std::vector<Fd> join_fds = {};
};

class NodeProcess {
 public:
  struct Callbacks {
    /// A state within bounds that the node has committed.
    std::function<void(const NodeState&)> on_state;
    /// Steps within bounds. The stage's state has the peer's new endpoint already.
    std::function<void(const PathSteps&)> on_move = {};
    /// The answer is tell(channel::Observed).
    std::function<void(const PublicKey& peer)> on_observe = {};
    /// It is gone, or said what no node of ours says: start another one.
    std::function<void(const std::string& why)> on_end;
  };
  static Result<std::unique_ptr<NodeProcess>> start(io::Loop& loop, NodeProcessOptions options,
                                                    Callbacks callbacks);
  NodeProcess(const NodeProcess&) = delete;
  NodeProcess& operator=(const NodeProcess&) = delete;
  ~NodeProcess() = default;

  /// Tells it the names to look up, or what changed of them. `facts` bound what it may say; what it
  /// said before and is no longer within bounds is withdrawn (see keep_within_bounds: the caller's
  /// state loses the same).
  void configure(const Config& config, BoundsFacts facts);
  /// An observation of ours.
  void tell(const channel::AgentRecord& record, std::vector<Fd> fds = {});
  /// Other preferences for the tailnet that was joined at the start.
  void prefer(channel::Join join);
  [[nodiscard]] pid_t pid() const { return child_.pid(); }

 private:
  NodeProcess(io::Loop& loop, Callbacks callbacks);
  void on_message(ByteView message, const std::vector<Fd>& fds);
  void send(std::span<const channel::AgentRecord> records, std::vector<Fd> fds);
  void on_record(channel::NodeRecord record);
  void commit(uint64_t epoch);
  void move(const PathSteps& path);
  void refuse(uint64_t epoch, const std::vector<Refused>& why);
  void end(const std::string& why);
  void arm();

  io::Loop& loop_;
  Callbacks callbacks_;
  io::Child child_;
  io::Seqpacket channel_;
  io::Timer timer_;
  Stage stage_;
  Config config_;
  BoundsFacts facts_;
  std::vector<NamedPeer> told_;
  std::optional<channel::Join> joined_;
  std::optional<channel::LocalAddresses> told_addresses_;
  bool greeted_ = false;
  bool ended_ = false;
};

}  // namespace sallyport
