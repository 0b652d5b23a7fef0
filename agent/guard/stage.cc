// SPDX-License-Identifier: BSD-3-Clause
#include "agent/guard/stage.h"

#include <utility>

namespace sallyport {
namespace {

size_t members_of(const NodeObject& object) {
  if (const auto* peer = std::get_if<TailnetPeer>(&object)) return peer->allowed_ips.size();
  if (const auto* rule = std::get_if<NodeRule>(&object)) {
    return rule->rule.from.size() + rule->rule.to.size() + rule->rule.ports.size() +
           rule->rule.protos.size() + rule->rule.when.size();
  }
  return 0;
}

}  // namespace

Refusal Stage::break_off(Refusal why) {
  broken_ = true;
  phase_ = Phase::kIdle;
  changes_ = {};
  return why;
}

void Stage::drop_if_late(Instant now) {
  if (phase_ != Phase::kOpen || now < deadline_) return;
  phase_ = Phase::kDropped;
  changes_ = {};
}

std::optional<Refusal> Stage::on_begin(uint64_t epoch, Instant now) {
  drop_if_late(now);
  if (broken_ || phase_ == Phase::kOpen || epoch <= epoch_) return break_off(Refusal::kSequence);
  epoch_ = epoch;
  phase_ = Phase::kOpen;
  deadline_ = now + kEpochTime;
  changes_.clear();
  members_ = 0;
  return std::nullopt;
}

std::optional<Refusal> Stage::add(std::variant<NodeObject, ObjectId> change, size_t members,
                                  Instant now) {
  drop_if_late(now);
  if (broken_ || phase_ == Phase::kIdle) return break_off(Refusal::kSequence);
  if (phase_ == Phase::kDropped) return std::nullopt;  // the commit will hear of it
  members_ += members;
  if (changes_.size() >= kMaxEpochRecords || members_ > kMaxEpochMembers)
    return break_off(Refusal::kTooMany);
  changes_.push_back(std::move(change));
  return std::nullopt;
}

std::optional<Refusal> Stage::on_put(NodeObject object, Instant now) {
  const size_t members = members_of(object);
  return add(std::move(object), members, now);
}

std::optional<Refusal> Stage::on_delete(const ObjectId& id, Instant now) { return add(id, 0, now); }

Result<NodeState, Refusal> Stage::on_commit(uint64_t epoch, Instant now) {
  drop_if_late(now);
  if (broken_ || phase_ == Phase::kIdle || epoch != epoch_)
    return Fail{break_off(Refusal::kSequence)};
  const bool late = phase_ == Phase::kDropped;
  phase_ = Phase::kIdle;
  if (late) return Fail{Refusal::kTooLate};
  NodeState state = settled_;
  for (const auto& change : std::exchange(changes_, {})) {
    if (const auto* object = std::get_if<NodeObject>(&change)) {
      put(state, *object);
    } else {
      erase(state, std::get<ObjectId>(change));
    }
  }
  return state;
}

std::optional<Instant> Stage::next_wake() const {
  if (phase_ != Phase::kOpen) return std::nullopt;
  return deadline_;
}

std::optional<uint64_t> Stage::on_wake(Instant now) {
  const bool was_open = phase_ == Phase::kOpen;
  drop_if_late(now);
  if (was_open && phase_ == Phase::kDropped) return epoch_;
  return std::nullopt;
}

}  // namespace sallyport
