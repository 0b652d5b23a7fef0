// SPDX-License-Identifier: BSD-3-Clause
/// Rules over addresses become the tables of bpf/abi/policy_blob.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/model/ip.h"
#include "agent/model/node_state.h"
#include "agent/model/rule.h"
#include "agent/policy/ownership.h"
#include "agent/policy/resolve.h"
#include "bpf/abi/policy_blob.h"

namespace sallyport {

/// Everything that a packet is judged by at one moment.
struct PolicyInput {
  /// The active ones, in the order in which the first that matches is named. Each has its counter
  /// (1 ... SP_MAX_RULES-1). The one with kOwnRuleCounter comes after all others, wherever it
  /// stands, and the ceiling does not bound it.
  std::vector<Rule> rules;
  /// The active ones; counters are not used. Absent: no bound. Empty: nothing.
  std::optional<std::vector<Rule>> ceiling;
  std::vector<PeerAddresses> peers;
  std::vector<IpRange> own;
  /// Only for the reason of a denial: who may use the exit (a rule leads it to some address of
  /// exit_reach) hears of an address in exit_local, to which no rule leads it, that it is local.
  std::vector<IpRange> exit_reach;
  std::vector<IpRange> exit_local;
};

/// What is active at a moment. With a clock that is not credible no rule with a time is.
PolicyInput policy_at(const ResolvedPolicy& policy, const std::vector<PeerAddresses>& peers,
                      WallTime at, ClockTrust trust);

struct PolicyStats {
  size_t v4_intervals = 0;
  size_t v6_intervals = 0;
  size_t src_classes = 0;
  size_t dst_classes = 0;
  size_t rows = 0;
  size_t row_bytes = 0;
};
struct CompiledPolicy {
  /// The header and what follows, a multiple of 16 bytes, at most SP_POLICY_BYTES. Aligned as
  /// operator new aligns. The rest of a kernel slot may hold anything.
  std::vector<uint8_t> blob;
  PolicyStats stats;
};

/// Refused, never truncated. The running policy stays.
struct PolicyTooBig {
  size_t needed = 0;  // bytes, at least: counting ends where the limit is passed
  size_t limit = 0;
  std::vector<std::string> blame;  // ids of the rules that add most, the worst first, at most three
  [[nodiscard]] std::string text() const;
};

/// An address as the tables' lookup takes it.
struct Halves {
  uint64_t high = 0;  // host order
  uint64_t low = 0;
};
Halves halves_of(const IpAddress& address);

/// Addresses that no rule tells apart are one class; pairs of classes that meet the same rules
/// share a row. Time and memory go with intervals + class pairs * rules / 64.
Result<CompiledPolicy, PolicyTooBig> compile(const PolicyInput& input,
                                             size_t limit = SP_POLICY_BYTES);

}  // namespace sallyport
