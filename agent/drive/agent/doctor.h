// SPDX-License-Identifier: BSD-3-Clause
/// What is wrong, and the command that mends it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/guard/reconcile.h"
#include "agent/model/config.h"
#include "agent/model/kernel_state.h"
#include "agent/model/node_state.h"
#include "kmod-glue/nft.h"
#include "kmod-glue/probe.h"

namespace sallyport {

enum class Severity : uint8_t { kInfo, kWarning, kError };

struct Finding {
  std::string id;
  Severity severity = Severity::kWarning;
  std::string text;
  std::string fix;  // a command; may be empty
  bool fixed = false;
};

struct DoctorFacts {
  const Config& config;
  const std::vector<Device>& devices;
  const std::vector<Missing>& missing;
  const std::vector<ForeignForwardChain>& forward_chains;
  const std::vector<std::string>& failures;          // of the latest turn towards the plan
  const std::vector<Description>& pending;           // what the next turn would do
  const std::map<Prefix, std::string>& lan_devices;  // see PlanFacts
  ClockTrust clock = ClockTrust::kUnknown;
  bool node_alive = false;
  bool down = false;  // somebody took it down; nothing of ours is in the kernel
};

/// The worst first.
std::vector<Finding> diagnose(const DoctorFacts& facts);
const char* severity_name(Severity severity);

}  // namespace sallyport
