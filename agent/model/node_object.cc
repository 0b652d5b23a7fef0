// SPDX-License-Identifier: BSD-3-Clause
#include "agent/model/node_object.h"

#include <algorithm>

#include "agent/base/overloaded.h"

namespace sallyport {

std::string ObjectId::text() const {
  switch (kind) {
    case ObjectKind::kEndpoint:
      return "endpoint of " + peer.text();
    case ObjectKind::kPeer:
      return "peer " + peer.text();
    case ObjectKind::kAddress:
      return "address " + address.text();
    case ObjectKind::kRule:
      return "rule " + std::to_string(position);
    case ObjectKind::kClock:
      return "clock";
    case ObjectKind::kRoute:
      return "route " + address.text();
    case ObjectKind::kKey:
      return "key";
  }
  return "";
}

ObjectId id_of(const NodeObject& object) {
  return std::visit(
      Overloaded{
          [](const PeerEndpoint& o) { return ObjectId{ObjectKind::kEndpoint, o.peer, {}, 0}; },
          [](const TailnetPeer& o) { return ObjectId{ObjectKind::kPeer, o.node_key, {}, 0}; },
          [](const OwnAddress& o) { return ObjectId{ObjectKind::kAddress, {}, o.address, 0}; },
          [](const NodeRule& o) { return ObjectId{ObjectKind::kRule, {}, {}, o.position}; },
          [](const ClockTrust&) { return ObjectId{}; },
          [](const ServedRoute& o) { return ObjectId{ObjectKind::kRoute, {}, o.prefix, 0}; },
          [](const WireguardKey&) { return ObjectId{ObjectKind::kKey, {}, {}, 0}; },
      },
      object);
}

void move_peer(NodeState& state, const PathSteps& path, uint16_t relay_port) {
  const auto found = state.peers.find(path.peer);
  if (found == state.peers.end()) return;
  TailnetPeer& peer = found->second;
  for (const KernelStep& step : path.steps) {
    const auto* point = std::get_if<PointAt>(&step);
    if (point == nullptr) continue;
    if (point->endpoint) {
      peer.endpoint = point->endpoint;
      peer.keepalive_s = kDirectKeepaliveS;
    } else if (peer.parking) {
      peer.endpoint = Endpoint{*peer.parking, relay_port};
      peer.keepalive_s = 0;
    }
  }
}

std::optional<NodeObject> find(const NodeState& state, const ObjectId& id) {
  switch (id.kind) {
    case ObjectKind::kEndpoint: {
      const auto at = state.endpoints.find(id.peer);
      if (at == state.endpoints.end()) return {};
      return PeerEndpoint{id.peer, at->second};
    }
    case ObjectKind::kPeer: {
      const auto at = state.peers.find(id.peer);
      if (at == state.peers.end()) return {};
      return at->second;
    }
    case ObjectKind::kAddress:
      if (!std::ranges::binary_search(state.addresses, id.address)) return {};
      return OwnAddress{id.address};
    case ObjectKind::kRule: {
      const auto at = state.rules.find(id.position);
      if (at == state.rules.end()) return {};
      return NodeRule{id.position, at->second};
    }
    case ObjectKind::kClock:
      return state.clock;
    case ObjectKind::kRoute: {
      const auto at = state.routes.find(id.address);
      if (at == state.routes.end()) return {};
      return ServedRoute{id.address, at->second};
    }
    case ObjectKind::kKey:
      if (!state.key) return {};
      return WireguardKey{*state.key};
  }
  return {};
}

void put(NodeState& state, const NodeObject& object) {
  std::visit(Overloaded{
                 [&](const PeerEndpoint& o) { state.endpoints[o.peer] = o.endpoint; },
                 [&](const TailnetPeer& o) { state.peers[o.node_key] = o; },
                 [&](const OwnAddress& o) {
                   const auto at = std::ranges::lower_bound(state.addresses, o.address);
                   if (at == state.addresses.end() || *at != o.address)
                     state.addresses.insert(at, o.address);
                 },
                 [&](const NodeRule& o) { state.rules[o.position] = o.rule; },
                 [&](const ClockTrust& o) { state.clock = o; },
                 [&](const ServedRoute& o) { state.routes[o.prefix] = o.snat; },
                 [&](const WireguardKey& o) { state.key = o.key; },
             },
             object);
}

void erase(NodeState& state, const ObjectId& id) {
  switch (id.kind) {
    case ObjectKind::kEndpoint:
      state.endpoints.erase(id.peer);
      return;
    case ObjectKind::kPeer:
      state.peers.erase(id.peer);
      return;
    case ObjectKind::kAddress:
      std::erase(state.addresses, id.address);
      return;
    case ObjectKind::kRule:
      state.rules.erase(id.position);
      return;
    case ObjectKind::kClock:
      state.clock = ClockTrust::kUnknown;
      return;
    case ObjectKind::kRoute:
      state.routes.erase(id.address);
      return;
    case ObjectKind::kKey:
      state.key.reset();
      return;
  }
}

std::string_view name_of(Refusal refusal) {
  switch (refusal) {
#define X(id, name, text) \
  case Refusal::id:       \
    return name;
    SALLYPORT_REFUSALS(X)
#undef X
  }
  return "";
}

std::string_view text_of(Refusal refusal) {
  switch (refusal) {
#define X(id, name, text) \
  case Refusal::id:       \
    return text;
    SALLYPORT_REFUSALS(X)
#undef X
  }
  return "";
}

}  // namespace sallyport
