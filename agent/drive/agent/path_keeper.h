// SPDX-License-Identifier: BSD-3-Clause
/// Holds tailnet peers on the paths that the node has chosen: pins in the data plane's maps and
/// endpoints in WireGuard.
#pragma once

#include <cstdint>
#include <optional>

#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/drive/agent/kernel_driver.h"
#include "agent/model/node_state.h"
#include "agent/model/path_step.h"
#include "agent/wire/agent_channel.h"
#include "bpf/abi/flow.h"
#include "kmod-glue/path_maps.h"

namespace sallyport {

class PathKeeper {
 public:
  /// Both outlive it.
  PathKeeper(PathMaps& maps, KernelDriver& kernel) : maps_(maps), kernel_(kernel) {}

  /// Who shares WireGuard's port, from the next packet on.
  void set_ports(const PathPorts& ports);
  /// Does the steps, which are within bounds, in order. `peer`: as it was before them. What failed
  /// is logged, and the rest done: the node finds out by what its path does.
  void move(const PathSteps& path, const TailnetPeer& peer, const std::string& device);
  /// Peers of `before` that are gone leave nothing behind.
  void forget_gone(const NodeState& before, const NodeState& now);
  /// What an earlier process left for peers that are there no longer goes.
  void prune(const NodeState& state);
  /// What the kernel has counted of a peer. `slot`: its own.
  [[nodiscard]] channel::Observed observe(const TailnetPeer& peer, const sp_peer& slot) const;

 private:
  void point(const PointAt& step, const TailnetPeer& peer, const std::string& device,
             std::optional<Endpoint>& at);
  void forget(const TailnetPeer& peer);
  void unwatch(const Endpoint& endpoint);

  PathMaps& maps_;
  KernelDriver& kernel_;
  PathPorts ports_;
};

}  // namespace sallyport
