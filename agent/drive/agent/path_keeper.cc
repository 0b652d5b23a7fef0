// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/path_keeper.h"

#include <arpa/inet.h>

#include <algorithm>
#include <ctime>
#include <set>
#include <string_view>
#include <vector>

#include "agent/base/log.h"
#include "agent/base/overloaded.h"
#include "agent/io/clock.h"

namespace sallyport {
namespace {

/// For so long after our own handshake the peer's is dropped (bpf/abi/path.h).
constexpr Duration kYield = std::chrono::milliseconds(300);

void complain(const TailnetPeer& peer, std::string_view step, const Result<void>& done) {
  if (done) return;
  log_warning("path_step_failed peer={} step={} why=\"{}\"", peer.node_key.text(), step,
              done.error().text());
}

/// The kernel stamps with a clock that stands still in suspend.
std::optional<Instant> instant_of(uint64_t coarse_ns) {
  if (coarse_ns == 0) return {};
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  const Duration coarse = std::chrono::seconds(now.tv_sec) + Duration(now.tv_nsec);
  return io::boot_now() - (coarse - Duration(static_cast<int64_t>(coarse_ns)));
}

}  // namespace

void PathKeeper::set_ports(const PathPorts& ports) {
  ports_ = ports;
  maps_.set_ports(ports);
}

void PathKeeper::move(const PathSteps& path, const TailnetPeer& peer, const std::string& device) {
  const IpAddress parking = *peer.parking;
  std::optional<Endpoint> at = peer.endpoint;
  for (const KernelStep& step : path.steps) {
    std::visit(Overloaded{
                   [&](const SetPin& s) {
                     complain(peer, "pin",
                              maps_.pin(parking, {s.path.peer, s.path.ours, s.path.ifindex}));
                   },
                   [&](const ClearPin&) { complain(peer, "unpin", maps_.unpin(parking)); },
                   [&](const SetReverse& s) {
                     complain(peer, "set_reverse", maps_.set_reverse(s.from, parking));
                   },
                   [&](const ClearReverse& s) {
                     complain(peer, "clear_reverse", maps_.clear_reverse(s.from));
                     if (at != s.from) unwatch(s.from);
                   },
                   [&](const PointAt& s) { point(s, peer, device, at); },
               },
               step);
  }
}

void PathKeeper::point(const PointAt& step, const TailnetPeer& peer, const std::string& device,
                       std::optional<Endpoint>& at) {
  const auto old = at;
  SetPeer set;
  set.device = device;
  set.public_key = peer.node_key;
  if (step.endpoint) {
    complain(peer, "watch", maps_.watch(*step.endpoint, peer.yields ? kYield : Duration::zero()));
    if (step.again) {
      SetPeer silent = set;
      silent.keepalive_s = 0;
      complain(peer, "keepalive", kernel_.set_peer(silent));
    }
    set.endpoint = step.endpoint;
    set.keepalive_s = kDirectKeepaliveS;
  } else {
    set.endpoint = Endpoint{*peer.parking, ports_.relay};
    set.keepalive_s = 0;
  }
  at = set.endpoint;
  complain(peer, "endpoint", kernel_.set_peer(set));
  if (old && old != at) unwatch(*old);
}

void PathKeeper::unwatch(const Endpoint& endpoint) {
  const auto reverse = maps_.reverse_of(endpoint);
  if (reverse && !*reverse) (void)maps_.forget(endpoint);
}

void PathKeeper::forget(const TailnetPeer& peer) {
  if (!peer.parking) return;
  complain(peer, "unpin", maps_.unpin(*peer.parking));
  std::vector<Endpoint> theirs;
  if (peer.endpoint) theirs.push_back(*peer.endpoint);
  const auto visited =
      maps_.for_each_endpoint([&](const Endpoint& from, const sp_endpoint_state& state) {
        if (state.parking_be == htonl(peer.parking->v4_number())) theirs.push_back(from);
      });
  complain(peer, "list", visited);
  for (const Endpoint& one : theirs) (void)maps_.forget(one);
}

void PathKeeper::forget_gone(const NodeState& before, const NodeState& now) {
  for (const auto& [key, peer] : before.peers) {
    if (!now.peers.contains(key)) forget(peer);
  }
}

void PathKeeper::prune(const NodeState& state) {
  std::set<IpAddress> parked;
  std::set<Endpoint> in_use;
  for (const auto& [key, peer] : state.peers) {
    if (peer.parking) parked.insert(*peer.parking);
    if (peer.endpoint) in_use.insert(*peer.endpoint);
  }
  std::vector<IpAddress> pins;
  std::vector<Endpoint> endpoints;
  (void)maps_.for_each_pin([&](const IpAddress& parking, const Pin&) {
    if (!parked.contains(parking)) pins.push_back(parking);
  });
  (void)maps_.for_each_endpoint([&](const Endpoint& from, const sp_endpoint_state& known) {
    const bool reversed =
        known.parking_be != 0 && parked.contains(IpAddress::v4(ntohl(known.parking_be)));
    if (!reversed && !in_use.contains(from)) endpoints.push_back(from);
  });
  for (const IpAddress& parking : pins) (void)maps_.unpin(parking);
  for (const Endpoint& endpoint : endpoints) (void)maps_.forget(endpoint);
}

channel::Observed PathKeeper::observe(const TailnetPeer& peer, const sp_peer& slot) const {
  channel::Observed out{.peer = peer.node_key,
                        .last_tx = instant_of(slot.last_tx_ns),
                        .last_rx = instant_of(slot.last_rx_ns),
                        .wire_rx = 0};
  if (peer.endpoint) {
    const auto heard = maps_.heard(*peer.endpoint);
    if (heard && *heard) out.wire_rx = (*heard)->packets;
  }
  return out;
}

}  // namespace sallyport
