// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/node.h"

#include <algorithm>

namespace sallyport {
namespace {

/// About what the object takes in the channel.
size_t size_of(const NodeObject& object) {
  constexpr size_t kHead = 256;
  if (const auto* peer = std::get_if<TailnetPeer>(&object))
    return kHead + 18 * peer->allowed_ips.size();
  if (const auto* rule = std::get_if<NodeRule>(&object))
    return kHead + 33 * (rule->rule.from.size() + rule->rule.to.size());
  return kHead;
}

}  // namespace

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
  mark({});
  return advance(now);
}

NodeActions Node::on(const channel::Name& name, WallTime, Instant now) {
  names_[name.peer] = Watch{name.host, name.port};
  hosts_.try_emplace(name.host, HostState{.due = now, .retry = kLookupFirstRetry, .found = {}});
  forget_unused_hosts();
  wanted_.endpoints.erase(name.peer);
  // What was refused under another configuration may be right under this one.
  const ObjectId id{ObjectKind::kEndpoint, name.peer, {}, 0};
  barred_.erase(id);
  mark(id);
  choose(name.peer, names_[name.peer]);
  return advance(now);
}

NodeActions Node::on(const channel::Forget& forget, WallTime, Instant now) {
  names_.erase(forget.peer);
  wanted_.endpoints.erase(forget.peer);
  mark({ObjectKind::kEndpoint, forget.peer, {}, 0});
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
  mark({});
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
  for (const channel::NodeRecord& record : *in_flight_) {
    if (const auto* p = std::get_if<channel::Put>(&record)) put(accepted_, p->object);
    if (const auto* d = std::get_if<channel::Delete>(&record)) erase(accepted_, d->object);
  }
  in_flight_.reset();
  return advance(now);
}

NodeActions Node::on(const channel::RefusedObject& refused, WallTime, Instant now) {
  if (refused.epoch != epoch_) return {};
  const auto& [id, reason] = refused.refused;
  const bool of_epoch = reason == Refusal::kSequence || reason == Refusal::kTooLate;
  if (in_flight_) {
    for (const channel::NodeRecord& record : *in_flight_) {
      if (const auto* p = std::get_if<channel::Put>(&record)) {
        const ObjectId put = id_of(p->object);
        mark(put);
        // The agent has room for no more of the kind.
        if (reason == Refusal::kTooMany && put.kind == id.kind) bar(put);
      }
      if (const auto* d = std::get_if<channel::Delete>(&record)) mark(d->object);
    }
    in_flight_.reset();
    retry_ = now + kEpochRetry;
  }
  if (!of_epoch && reason != Refusal::kTooMany) bar(id);
  return {};
}

// What was refused is not said again until it is another.
void Node::bar(const ObjectId& id) {
  if (auto object = find(wanted_, id)) barred_.insert_or_assign(id, *std::move(object));
}

NodeActions Node::on(const channel::Withdrawn& withdrawn, WallTime, Instant now) {
  // An epoch under way that says it anew is answered later than this.
  erase(accepted_, withdrawn.object);
  mark(withdrawn.object);
  return advance(now);
}

NodeActions Node::on_plan(const std::vector<ObjectId>& deletes, const std::vector<NodeObject>& puts,
                          Instant now) {
  for (const ObjectId& id : deletes) {
    erase(wanted_, id);
    mark(id);
  }
  for (const NodeObject& object : puts) {
    mark(id_of(object));
    put(wanted_, object);
  }
  return advance(now);
}

void Node::on_move(const PathSteps& path, uint16_t relay_port) {
  move_peer(wanted_, path, relay_port);
  move_peer(accepted_, path, relay_port);
  if (!in_flight_) return;
  // The agent has taken the epoch, or will never, by the time that it reads the steps.
  for (channel::NodeRecord& record : *in_flight_) {
    auto* p = std::get_if<channel::Put>(&record);
    if (p == nullptr || id_of(p->object) != ObjectId{ObjectKind::kPeer, path.peer, {}, 0}) continue;
    if (const auto wanted = wanted_.peers.find(path.peer); wanted != wanted_.peers.end()) {
      auto& peer = std::get<TailnetPeer>(p->object);
      peer.endpoint = wanted->second.endpoint;
      peer.keepalive_s = wanted->second.keepalive_s;
    }
  }
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
  mark({ObjectKind::kEndpoint, peer, {}, 0});
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

/// Deletes first: what a peer gives up, another may get.
std::vector<channel::NodeRecord> Node::take_changes() {
  std::vector<channel::NodeRecord> deletes;
  std::vector<channel::NodeRecord> puts;
  size_t bytes = 0;
  auto id = changed_.begin();
  for (; id != changed_.end() && bytes < kEpochBytes; ++id) {
    auto want = find(wanted_, *id);
    const auto have = find(accepted_, *id);
    if (!want) {
      if (have) deletes.push_back(channel::Delete{*id});
      continue;
    }
    if (want == have) continue;
    const auto barred = barred_.find(*id);
    if (barred != barred_.end() && barred->second == *want) continue;
    bytes += size_of(*want);
    puts.push_back(channel::Put{*std::move(want)});
  }
  changed_.erase(changed_.begin(), id);
  deletes.insert(deletes.end(), std::make_move_iterator(puts.begin()),
                 std::make_move_iterator(puts.end()));
  return deletes;
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
  auto records = take_changes();
  if (records.empty()) return actions;
  in_flight_ = records;
  ++epoch_;
  records.insert(records.begin(), channel::Begin{epoch_});
  records.push_back(channel::Commit{epoch_});
  actions.push_back(Send{std::move(records)});
  return actions;
}

}  // namespace sallyport
