// SPDX-License-Identifier: BSD-3-Clause
#include "agent/policy/explain.h"

#include <algorithm>
#include <cstring>

#include "agent/policy/compile.h"
#include "agent/policy/special_ranges.h"

namespace sallyport {
namespace {

bool is_policy(std::span<const uint8_t> blob) {
  sp_policy_header header{};
  if (blob.size() < sizeof(header)) return false;
  std::memcpy(&header, blob.data(), sizeof(header));
  return header.magic == SP_POLICY_MAGIC && header.bytes <= blob.size();
}

bool is_peer(uint32_t peer) { return peer != 0 && peer != SP_PEER_SELF; }

sp_policy_address look_up(std::span<const uint8_t> blob, const IpAddress& address) {
  const Halves halves = halves_of(address);
  return sp_policy_address_of(blob.data(), halves.high, halves.low);
}

const PolicyNames::Peer* find_peer(const PolicyNames& names, uint32_t index) {
  const auto found = std::ranges::find(names.peers, index, &PolicyNames::Peer::index);
  return found == names.peers.end() ? nullptr : &*found;
}

std::string find_lan(const PolicyNames& names, const IpAddress& address) {
  const PolicyNames::Lan* best = nullptr;
  for (const PolicyNames::Lan& lan : names.lans) {
    if (!lan.prefix.contains(address) || lan.prefix.address.is_v4() != address.is_v4()) continue;
    if (best == nullptr || lan.prefix.length > best->prefix.length) best = &lan;
  }
  return best == nullptr ? "" : best->name;
}

}  // namespace

NewFlow judge_new_flow(std::span<const uint8_t> blob, const PacketKey& packet) {
  NewFlow out;
  if (!is_policy(blob)) return out;
  const sp_policy_address src = look_up(blob, packet.src);
  const sp_policy_address dst = look_up(blob, packet.dst);
  out.src_peer = src.peer;
  out.dst_peer = dst.peer;
  if (is_multicast(packet.dst)) {
    out.verdict = SP_DROP_MULTICAST;
  } else if (is_link_local(packet.dst)) {
    out.verdict = SP_DROP_LINK_LOCAL;
  } else if (!is_peer(src.peer) && !is_peer(dst.peer)) {
    out.verdict = SP_DROP_NO_PEER;
  } else {
    const struct sp_policy_match match =
        sp_policy_match(blob.data(), src, dst, static_cast<uint8_t>(packet.proto), packet.dst_port);
    out.counter = match.rule;
    out.verdict = match.rule != 0 ? SP_ALLOW_RULE : static_cast<sp_verdict>(match.deny_reason);
  }
  return out;
}

Explanation explain(std::span<const uint8_t> blob, const std::vector<Rule>& rules,
                    const PolicyNames& names, const PacketKey& packet) {
  const NewFlow flow = judge_new_flow(blob, packet);
  Explanation out;
  out.verdict = flow.verdict;
  out.allowed = flow.verdict <= SP_LAST_ALLOW;
  out.from = packet.src;
  out.to = packet.dst;
  if (const auto* peer = find_peer(names, flow.src_peer)) {
    out.from_peer = peer->name;
    out.from_user = peer->user;
  }
  if (const auto* peer = find_peer(names, flow.dst_peer)) out.to_peer = peer->name;
  out.to_lan = find_lan(names, packet.dst);
  if (flow.counter != 0) {
    const auto rule = std::ranges::find(rules, flow.counter, &Rule::counter);
    if (rule != rules.end()) out.rule = ExplainedRule{rule->id, rule->where, rule->counter};
  }
  return out;
}

}  // namespace sallyport
