// SPDX-License-Identifier: BSD-3-Clause
/// Holds the kernel to the plan: observe, plan, reconcile, apply. First start, reload, and
/// somebody's `ip rule del` all take this one path.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/drive/agent/instance.h"
#include "agent/guard/plan.h"
#include "agent/guard/reconcile.h"
#include "kmod-glue/kernel.h"

namespace sallyport {

class KernelDriver {
 public:
  /// Both outlive this object.
  KernelDriver(Kernel& kernel, const Instance& instance) : kernel_(kernel), instance_(instance) {}

  /// What one turn did. An operation that failed is tried again at the next turn.
  struct Outcome {
    size_t applied = 0;
    bool held_back = false;  // a step failed that others had to wait for
    std::vector<Description> done;
    std::vector<std::string> failures;
  };

  /// Looks again at the host's devices and at the ways to the LANs, `routes` (NodeState) included.
  /// Call before converge().
  Result<void> look(const Config& config, const std::map<Prefix, bool>& routes = {});
  [[nodiscard]] const std::vector<Device>& devices() const { return facts_.devices; }
  /// See PlanFacts.
  [[nodiscard]] const std::map<Prefix, std::string>& lan_devices() const {
    return facts_.lan_devices;
  }

  /// From the next turn on: does the node hold paths, and which ports are its?
  void set_node_ports(const NodePorts& ports, bool holds_paths) {
    facts_.node_ports = ports;
    facts_.holds_paths = holds_paths;
  }

  Result<Outcome> converge(const Config& config, const NodeState& node, const PrivateKey& key,
                           uint16_t wg_port);
  /// One change to a peer, past the plan, which says the same from then on: converge() leaves it.
  Result<void> set_peer(const SetPeer& step);
  /// What converge() would do with another configuration. Nothing changes.
  Result<std::vector<Operation>> preview(const Config& config, const NodeState& node,
                                         const PrivateKey& key, uint16_t wg_port);
  /// `down`: nothing of ours, the rest as it was before our first start.
  Result<Outcome> clear(const Config& config);

  /// Look at the device itself at the next turn: an acknowledged change is otherwise believed.
  void doubt() { believed_.reset(); }

 private:
  struct Steps {
    KernelState desired;
    std::vector<Operation> operations;
    Saved saved;
    AskedEndpoints asked;
    std::optional<WgDevice> believed;  // of the device, afterwards
  };
  Result<KernelState> observe(const Config& config);
  Result<Steps> steps(const Config& config, const NodeState& node, const PrivateKey& key,
                      uint16_t wg_port);
  Result<Outcome> apply(const Config& config, Steps steps);
  Result<void> load_saved();
  [[nodiscard]] AskedEndpoints asked_with(const Config& config, const KernelState& desired) const;
  void remember_asked(const Config& config, AskedEndpoints asked);
  Result<void> save(const Saved& saved);

  Kernel& kernel_;
  const Instance& instance_;
  PlanFacts facts_;
  bool saved_known_ = false;          // and what an agent before us asked for
  std::optional<WgDevice> believed_;  // what the device has, by our acknowledged changes
  AskedEndpoints asked_;
  AskedEndpoints kept_;  // of them, what is in the file
};

}  // namespace sallyport
