// SPDX-License-Identifier: BSD-3-Clause
/// Any bytes as a frame of the map stream: refused with a place, or read, written and read again to
/// the same; and then a netmap and a plan within their bounds.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/node/netmap_plan.h"
#include "agent/node/netmap_state.h"
#include "agent/wire/agent_channel.h"
#include "agent/wire/tailcfg/map_response.h"

namespace {

using namespace sallyport;

void require(bool good) {
  if (!good) abort();
}

void require_fits(const PlanDelta& delta) {
  std::vector<channel::NodeRecord> records;
  for (const ObjectId& id : delta.deletes) records.push_back(channel::Delete{id});
  for (const NodeObject& object : delta.puts) records.push_back(channel::Put{object});
  const auto messages = channel::write_node_messages(records);
  require(messages.has_value());
  for (const Bytes& message : *messages) require(channel::parse_node_message(message).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto frame = tailcfg::parse_map_response(json);
  if (!frame) {
    require(frame.error().path.starts_with('$') && !frame.error().what.empty());
    return 0;
  }
  // Carried JSON may lose a member that is there twice, the first time.
  const auto again = tailcfg::parse_map_response(tailcfg::write_map_response(*frame));
  require(again.has_value());
  const auto third = tailcfg::parse_map_response(tailcfg::write_map_response(*again));
  require(third && *third == *again);

  NetmapState state;
  tailcfg::MapResponse first;
  first.node.emplace().id = NodeId{1};
  first.node->machine_authorized = true;
  require(state.apply(first, WallTime{}).has_value());
  JoinPrefs prefs;
  prefs.accept_routes = true;
  NetmapPlanner planner(prefs, {});
  require_fits(planner.replan(state.netmap(), WallTime{}));
  const Netmap before = state.netmap();
  const auto changes = state.apply(*frame, WallTime{});
  if (!changes) {
    require(state.netmap() == before);
    return 0;
  }
  require_fits(planner.update(state.netmap(), *changes, WallTime{}));
  NetmapPlanner scratch(prefs, {});
  require_fits(scratch.replan(state.netmap(), WallTime{}));
  require(scratch.plan() == planner.plan());
  return 0;
}
