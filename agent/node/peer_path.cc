// SPDX-License-Identifier: BSD-3-Clause
// What a path is told. What it does when something is due: peer_path_due.cc.
#include "agent/node/peer_path.h"

#include <algorithm>

namespace sallyport {

namespace {

/// A probe that is this young answers for its address.
constexpr Duration kPingBackGap = std::chrono::milliseconds(200);
/// After a switch the peer lags behind: its relayed packets are no news for so long.
constexpr Duration kSwitchGrace = std::chrono::seconds(2);
/// A peer that keeps relaying is asked only so often.
constexpr Duration kPeerDoubtGap = std::chrono::seconds(5);
/// Packets that were parked before the switch are still on their way.
constexpr Duration kParkedGrace = std::chrono::milliseconds(200);
constexpr size_t kMaxProbes = 128;
constexpr size_t kMaxSeen = 8;

}  // namespace

PathActions PeerPath::on_peer(const PathPeer& peer, Instant now) {
  const bool another =
      peer_ && (peer_->disco_key != peer.disco_key || peer_->node_key != peer.node_key);
  const bool moved = peer_ && peer_->endpoints != peer.endpoints;
  peer_ = peer;
  candidates_.set_control(peer.endpoints);
  if (another) {
    candidates_.forget_learnt();
    probes_.clear();
    seen_.clear();
    last_region_ = 0;
    no_doubt_before_.reset();
    if (best_) lose_best(now);
  }
  if ((another || moved) && !best_) restart_discovery(now);
  return advance({}, now);
}

PathMemory PeerPath::memory() const { return {kernel_, rtt(), last_region_, seen_}; }

PathActions PeerPath::resume(const PathMemory& memory, Instant now) {
  kernel_ = memory.kernel;
  kernel_set_ = now;
  last_region_ = memory.last_region;
  seen_ = memory.seen;
  if (seen_.size() > kMaxSeen) seen_.resize(kMaxSeen);
  if (memory.kernel.direct) {
    best_ = Best{*memory.kernel.direct, memory.rtt, now, now + kTrustAfterPong};
    heartbeat_ = now;
    candidates_.learn(best_->path.peer, now);
    told_ = PathState::kDirect;
    told_endpoint_ = best_->path.peer;
    touch(now);
  }
  return advance({}, now);
}

void PeerPath::touch(Instant when) {
  const Instant until = when + kSessionActive;
  if (!active_until_ || *active_until_ < until) active_until_ = until;
}

PathActions PeerPath::on_parked(Instant now) {
  touch(now);
  PathActions out;
  if (kernel_.direct && now >= kernel_set_ + kParkedGrace) {
    kernel_set_ = now;
    out.push_back(SetKernelPath{kernel_, repeat_steps(kernel_)});
  }
  return advance(std::move(out), now);
}

PathActions PeerPath::on_derp_packet(uint16_t region, Instant now) {
  touch(now);
  last_region_ = region;
  if (best_ && now >= best_->since + kSwitchGrace) doubt(DoubtCause::kDerpData, now);
  return advance({}, now);
}

void PeerPath::on_peer_gone(uint16_t region) {
  if (last_region_ == region) last_region_ = 0;
}

PathActions PeerPath::on_call_me_maybe(std::span<const Endpoint> endpoints, Instant now) {
  if (!peer_ || peer_->wireguard_only) return {};
  touch(now);
  candidates_.set_called(endpoints);
  PathActions out;
  if (best_) {
    if (now >= best_->since + kSwitchGrace) doubt(DoubtCause::kCallMeMaybe, now);
  } else {
    // Our own call-me-maybe is not the answer: two nodes would call each other for ever.
    discovery_since_ = now;
    discovery_ = now + kPingGap;
  }
  probe({}, now, out);
  repeats_.clear();
  for (const Duration after : kRepeatProbes) repeats_.push_back(now + after);
  return advance(std::move(out), now);
}

PathActions PeerPath::on_network_changed(Instant now) {
  candidates_.forget_pings();
  no_doubt_before_.reset();
  PathActions out;
  if (best_) {
    doubt(DoubtCause::kNetwork, now);
    if (active(now)) discover(now, out);
  } else {
    restart_discovery(now);
  }
  return advance(std::move(out), now);
}

PathActions PeerPath::on_ping(const TxId& tx, const DiscoSource& from, Instant now) {
  if (!peer_ || peer_->wireguard_only) return {};
  PathActions out = {SendPong{tx, from}};
  const auto* udp = std::get_if<UdpArrival>(&from);
  if (udp == nullptr || !is_possible(udp->from)) return advance(std::move(out), now);
  const bool is_new = candidates_.learn(udp->from, now);
  see(udp->from);
  // The way in is open, so the way out probably is: waiting for the next round would cost 5 s.
  const bool wanted = is_new || !best_ || (doubt_ && udp->from != best_->path.peer);
  const auto last = candidates_.last_ping(udp->from);
  if (active(now) && wanted && !candidates_.is_barred(udp->from, now) &&
      (!last || now >= *last + kPingBackGap)) {
    ping(udp->from, false, now, out);
  }
  return advance(std::move(out), now);
}

PathActions PeerPath::on_pong(const TxId& tx, const DiscoSource& from, Instant now) {
  const auto found = std::ranges::find(probes_, tx, &Probe::tx);
  if (found == probes_.end()) return {};  // late, or forged
  const Probe answered = *found;
  const auto* udp = std::get_if<UdpArrival>(&from);
  const auto* to = std::get_if<Endpoint>(&answered.to);
  if ((udp == nullptr) != (to == nullptr)) return {};
  if (udp != nullptr && udp->from != *to) return {};  // proves nothing about either address
  probes_.erase(found);

  PathActions out;
  const Duration rtt = now - answered.sent;
  if (answered.asked) out.push_back(PingAnswered{tx, from, rtt});
  if (udp == nullptr || candidates_.is_barred(*to, now)) return advance(std::move(out), now);
  see(*to);
  const bool same = best_ && best_->path.peer == *to;
  const bool fresh = !doubt_ || answered.sent >= doubt_->since;
  if (!fresh) return advance(std::move(out), now);  // sent before we had reason to ask
  if (best_ && !same && !doubt_ && !better_path({*to, rtt}, {best_->path.peer, best_->rtt}))
    return advance(std::move(out), now);

  const DirectPath path{*to, udp->to, udp->ifindex};
  best_ = Best{path, rtt, same ? best_->since : now, now + kTrustAfterPong};
  if (doubt_ && same) forgiven_rx_ = observed_.last_rx;
  doubt_.reset();
  unanswered_ping_.reset();
  discovery_.reset();
  repeats_.clear();
  if (!same) {
    heartbeat_ = now + kHeartbeat;
    upgrade_ = now + kUpgradeEvery;
    unanswered_tx_.reset();
    wire_ = {};
  }
  return advance(std::move(out), now);
}

PathActions PeerPath::ask(bool probe_all, Instant now) {
  if (!peer_ || peer_->wireguard_only) return {};
  PathActions out;
  if (best_) {
    ping(best_->path.peer, true, now, out);
  } else if (relay_region() != 0) {
    ping(DerpRegionId{relay_region()}, true, now, out);
  }
  if (probe_all && !best_) {
    touch(now);
    restart_discovery(now);
  }
  return advance(std::move(out), now);
}

void PeerPath::see(const Endpoint& endpoint) {
  const auto known = std::ranges::find(seen_, endpoint);
  if (known != seen_.end()) {
    std::rotate(known, known + 1, seen_.end());
    return;
  }
  if (seen_.size() == kMaxSeen) seen_.erase(seen_.begin());
  seen_.push_back(endpoint);
}

void PeerPath::ping(const PingTarget& to, bool asked, Instant now, PathActions& out) {
  std::erase_if(probes_, [&](const Probe& probe) { return now >= probe.sent + kPingTimeout; });
  if (probes_.size() >= kMaxProbes) probes_.erase(probes_.begin());
  const Probe probe{random_.bytes<12>(), to, now, asked};
  if (const auto* endpoint = std::get_if<Endpoint>(&to)) candidates_.note_ping(*endpoint, now);
  probes_.push_back(probe);
  out.push_back(SendPing{probe.tx, to});
}

/// Doubt that the peer's own messages raise is bounded: it costs packets.
void PeerPath::doubt(DoubtCause cause, Instant now) {
  if (!best_ || doubt_) return;
  const bool by_peer = cause == DoubtCause::kDerpData || cause == DoubtCause::kCallMeMaybe;
  if (by_peer && no_doubt_before_ && now < *no_doubt_before_) return;
  no_doubt_before_ = now + kPeerDoubtGap;
  doubt_ = Doubt{cause, now, 0, now + patience()};
}

void PeerPath::lose_best(Instant now) {
  best_.reset();
  doubt_.reset();
  heartbeat_.reset();
  unanswered_ping_.reset();
  upgrade_.reset();
  observe_.reset();
  unanswered_tx_.reset();
  restart_discovery(now);
}

void PeerPath::restart_discovery(Instant now) {
  discovery_ = now;
  discovery_since_ = now;
  repeats_.clear();
}

uint16_t PeerPath::relay_region() const {
  if (!peer_ || peer_->wireguard_only) return 0;
  return last_region_ != 0 ? last_region_ : peer_->home_region;
}

bool PeerPath::expects(const TxId& tx) const {
  return std::ranges::find(probes_, tx, &Probe::tx) != probes_.end();
}

std::optional<Endpoint> PeerPath::endpoint() const {
  if (!best_) return {};
  return best_->path.peer;
}

PathState PeerPath::state() const {
  if (doubt_) return PathState::kDoubt;
  if (best_) return PathState::kDirect;
  if (!active_until_) return PathState::kIdle;
  return probes_.empty() ? PathState::kRelay : PathState::kProbing;
}

Duration PeerPath::patience() const { return std::max(3 * rtt(), kPatience); }

}  // namespace sallyport
