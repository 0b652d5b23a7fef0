// SPDX-License-Identifier: BSD-3-Clause
/// A node's membership of a tailnet: its control session, its paths, and the plan that follows from
/// the netmap. Composition and order of events; each decision is in agent/node.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/drive/node/control_driver.h"
#include "agent/drive/node/paths_driver.h"
#include "agent/drive/node/state_file.h"
#include "agent/io/loop.h"
#include "agent/io/timer.h"
#include "agent/model/node_object.h"
#include "agent/node/netmap_plan.h"
#include "agent/wire/agent_channel.h"

namespace sallyport {

/// A netmap of 10,000 peers is some 20 MB.
constexpr size_t kNetmapFileBytes = size_t{64} << 20;
constexpr size_t kKeysFileBytes = size_t{64} << 10;
constexpr size_t kPathsFileBytes = size_t{16} << 20;

/// What becomes of it outside. All from the loop; none may destroy the tailnet.
struct TailnetHooks {
  std::function<void(const std::vector<ObjectId>& deletes, const std::vector<NodeObject>& puts)>
      on_plan;
  std::function<void(const PathSteps& path)> on_move;
  std::function<void(const PublicKey& peer)> observe;
};

class Tailnet {
 public:
  /// `fds`: those of channel::JoinFd. Starts threads and reads the authorities: before a sandbox is
  /// closed. Nothing is sent before start().
  static Result<std::unique_ptr<Tailnet>> create(io::Loop& loop, channel::Join orders,
                                                 std::vector<Fd> fds, TailnetHooks hooks);
  Tailnet(const Tailnet&) = delete;
  Tailnet& operator=(const Tailnet&) = delete;
  ~Tailnet() = default;

  void start();
  /// Other preferences; what else the orders say stays as it was.
  void on_orders(const channel::Join& orders);
  void on_local_addresses(const channel::LocalAddresses& local);
  void on_network_changed();
  void on_observed(const channel::Observed& observed);

  [[nodiscard]] const channel::Join& orders() const { return orders_; }
  [[nodiscard]] ControlDriver& control() { return *control_; }
  [[nodiscard]] PathsDriver& paths() { return *paths_; }
  [[nodiscard]] const NetmapPlan& plan() const { return planner_.plan(); }

 private:
  struct Files {
    StateFile keys;
    StateFile netmap;
    StateFile paths;
  };
  Tailnet(io::Loop& loop, channel::Join orders, Files files, TailnetHooks hooks);
  void on_netmap(const NetmapChanges& changes, bool whole);
  void tell(PlanDelta delta);
  void place(TailnetPeer& peer) const;
  void replan();
  void arm_plan();
  void tell_control();
  void on_status();

  channel::Join orders_;
  Files files_;
  TailnetHooks hooks_;
  PlanFacts facts_;
  NetmapPlanner planner_;
  control::NodeInfo info_;
  bool connected_ = false;
  bool started_ = false;
  io::Timer plan_due_;
  std::unique_ptr<PathsDriver> paths_;
  std::unique_ptr<ControlDriver> control_;
};

}  // namespace sallyport
