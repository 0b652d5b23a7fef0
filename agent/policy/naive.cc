// SPDX-License-Identifier: BSD-3-Clause
#include "agent/policy/naive.h"

#include <algorithm>

#include "agent/policy/special_ranges.h"

namespace sallyport {
namespace {

bool is_icmp(IpProto proto) { return proto == IpProto::kIcmp || proto == IpProto::kIcmpV6; }

bool has_ports(IpProto proto) {
  return proto == IpProto::kTcp || proto == IpProto::kUdp || proto == IpProto::kSctp;
}

bool between(const Rule& rule, const PacketKey& packet) {
  return contains(rule.from, packet.src) && contains(rule.to, packet.dst);
}

bool any_port(const Rule& rule) {
  return rule.ports.empty() || (rule.ports.size() == 1 && rule.ports[0] == PortRange{0, 65535});
}

bool serves(const Rule& rule, const PacketKey& packet) {
  if (is_icmp(packet.proto)) return between(rule, packet);
  const bool usual =
      rule.protos.empty() && (packet.proto == IpProto::kTcp || packet.proto == IpProto::kUdp);
  const bool named = std::ranges::find(rule.protos, packet.proto) != rule.protos.end();
  if (!usual && !named) return false;
  const auto has_port = [&](const PortRange& range) {
    return range.first <= packet.dst_port && packet.dst_port <= range.last;
  };
  const bool port =
      any_port(rule) || (has_ports(packet.proto) && std::ranges::any_of(rule.ports, has_port));
  return port && between(rule, packet);
}

uint32_t owner_of(const PolicyInput& input, const IpAddress& address) {
  if (contains(input.own, address)) return SP_PEER_SELF;
  uint32_t owner = 0;
  unsigned longest = 0;
  for (const PeerAddresses& peer : input.peers) {
    for (const Prefix& prefix : peer.addresses) {
      if (prefix.address.is_v4() != address.is_v4() || !prefix.contains(address)) continue;
      if (prefix.length <= longest) continue;
      owner = peer.index;
      longest = prefix.length;
    }
  }
  return owner;
}

sp_verdict reason_of(const PolicyInput& input, const PacketKey& packet) {
  const auto ours = [](const Rule& rule) { return rule.counter == kOwnRuleCounter; };
  if (std::ranges::any_of(input.rules, [&](const Rule& rule) { return between(rule, packet); })) {
    return SP_DROP_NO_RULE;
  }
  if (packet.dst == metadata_address()) return SP_DROP_METADATA;
  if (!contains(input.exit_local, packet.dst)) return SP_DROP_NO_RULE;
  for (const Rule& rule : input.rules) {
    if (ours(rule) || !contains(rule.from, packet.src)) continue;
    for (const IpRange& to : rule.to) {
      for (const IpRange& beyond : input.exit_reach) {
        if (to.first.is_v4() == beyond.first.is_v4() && to.overlaps(beyond)) {
          return SP_DROP_EXIT_LOCAL;
        }
      }
    }
  }
  return SP_DROP_NO_RULE;
}

void judge_by_rules(const PolicyInput& input, const PacketKey& packet, NewFlow& out) {
  const bool below_ceiling =
      !input.ceiling ||
      std::ranges::any_of(*input.ceiling, [&](const Rule& rule) { return serves(rule, packet); });
  bool above = false;
  const Rule* own = nullptr;
  for (const Rule& rule : input.rules) {
    if (!serves(rule, packet)) continue;
    if (rule.counter == kOwnRuleCounter) {
      own = &rule;
    } else if (!below_ceiling) {
      above = true;
    } else {
      out.counter = rule.counter;
      out.verdict = SP_ALLOW_RULE;
      return;
    }
  }
  if (own != nullptr) {
    out.counter = own->counter;
    out.verdict = SP_ALLOW_RULE;
    return;
  }
  out.verdict = above ? SP_DROP_CEILING : reason_of(input, packet);
}

}  // namespace

NewFlow judge_naively(const PolicyInput& input, const PacketKey& packet) {
  NewFlow out;
  out.src_peer = owner_of(input, packet.src);
  out.dst_peer = owner_of(input, packet.dst);
  const auto is_peer = [](uint32_t peer) { return peer != 0 && peer != SP_PEER_SELF; };
  if (is_multicast(packet.dst)) {
    out.verdict = SP_DROP_MULTICAST;
  } else if (is_link_local(packet.dst)) {
    out.verdict = SP_DROP_LINK_LOCAL;
  } else if (!is_peer(out.src_peer) && !is_peer(out.dst_peer)) {
    out.verdict = SP_DROP_NO_PEER;
  } else {
    judge_by_rules(input, packet, out);
  }
  return out;
}

}  // namespace sallyport
