// SPDX-License-Identifier: BSD-3-Clause
// What a path does when something is due. What it is told: peer_path.cc.
#include <algorithm>

#include "agent/node/peer_path.h"

namespace sallyport {

namespace {

/// Packets that came and led nowhere: fewer are a handshake's.
constexpr uint64_t kWireProof = 3;
/// A counter that rests so long starts anew: rekeying a quiet session counts a few in minutes.
constexpr Duration kWireRest = std::chrono::seconds(10);
/// Silence means something only from a peer that answered shortly before.
constexpr Duration kUsedToAnswer = std::chrono::seconds(10);
/// A WireGuard-only peer with several endpoints: how long to wait for an answer from one.
constexpr Duration kNextEndpointAfter = std::chrono::seconds(10);

void earlier(std::optional<Instant>& next, const std::optional<Instant>& candidate) {
  if (candidate && (!next || *candidate < *next)) next = candidate;
}

}  // namespace

PathActions PeerPath::on_wake(const PathObserved& observed, Instant now) {
  PathActions out;
  observe(observed, now, out);
  return advance(std::move(out), now);
}

std::optional<Instant> PeerPath::next_wake() const {
  std::optional<Instant> next = observe_;
  if (!active_until_) return next;
  earlier(next, active_until_);
  if (!probes_.empty()) earlier(next, probes_.front().sent + kPingTimeout);
  if (best_) {
    earlier(next, heartbeat_);
    earlier(next, upgrade_);
  } else {
    earlier(next, discovery_);
  }
  if (doubt_) {
    if (doubt_->pings < kDoubtPings.size())
      earlier(next, doubt_->since + kDoubtPings[doubt_->pings]);
    earlier(next, doubt_->verdict);
  } else if (best_) {
    earlier(next, best_->trust_until);
    if (unanswered_ping_) earlier(next, *unanswered_ping_ + patience());
  }
  if (!repeats_.empty()) earlier(next, repeats_.front());
  return next;
}

/// Reads the kernel's counters: activity, silence, and packets that lead nowhere.
void PeerPath::observe(const PathObserved& observed, Instant now, PathActions& out) {
  const bool came = observed.last_rx && observed.last_rx != observed_.last_rx;
  const bool sent = observed.last_tx && observed.last_tx != observed_.last_tx;
  if (came) touch(*observed.last_rx);
  if (sent) touch(*observed.last_tx);
  if (came) {
    unanswered_tx_.reset();
    forgiven_rx_.reset();
  }
  if (sent && !unanswered_tx_ && (!observed.last_rx || *observed.last_rx < *observed.last_tx))
    unanswered_tx_ = observed.last_tx;
  watch_wire(observed, now, out);
  observed_ = observed;
  observe_.reset();

  if (!best_ || doubt_ || !unanswered_tx_ || !observed.last_rx) return;
  if (forgiven_rx_ == observed.last_rx) return;
  if (*unanswered_tx_ >= *observed.last_rx + kUsedToAnswer) return;
  if (now >= *unanswered_tx_ + patience()) doubt(DoubtCause::kSilence, now);
}

void PeerPath::watch_wire(const PathObserved& observed, Instant now, PathActions& out) {
  const bool authenticated = observed.last_rx != observed_.last_rx;
  if (!best_ || authenticated || observed.wire_rx < wire_.at || now >= wire_.moved + kWireRest) {
    wire_ = {observed.wire_rx, {}, now};
    return;
  }
  const uint64_t lost = observed.wire_rx - wire_.at;
  if (lost == 0) return;
  if (observed.wire_rx != observed_.wire_rx) wire_.moved = now;
  if (!wire_.since) wire_.since = now;
  if (lost < kWireProof || now < *wire_.since + kDiscoOnlyAfter) return;
  const Endpoint endpoint = best_->path.peer;
  candidates_.learn(endpoint, now);
  candidates_.bar(endpoint, now);
  lose_best(now);
  wire_ = {observed.wire_rx, {}, now};
  out.push_back(DiscoOnly{endpoint});
}

void PeerPath::probe(Duration gap, Instant now, PathActions& out) {
  for (const Endpoint& endpoint : candidates_.take_due(gap, now)) ping(endpoint, false, now, out);
}

/// A full ping: every candidate, and the peer is asked to do the same.
void PeerPath::discover(Instant now, PathActions& out) {
  probe(kPingGap, now, out);
  if (peer_->home_region != 0) out.push_back(SendCallMeMaybe{peer_->home_region});
  repeats_.clear();
  for (const Duration after : kRepeatProbes) repeats_.push_back(now + after);
}

void PeerPath::run_discovery(Instant now, PathActions& out) {
  const bool upgrade = best_ && !doubt_ && upgrade_ && *upgrade_ <= now;
  if (upgrade) {
    upgrade_ = now + kUpgradeEvery;
    if (best_->rtt > kGoodEnough) discover(now, out);
  }
  if (!best_) {
    if (!discovery_) restart_discovery(now);
    if (*discovery_ <= now) {
      const bool slow = now >= discovery_since_ + kDiscoveryFastFor;
      discovery_ = now + (slow ? kDiscoverySlow : kPingGap);
      discover(now, out);
    }
  }
  while (!repeats_.empty() && repeats_.front() <= now) {
    repeats_.erase(repeats_.begin());
    if (!best_ || doubt_) probe({}, now, out);
  }
}

void PeerPath::run_heartbeat(Instant now, PathActions& out) {
  if (!best_) return;
  if (heartbeat_ && *heartbeat_ <= now) {
    heartbeat_ = now + kHeartbeat;
    ping(best_->path.peer, false, now, out);
    if (!unanswered_ping_) unanswered_ping_ = now;
  }
  const bool late = unanswered_ping_ && now >= *unanswered_ping_ + patience();
  if (late || now >= best_->trust_until) doubt(DoubtCause::kHeartbeat, now);
}

void PeerPath::run_doubt(Instant now, PathActions& out) {
  if (!doubt_) return;
  while (doubt_->pings < kDoubtPings.size() && doubt_->since + kDoubtPings[doubt_->pings] <= now) {
    ++doubt_->pings;
    ping(best_->path.peer, false, now, out);
  }
  if (now < doubt_->verdict) return;
  // Lost pings alone prove little while the peer's packets keep coming; trust's end decides.
  const bool alive = observed_.last_rx && *observed_.last_rx >= doubt_->since;
  if (doubt_->cause == DoubtCause::kHeartbeat && alive && now < best_->trust_until) {
    doubt_->verdict = std::min(now + kObserveEvery, best_->trust_until);
    return;
  }
  lose_best(now);
}

/// No disco, no DERP: the endpoints are tried in turn while the peer does not answer.
void PeerPath::run_wireguard_only(Instant now) {
  if (peer_->endpoints.empty()) {
    best_.reset();
    return;
  }
  if (unanswered_tx_ && now >= *unanswered_tx_ + kNextEndpointAfter) {
    unanswered_tx_.reset();
    ++wireguard_only_choice_;
  }
  wireguard_only_choice_ %= peer_->endpoints.size();
  const DirectPath path{peer_->endpoints[wireguard_only_choice_], {}, 0};
  if (!best_ || best_->path != path) best_ = Best{path, {}, now, Instant::max()};
  heartbeat_.reset();
  upgrade_.reset();
}

KernelPath PeerPath::wanted_kernel_path() const {
  if (best_) return {best_->path, {}};
  std::vector<Endpoint> reversed = seen_;
  std::ranges::sort(reversed);
  return {{}, std::move(reversed)};
}

/// Asked with every packet, so nothing is made for the comparison.
bool PeerPath::kernel_is_as_wanted() const {
  if (best_) return kernel_.direct == best_->path && kernel_.reversed.empty();
  if (kernel_.direct || kernel_.reversed.size() != seen_.size()) return false;
  return std::ranges::all_of(seen_, [&](const Endpoint& endpoint) {
    return std::ranges::binary_search(kernel_.reversed, endpoint);
  });
}

PathActions PeerPath::advance(PathActions out, Instant now) {
  if (!peer_) return out;
  std::erase_if(probes_, [&](const Probe& probe) { return now >= probe.sent + kPingTimeout; });
  if (peer_->wireguard_only) {
    run_wireguard_only(now);
  } else if (active(now)) {
    run_heartbeat(now, out);
    run_doubt(now, out);
    run_discovery(now, out);
  } else {
    if (best_) lose_best(now);
    discovery_.reset();
    repeats_.clear();
    std::erase_if(probes_, [](const Probe& probe) { return !probe.asked; });
  }
  if (!active(now)) active_until_.reset();
  const bool choosing = peer_->wireguard_only && peer_->endpoints.size() > 1;
  if (!active_until_ && !choosing) {
    observe_.reset();
  } else {
    const Instant soon = now + (best_ && !choosing ? kObserveEvery : kHeartbeat);
    observe_ = observe_ && *observe_ > now ? std::min(*observe_, soon) : soon;
  }

  if (!kernel_is_as_wanted()) {
    KernelPath wanted = wanted_kernel_path();
    auto steps = kernel_steps(kernel_, wanted);
    if (wanted.direct != kernel_.direct) kernel_set_ = now;
    kernel_ = std::move(wanted);
    out.push_back(SetKernelPath{kernel_, std::move(steps)});
  }
  if (duplicating_ != doubt_.has_value()) {
    duplicating_ = doubt_.has_value();
    out.push_back(Duplicate{duplicating_});
  }
  if (state() != told_ || endpoint() != told_endpoint_) {
    told_ = state();
    told_endpoint_ = endpoint();
    out.push_back(PathChanged{told_, told_endpoint_, rtt(),
                              doubt_ ? std::optional(doubt_->cause) : std::nullopt});
  }
  return out;
}

}  // namespace sallyport
