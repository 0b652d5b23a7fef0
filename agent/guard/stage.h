// SPDX-License-Identifier: BSD-3-Clause
/// The agent's side of an epoch: collects what the node asks for, bounded in count and in time,
/// until it is committed. What comes out is a wish, still to be judged by check_bounds().
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/model/node_object.h"

namespace sallyport {

/// An epoch is written in one go; a node that does not finish it has hung or died.
constexpr Duration kEpochTime = std::chrono::seconds(5);
/// Records of one epoch: every object that a state may have, replaced once.
constexpr size_t kMaxEpochRecords = 32768;
/// Members of their lists (prefixes, ranges, ports) together: some 10 MB at most.
constexpr size_t kMaxEpochMembers = 262144;

/// Inputs are the node's records in order. Out of order (kSequence) or beyond the bounds (kTooMany)
/// is what no node of ours does: broken() is then true for good, and the node is to be restarted,
/// with a new Stage. A new node starts from an empty state; what it commits first replaces what the
/// old one had said.
class Stage {
 public:
  /// Nothing: taken.
  std::optional<Refusal> on_begin(uint64_t epoch, Instant now);
  std::optional<Refusal> on_put(NodeObject object, Instant now);
  std::optional<Refusal> on_delete(const ObjectId& id, Instant now);
  /// The state as it would be. kTooLate: the epoch was dropped, the node may begin another.
  Result<NodeState, Refusal> on_commit(uint64_t epoch, Instant now);
  /// A committed state has passed the bounds: epochs to come build on it. Without this call they
  /// build on the one before.
  void settle(NodeState accepted) { settled_ = std::move(accepted); }
  /// The settled peer is where the steps, which are within bounds, have pointed it.
  void move(const PathSteps& path, uint16_t relay_port) { move_peer(settled_, path, relay_port); }

  /// When on_wake is to be called.
  [[nodiscard]] std::optional<Instant> next_wake() const;
  /// The epoch that was dropped because its time is over.
  std::optional<uint64_t> on_wake(Instant now);

  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] uint64_t epoch() const { return epoch_; }  // the latest begun
  [[nodiscard]] const NodeState& settled() const { return settled_; }

 private:
  enum class Phase : uint8_t { kIdle, kOpen, kDropped };  // kDropped: its records still come in

  std::optional<Refusal> add(std::variant<NodeObject, ObjectId> change, size_t members,
                             Instant now);
  Refusal break_off(Refusal why);
  void drop_if_late(Instant now);

  NodeState settled_;
  Phase phase_ = Phase::kIdle;
  uint64_t epoch_ = 0;
  Instant deadline_{};
  std::vector<std::variant<NodeObject, ObjectId>> changes_;
  size_t members_ = 0;
  bool broken_ = false;
};

}  // namespace sallyport
