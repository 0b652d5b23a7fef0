// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/own_endpoints.h"

#include <algorithm>
#include <utility>

#include "agent/node/path_candidates.h"

namespace sallyport {

namespace {

bool is_loopback(const IpAddress& address) {
  return address.is_v4() ? address.v4_number() >> 24 == 127 : address == *IpAddress::parse("::1");
}

void add(std::vector<OwnEndpoint>& list, const Endpoint& endpoint, EndpointKind kind) {
  if (!is_possible(endpoint)) return;
  if (std::ranges::find(list, endpoint, &OwnEndpoint::endpoint) != list.end()) return;
  list.push_back({endpoint, kind});
}

}  // namespace

EndpointActions OwnEndpoints::on_local(std::vector<IpAddress> addresses, uint16_t port,
                                       Instant now) {
  std::ranges::sort(addresses);
  if (addresses == local_ && port == port_) return {};
  local_ = std::move(addresses);
  port_ = port;
  for (Observed& one : observed_) {
    one.latest = false;
    one.twice = false;
  }
  fresh_until_.reset();
  running_.reset();  // a round under way has asked from where we were
  restun_ = now;
  return advance(now);
}

EndpointActions OwnEndpoints::on_configured(std::vector<Endpoint> endpoints, Instant now) {
  configured_ = std::move(endpoints);
  return advance(now);
}

EndpointActions OwnEndpoints::on_port_mapped(std::optional<Endpoint> endpoint, Instant now) {
  mapped_ = endpoint;
  return advance(now);
}

void OwnEndpoints::note(const Endpoint& endpoint, std::optional<Endpoint> by, Instant now) {
  const auto known = std::ranges::find(observed_, endpoint, &Observed::endpoint);
  Observed one{endpoint, now, by, false, false};
  if (known != observed_.end()) {
    one = *known;
    one.last = now;
    if (!by || one.by != by) one.twice = true;
    observed_.erase(known);
  }
  observed_.insert(observed_.begin(), one);
  size_t same_address = 0;
  std::erase_if(observed_, [&](const Observed& o) {
    return o.endpoint.address == endpoint.address && ++same_address > kStunPerAddress;
  });
}

EndpointActions OwnEndpoints::on_stun(const StunRound& round, Instant now) {
  running_.reset();
  restun_ = now + random_.between(kRestunMin, kRestunMax);
  // A round without an answer says nothing; what was seen stays until it is too old.
  if (!round.seen.empty()) {
    for (Observed& one : observed_) one.latest = false;
    for (size_t i = round.seen.size(); i-- > 0;) {
      note(round.seen[i], {}, now);
      observed_.front().latest = true;
    }
    mapping_varies_ = round.mapping_varies;
  }
  fresh_until_ = now + kEndpointsFresh;
  return advance(now);
}

EndpointActions OwnEndpoints::on_seen(const Endpoint& seen, const Endpoint& by, Instant now) {
  if (!is_possible(seen)) return {};
  if (std::ranges::find(local_, seen.address) != local_.end()) return {};
  note(seen, by, now);
  return advance(now);
}

EndpointActions OwnEndpoints::on_active(bool active, Instant now) {
  if (active == active_) return {};
  active_ = active;
  return advance(now);
}

EndpointActions OwnEndpoints::call_me_maybe(const NodeKey& peer, Instant now) {
  if (std::ranges::find(waiting_, peer) == waiting_.end()) waiting_.push_back(peer);
  return advance(now);
}

EndpointActions OwnEndpoints::on_wake(Instant now) { return advance(now); }

std::optional<Instant> OwnEndpoints::next_wake() const {
  if (running_) return running_;
  if (active_ && restun_) return restun_;
  return {};
}

std::vector<OwnEndpoint> OwnEndpoints::list(Instant now) const {
  std::vector<OwnEndpoint> out;
  if (mapped_) add(out, *mapped_, EndpointKind::kPortMapped);
  const auto counts = [&](const Observed& one) {
    return (one.latest || one.twice) && now < one.last + kStunRemembered;
  };
  for (const Observed& one : observed_) {
    if (counts(one)) add(out, one.endpoint, EndpointKind::kStun);
  }
  // Whoever has a NAT that maps by destination may have told it to pass our port on.
  for (const Observed& one : observed_) {
    if (mapping_varies_ && counts(one) && one.endpoint.address.is_v4())
      add(out, {one.endpoint.address, port_}, EndpointKind::kStunLocalPort);
  }
  for (const Endpoint& endpoint : configured_) add(out, endpoint, EndpointKind::kExplicit);
  for (const IpAddress& address : local_) {
    if (!is_loopback(address) && !is_link_local_v6(address))
      add(out, {address, port_}, EndpointKind::kLocal);
  }
  if (!out.empty()) return out;
  for (const IpAddress& address : local_) {
    if (is_loopback(address)) add(out, {address, port_}, EndpointKind::kLocal);
  }
  return out;
}

EndpointActions OwnEndpoints::advance(Instant now) {
  EndpointActions actions;
  std::erase_if(observed_, [&](const Observed& o) { return now >= o.last + kStunRemembered; });
  if (running_ && now >= *running_) {
    // Nobody reported: as a round without an answer.
    running_.reset();
    restun_ = now + random_.between(kRestunMin, kRestunMax);
    fresh_until_ = now + kEndpointsFresh;
  }
  if (std::vector<OwnEndpoint> current = list(now); current != announced_) {
    announced_ = std::move(current);
    actions.push_back(AnnounceEndpoints{announced_});
  }
  const bool fresh = fresh_until_ && now < *fresh_until_;
  if (!waiting_.empty() && fresh) {
    CallPeers call{std::exchange(waiting_, {}), {}};
    for (const OwnEndpoint& own : announced_) call.endpoints.push_back(own.endpoint);
    actions.push_back(std::move(call));
  }
  const bool due = restun_ && now >= *restun_ && (active_ || !fresh_until_);
  if (!running_ && port_ != 0 && (due || !waiting_.empty())) {
    running_ = now + kStunRound;
    actions.push_back(RunStun{});
  }
  return actions;
}

}  // namespace sallyport
