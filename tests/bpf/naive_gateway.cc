// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bpf/naive_gateway.h"

#include <algorithm>
#include <utility>

#include "agent/policy/naive.h"
#include "agent/policy/special_ranges.h"

namespace sallyport::test {
namespace {

bool is_peer(uint32_t peer) { return peer != 0 && peer != SP_PEER_SELF; }

bool never_carried(const IpAddress& dst) { return is_multicast(dst) || is_link_local(dst); }

// Extension headers of zeros lead on until the packet ends.
bool is_ext_header(IpProto proto) {
  constexpr std::array<int, 4> kTypes{0, 43, 44, 60};
  return std::ranges::find(kTypes, static_cast<int>(proto)) != kTypes.end();
}

std::optional<sp_verdict> fault_of(const PacketKey& key) {
  const bool v4 = key.src.is_v4();
  if (key.proto == (v4 ? IpProto::kIcmpV6 : IpProto::kIcmp)) return SP_DROP_MALFORMED;
  if (!v4 && is_ext_header(key.proto)) return SP_DROP_TOO_SHORT;
  if (is_multicast(key.dst)) return SP_DROP_MULTICAST;
  if (is_link_local(key.dst)) return SP_DROP_LINK_LOCAL;
  return {};
}

}  // namespace

bool is_icmp(const Sent& sent) {
  return sent.key.proto == IpProto::kIcmp || sent.key.proto == IpProto::kIcmpV6;
}

sp_flow_key key_of(const Sent& sent) {
  const bool in = sent.way == Way::kIn;
  const PacketKey& p = sent.key;
  sp_flow_key out{};
  std::memcpy(out.peer_addr, (in ? p.src : p.dst).bytes.data(), 16);
  std::memcpy(out.other_addr, (in ? p.dst : p.src).bytes.data(), 16);
  out.peer_port_be = __builtin_bswap16(in ? p.src_port : p.dst_port);
  out.other_port_be = __builtin_bswap16(in ? p.dst_port : p.src_port);
  out.proto = static_cast<uint8_t>(p.proto);
  if (is_icmp(sent)) {
    out.icmp_request = p.src.is_v4() ? 8 : 128;
    out.icmp_from_peer = in != sent.reply ? 1 : 0;
  }
  return out;
}

Sent answer_to(const Sent& sent) {
  Sent out = sent;
  std::swap(out.key.src, out.key.dst);
  std::swap(out.key.src_port, out.key.dst_port);
  out.way = sent.way == Way::kIn ? Way::kOut : Way::kIn;
  out.syn = false;
  out.reply = is_icmp(sent) && !sent.reply;
  return out;
}

void NaiveGateway::set_policy(const PolicyInput* policy) {
  policy_ = policy;
  ++policies_;
}

void NaiveGateway::forget() {
  flows_.clear();
  keys_.clear();
  flows_of_ = {};
}

NaiveGateway::Flow* NaiveGateway::find(const sp_flow_key& key) {
  const auto found = flows_.find(key);
  return found == flows_.end() ? nullptr : &found->second;
}

void NaiveGateway::remove(const sp_flow_key& key) {
  const auto found = flows_.find(key);
  if (found == flows_.end()) return;
  --flows_of_.at(found->second.peer);
  flows_.erase(found);
  const auto at = std::ranges::find_if(keys_, [&](const auto& k) { return Same{}(k, key); });
  *at = keys_.back();
  keys_.pop_back();
}

std::optional<Expected> NaiveGateway::judge(const Sent& sent) {
  if (const auto fault = fault_of(sent.key)) return Expected{.verdict = *fault};
  if (policy_ == nullptr) return Expected{};
  Flow* const flow = find(key_of(sent));
  if (flow != nullptr && !flow->expired) return judge_flow(*flow);
  return judge_first(sent, flow);
}

/// As the packet of whoever began it, whatever packet this is.
Expected NaiveGateway::judge_flow(Flow& flow) {
  Expected out{.continues = true};
  if (flow.judged_under != policies_) {
    out.judged_again = true;
    flow.judged_under = policies_;
    const NewFlow now = judge_naively(*policy_, flow.began.key);
    const bool from_peer = flow.began.way == Way::kIn;
    const uint32_t peer = from_peer ? now.src_peer : now.dst_peer;
    const bool outbound = !from_peer && peer == open_;
    flow.allowed = is_peer(peer) && (now.counter != 0 || outbound);
    if (flow.allowed) {
      --flows_of_.at(flow.peer);
      ++flows_of_.at(peer);
      flow.peer = peer;
      flow.rule = now.counter;
    }
  }
  out.verdict = flow.allowed ? SP_ALLOW_FLOW : SP_DROP_REVOKED;
  out.rule = flow.allowed ? flow.rule : uint16_t{0};
  return out;
}

/// Is the peer at its share, so that what this packet may answer could have passed unrecorded?
std::optional<bool> NaiveGateway::lacks_room(const Sent& sent, uint32_t peer) const {
  const bool begins = is_icmp(sent) ? !sent.reply : sent.key.proto == IpProto::kTcp && sent.syn;
  if (begins || flows_of_.at(peer) < share_) return false;
  if (never_carried(sent.key.src)) return {};
  const NewFlow back = judge_naively(*policy_, answer_to(sent).key);
  return back.counter != 0 || (open_ != 0 && back.dst_peer == open_);
}

std::optional<Expected> NaiveGateway::judge_first(const Sent& sent, Flow* old) {
  const NewFlow naive = judge_naively(*policy_, sent.key);
  const bool from_peer = sent.way == Way::kIn;
  const uint32_t peer = from_peer ? naive.src_peer : naive.dst_peer;
  if (!is_peer(peer)) return Expected{.verdict = from_peer ? SP_DROP_SPOOFED : SP_DROP_NO_PEER};
  const bool is_tcp = sent.key.proto == IpProto::kTcp;
  const bool outbound = !from_peer && peer == open_;
  if ((naive.counter == 0 && !outbound) || sent.reply) {
    if (old != nullptr) return Expected{.verdict = SP_DROP_FLOW_EXPIRED};
    const auto no_room = lacks_room(sent, peer);
    if (!no_room) return {};
    return Expected{.verdict = *no_room              ? SP_DROP_FLOW_SHARE
                               : sent.reply          ? SP_DROP_ICMP_NO_FLOW
                               : is_tcp && !sent.syn ? SP_DROP_TCP_NO_FLOW
                                                     : naive.verdict};
  }
  Expected out{.verdict = naive.counter != 0 ? SP_ALLOW_RULE : SP_ALLOW_OUTBOUND,
               .rule = naive.counter};
  if (is_tcp && !from_peer && !sent.syn) return out;  // grants no way back
  const Flow fresh{.began = sent, .peer = peer, .rule = naive.counter, .judged_under = policies_};
  if (old != nullptr) {
    --flows_of_.at(old->peer);
    *old = fresh;
  } else if (flows_of_.at(peer) >= share_) {
    out.verdict = SP_ALLOW_UNRECORDED;
    return out;
  } else {
    flows_.emplace(key_of(sent), fresh);
    keys_.push_back(key_of(sent));
  }
  ++flows_of_.at(peer);
  return out;
}

}  // namespace sallyport::test
