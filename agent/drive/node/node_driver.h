// SPDX-License-Identifier: BSD-3-Clause
/// Runs the node's machine: messages of the agent and answers of the resolver in, its actions out.
#pragma once

#include <memory>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/drive/node/opening.h"
#include "agent/drive/node/resolver.h"
#include "agent/drive/node/tailnet.h"
#include "agent/drive/node/tailnet_answers.h"
#include "agent/io/loop.h"
#include "agent/io/seqpacket.h"
#include "agent/io/timer.h"
#include "agent/node/node.h"

namespace sallyport {

class NodeDriver {
 public:
  /// `agent`: our end of the agent's socket.
  /// `opening`: the first message on it. Before the sandbox is closed: a tailnet takes threads.
  static Result<std::unique_ptr<NodeDriver>> start(io::Loop& loop, Fd agent, Opening opening);
  NodeDriver(const NodeDriver&) = delete;
  NodeDriver& operator=(const NodeDriver&) = delete;
  ~NodeDriver() = default;

  /// Has something gone wrong? Then the loop was stopped for it; else because the agent is gone.
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  explicit NodeDriver(io::Loop& loop) : loop_(loop) {}
  void on_message(ByteView message, std::vector<Fd> fds);
  void on_record(const channel::AgentRecord& record);
  void tell_tailnet(const channel::AgentRecord& record, std::vector<Fd>& fds);
  void say(const channel::NodeRecord& record);
  void on_end(const std::optional<Error>& why);
  void run(const NodeActions& actions);
  void act(const Lookup& lookup);
  void act(const Send& send);
  void act(const Stop& stop);
  void give_up(std::string_view why);

  io::Loop& loop_;
  Node node_;
  io::Seqpacket agent_;
  io::Timer wake_;
  std::unique_ptr<Resolver> resolver_;
  std::unique_ptr<Tailnet> tailnet_;
  std::unique_ptr<TailnetAnswers> answers_;
  bool failed_ = false;
};

}  // namespace sallyport
