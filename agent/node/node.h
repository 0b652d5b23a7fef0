// SPDX-License-Identifier: BSD-3-Clause
/// What a node decides: which names to look up when, whether time is credible, and what of it to
/// tell the agent. Sans-IO.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "agent/base/clock.h"
#include "agent/model/node_object.h"
#include "agent/wire/agent_channel.h"

namespace sallyport {

/// getaddrinfo tells no TTL. Five minutes is what dynamic DNS services publish.
constexpr Duration kLookupRefresh = std::chrono::minutes(5);
constexpr Duration kLookupFirstRetry = std::chrono::seconds(2);
/// After a refusal: the agent's answer will hardly be another one at once.
constexpr Duration kEpochRetry = std::chrono::seconds(1);
/// What one epoch says at most, so that the channel holds it: about so many bytes.
constexpr size_t kEpochBytes = size_t{384} * 1024;
/// How far the clock has to have moved on since it was last saved, so that something must have kept
/// it while we were off. A router without a battery starts again at the saved time.
constexpr Duration kClockMoved = std::chrono::minutes(10);

struct Lookup {
  std::string host;
  friend bool operator==(const Lookup&, const Lookup&) = default;
};
struct Send {
  std::vector<channel::NodeRecord> records;
  friend bool operator==(const Send&, const Send&) = default;
};
/// The agent does not speak as ours does: end, and be started again.
struct Stop {
  std::string why;
  friend bool operator==(const Stop&, const Stop&) = default;
};
using NodeAction = std::variant<Lookup, Send, Stop>;
using NodeActions = std::vector<NodeAction>;

class Node {
 public:
  /// `wall`: the wall clock at the same moment.
  NodeActions on_record(const channel::AgentRecord& record, WallTime wall, Instant now);
  /// The answer to a Lookup; empty: none, or no such name.
  NodeActions on_lookup(const std::string& host, const std::vector<IpAddress>& found, Instant now);
  /// What the tailnet is to be served with: those objects are other ones now, the rest stays.
  NodeActions on_plan(const std::vector<ObjectId>& deletes, const std::vector<NodeObject>& puts,
                      Instant now);
  /// The steps are on their way to the agent, past the epochs.
  void on_move(const PathSteps& path, uint16_t relay_port);
  NodeActions on_wake(Instant now);
  [[nodiscard]] std::optional<Instant> next_wake() const;

 private:
  struct Watch {
    std::string host;
    uint16_t port = 0;
  };
  struct HostState {
    std::optional<Instant> due;  // nothing: being looked up
    Duration retry = kLookupFirstRetry;
    std::vector<IpAddress> found;
  };

  NodeActions on(const channel::Hello& hello, WallTime wall, Instant now);
  NodeActions on(const channel::Name& name, WallTime wall, Instant now);
  NodeActions on(const channel::Forget& forget, WallTime wall, Instant now);
  NodeActions on(const channel::Ready& ready, WallTime wall, Instant now);
  NodeActions on(const channel::ClockSync& sync, WallTime wall, Instant now);
  NodeActions on(const channel::NetworkChanged& changed, WallTime wall, Instant now);
  NodeActions on(const channel::Accepted& accepted, WallTime wall, Instant now);
  NodeActions on(const channel::RefusedObject& refused, WallTime wall, Instant now);
  NodeActions on(const channel::Withdrawn& withdrawn, WallTime wall, Instant now);

  // For the tailnet, which is its own machines' matter.
  static NodeActions on(const channel::Join&, WallTime, Instant) { return {}; }
  static NodeActions on(const channel::LocalAddresses&, WallTime, Instant) { return {}; }
  static NodeActions on(const channel::Observed&, WallTime, Instant) { return {}; }
  static NodeActions on(const channel::Serve&, WallTime, Instant) { return {}; }

  void forget_unused_hosts();
  void choose(const PublicKey& peer, const Watch& watch);
  void mark(const ObjectId& id) { changed_.insert(id); }
  std::vector<channel::NodeRecord> take_changes();
  void bar(const ObjectId& id);
  NodeActions advance(Instant now);

  std::map<PublicKey, Watch> names_;
  std::map<std::string, HostState> hosts_;
  std::optional<WallTime> saved_clock_;
  bool ready_ = false;
  NodeState wanted_;
  NodeState accepted_;
  std::set<ObjectId> changed_;  // where the two may differ, and no epoch under way says so
  std::optional<std::vector<channel::NodeRecord>> in_flight_;
  uint64_t epoch_ = 0;
  std::optional<Instant> retry_;
  std::map<ObjectId, NodeObject> barred_;  // refused, until they change
};

}  // namespace sallyport
