// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/node.h"

#include <algorithm>

namespace sallyport {

NodeActions Node::on_record(const channel::AgentRecord& record, WallTime wall, Instant now) {
  if (!saved_clock_ && !std::holds_alternative<channel::Hello>(record))
    return {Stop{"the agent did not say hello"}};
  return std::visit([&](const auto& r) { return on(r, wall, now); }, record);
}

NodeActions Node::on(const channel::Hello& hello, WallTime wall, Instant now) {
  if (saved_clock_) return {Stop{"the agent said hello twice"}};
  if (hello.version != channel::kVersion) return {Stop{"the agent is of another version"}};
  saved_clock_ = hello.saved_clock;
  if (wall >= hello.saved_clock + kClockMoved) wanted_.clock = ClockTrust::kCredible;
  return advance(now);
}

NodeActions Node::on(const channel::Name& name, WallTime, Instant now) {
  names_[name.peer] = Watch{name.host, name.port};
  hosts_.try_emplace(name.host, HostState{.due = now, .retry = kLookupFirstRetry, .found = {}});
  forget_unused_hosts();
  wanted_.endpoints.erase(name.peer);
  // What was refused under another configuration may be right under this one.
  barred_.erase(ObjectId{ObjectKind::kEndpoint, name.peer, {}, 0});
  choose(name.peer, names_[name.peer]);
  return advance(now);
}

NodeActions Node::on(const channel::Forget& forget, WallTime, Instant now) {
  names_.erase(forget.peer);
  wanted_.endpoints.erase(forget.peer);
  forget_unused_hosts();
  return advance(now);
}

NodeActions Node::on(const channel::Ready&, WallTime, Instant now) {
  ready_ = true;
  return advance(now);
}

NodeActions Node::on(const channel::ClockSync& sync, WallTime wall, Instant now) {
  const bool kept = wall >= *saved_clock_ + kClockMoved;
  wanted_.clock = sync.synchronised || kept ? ClockTrust::kCredible : ClockTrust::kUnknown;
  return advance(now);
}

NodeActions Node::on(const channel::NetworkChanged&, WallTime, Instant now) {
  // What failed may work now, and a name may mean another address here.
  for (auto& [host, state] : hosts_) {
    state.retry = kLookupFirstRetry;
    if (state.due) state.due = now;
  }
  return advance(now);
}

NodeActions Node::on(const channel::Accepted& accepted, WallTime, Instant now) {
  if (!in_flight_ || accepted.epoch != epoch_) return {Stop{"the agent accepted no epoch of ours"}};
  accepted_ = std::move(*in_flight_);
  in_flight_.reset();
  return advance(now);
}

NodeActions Node::on(const channel::RefusedObject& refused, WallTime, Instant now) {
  if (refused.epoch != epoch_) return {};  // a second complaint about an epoch given up already
  in_flight_.reset();
  retry_ = now + kEpochRetry;
  const auto& [id, reason] = refused.refused;
  if (reason == Refusal::kSequence || reason == Refusal::kTooLate) return {};
  if (id.kind == ObjectKind::kEndpoint) {
    const auto found = wanted_.endpoints.find(id.peer);
    if (found != wanted_.endpoints.end())
      barred_.insert_or_assign(id, PeerEndpoint{id.peer, found->second});
  }
  return {};
}

NodeActions Node::on(const channel::Withdrawn& withdrawn, WallTime, Instant now) {
  erase(accepted_, withdrawn.object);
  // An epoch under way was made on the state that had it; what it says anew is said once more.
  if (in_flight_) erase(*in_flight_, withdrawn.object);
  return advance(now);
}

void Node::forget_unused_hosts() {
  std::erase_if(hosts_, [&](const auto& entry) {
    return std::ranges::none_of(names_,
                                [&](const auto& name) { return name.second.host == entry.first; });
  });
}

/// The address that we have stays as long as the name still has it: a resolver that turns its list
/// round must not move a tunnel.
void Node::choose(const PublicKey& peer, const Watch& watch) {
  const std::vector<IpAddress>& found = hosts_.at(watch.host).found;
  if (found.empty()) return;
  const auto have = wanted_.endpoints.find(peer);
  if (have != wanted_.endpoints.end() && have->second.port == watch.port &&
      std::ranges::find(found, have->second.address) != found.end())
    return;
  wanted_.endpoints[peer] = Endpoint{found.front(), watch.port};
}

NodeActions Node::on_lookup(const std::string& host, const std::vector<IpAddress>& found,
                            Instant now) {
  const auto state = hosts_.find(host);
  if (state == hosts_.end()) return {};  // forgotten meanwhile
  if (found.empty()) {
    state->second.due = now + state->second.retry;
    state->second.retry = std::min(state->second.retry * 2, kLookupRefresh);
    return advance(now);  // the last good answer stays
  }
  state->second.due = now + kLookupRefresh;
  state->second.retry = kLookupFirstRetry;
  state->second.found = found;
  for (const auto& [peer, watch] : names_) {
    if (watch.host == host) choose(peer, watch);
  }
  return advance(now);
}

NodeActions Node::on_wake(Instant now) {
  if (retry_ && *retry_ <= now) retry_.reset();
  return advance(now);
}

std::optional<Instant> Node::next_wake() const {
  std::optional<Instant> next = retry_;
  for (const auto& [host, state] : hosts_) {
    if (state.due && (!next || *state.due < *next)) next = state.due;
  }
  return next;
}

std::vector<channel::NodeRecord> Node::changes() const {
  std::vector<channel::NodeRecord> records;
  const auto put_unless_barred = [&](NodeObject object) {
    const auto barred = barred_.find(id_of(object));
    if (barred == barred_.end() || barred->second != object)
      records.push_back(channel::Put{std::move(object)});
  };
  for (const auto& [peer, endpoint] : wanted_.endpoints) {
    const auto have = accepted_.endpoints.find(peer);
    if (have == accepted_.endpoints.end() || have->second != endpoint)
      put_unless_barred(PeerEndpoint{peer, endpoint});
  }
  for (const auto& [peer, endpoint] : accepted_.endpoints) {
    if (!wanted_.endpoints.contains(peer))
      records.push_back(channel::Delete{ObjectId{ObjectKind::kEndpoint, peer, {}, 0}});
  }
  if (wanted_.clock != accepted_.clock) records.push_back(channel::Put{wanted_.clock});
  return records;
}

/// Looks up what is due, and tells the agent what has changed if it is not busy with our last word.
NodeActions Node::advance(Instant now) {
  NodeActions actions;
  for (auto& [host, state] : hosts_) {
    if (!state.due || *state.due > now) continue;
    state.due.reset();
    actions.push_back(Lookup{host});
  }
  if (!ready_ || in_flight_ || retry_) return actions;
  auto records = changes();
  if (records.empty()) return actions;
  in_flight_ = accepted_;
  for (const channel::NodeRecord& record : records) {
    if (const auto* p = std::get_if<channel::Put>(&record)) put(*in_flight_, p->object);
    if (const auto* d = std::get_if<channel::Delete>(&record)) erase(*in_flight_, d->object);
  }
  ++epoch_;
  records.insert(records.begin(), channel::Begin{epoch_});
  records.push_back(channel::Commit{epoch_});
  actions.push_back(Send{std::move(records)});
  return actions;
}

}  // namespace sallyport
