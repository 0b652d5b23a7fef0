// SPDX-License-Identifier: BSD-3-Clause
/// Makes tables of the rules and puts them into force: names -> rules -> classes -> kernel.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/drive/agent/instance.h"
#include "agent/drive/agent/peer_slots.h"
#include "agent/model/config.h"
#include "agent/model/node_state.h"
#include "agent/model/position.h"
#include "agent/policy/compile.h"
#include "agent/policy/counters.h"
#include "agent/policy/explain.h"
#include "agent/policy/resolve.h"
#include "agent/policy/schedule.h"
#include "kmod-glue/bpf_loader.h"

namespace sallyport {

class PolicyDriver {
 public:
  /// Both outlive this object. Takes up the slots and counters of the run directory if the data
  /// plane goes on, else starts afresh.
  PolicyDriver(DataPlane& data_plane, const Instance& instance);

  struct Now {
    WallTime wall;
    Instant boot;
  };
  /// Compiles and flips. Errors leave the running policy as it is.
  Result<void, std::vector<InputError>> apply(const Config& config, const NodeState& node,
                                              const std::vector<Device>& devices, Now now);
  /// When the chain that is in force should be made anew: at its first end.
  [[nodiscard]] std::optional<Instant> due() const { return due_; }

  /// Identifies the content: two gateways with the same rules over the same addresses agree.
  [[nodiscard]] const std::string& version() const { return version_; }
  [[nodiscard]] uint64_t generation() const { return generation_; }
  [[nodiscard]] const ResolvedPolicy& resolved() const { return resolved_; }
  [[nodiscard]] const PolicyNames& names() const { return names_; }
  [[nodiscard]] const PeerSlots& slots() const { return slots_; }
  /// The tables in force.
  [[nodiscard]] const std::vector<uint8_t>& blob() const { return blob_; }
  /// Tables as they would be at another time.
  [[nodiscard]] Result<std::vector<uint8_t>, PolicyTooBig> blob_at(WallTime when) const;
  [[nodiscard]] std::string peer_name(uint32_t slot) const;
  /// With a clock that is not credible no rule with a time is.
  [[nodiscard]] bool is_active(const Rule& rule, WallTime at) const;
  [[nodiscard]] const Rule* rule_of(uint16_t counter) const;

  /// What the host's devices say about `self` and the exit.
  static Surroundings surroundings_of(const Config& config, const std::vector<Device>& devices);

 private:
  Result<void, std::vector<InputError>> assign(const Config& config, const NodeState& node,
                                               ResolvedPolicy& resolved);
  void write_settings(const Config& config);

  DataPlane& data_plane_;
  const Instance& instance_;
  PeerSlots slots_;
  RuleCounters counters_;
  ResolvedPolicy resolved_;
  std::vector<PeerAddresses> peers_;
  PolicyNames names_;
  std::vector<uint8_t> blob_;
  ClockTrust trust_ = ClockTrust::kUnknown;
  std::optional<Instant> due_;
  std::string version_;
  uint64_t generation_ = 0;
};

}  // namespace sallyport
