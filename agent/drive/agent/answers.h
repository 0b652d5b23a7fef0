// SPDX-License-Identifier: BSD-3-Clause
/// What the agent answers to `sallyport`. Reads state, changes none.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/drive/agent/control_server.h"
#include "agent/drive/agent/doctor.h"
#include "agent/drive/agent/drop_log.h"
#include "agent/drive/agent/policy_driver.h"
#include "agent/model/config.h"
#include "agent/model/kernel_state.h"
#include "kmod-glue/bpf_loader.h"
#include "kmod-glue/wg.h"

namespace sallyport {

/// The agent as the answers see it; borrowed for one call.
struct AgentView {
  const Config& config;
  const PolicyDriver* policy;  // null after `down`, as is the next
  DataPlane* data_plane;
  const DropLog& drops;
  const Capabilities& kernel;
  PublicKey self;
  std::string state;                        // Running, Starting, Stopped
  const std::optional<WgObserved>& device;  // as dumped for this question
  const std::vector<Finding>& health;
  WallTime wall;
  uint64_t monotonic_ns = 0;  // CLOCK_MONOTONIC, which the kernel's stamps are of
};

Json answer_status(const AgentView& view);
/// What the kernel counted of the tailnet's peers, by key; for the node, which knows their names.
Json tailnet_counters(const AgentView& view, const NodeState& node);
Json answer_peers(const AgentView& view);
Json answer_rules(const AgentView& view);
ControlAnswer answer_explain(const AgentView& view, const Json& args);
Json answer_drops(const AgentView& view);
Json drop_json(const AgentView& view, const Drop& drop);
ControlAnswer answer_flows(const AgentView& view, const Json& args);
Json answer_plan(const std::vector<Operation>& operations);
Json answer_doctor(const std::vector<Finding>& findings);

/// RFC 3339, UTC, milliseconds.
std::string time_text(WallTime time);

}  // namespace sallyport
