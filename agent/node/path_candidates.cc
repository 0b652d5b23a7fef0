// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/path_candidates.h"

#include <algorithm>

namespace sallyport {

namespace {

bool is_v4_in(const IpAddress& a, uint32_t network, unsigned length) {
  return a.is_v4() && (a.v4_number() >> (32 - length)) == (network >> (32 - length));
}
bool is_loopback(const IpAddress& a) {
  return is_v4_in(a, 0x7f000000, 8) || a == *IpAddress::parse("::1");
}
bool is_link_local(const IpAddress& a) {
  return is_v4_in(a, 0xa9fe0000, 16) || is_link_local_v6(a);
}
bool is_private(const IpAddress& a) {
  if (!a.is_v4()) return (a.bytes[0] & 0xfe) == 0xfc;
  return is_v4_in(a, 0x0a000000, 8) || is_v4_in(a, 0xac100000, 12) || is_v4_in(a, 0xc0a80000, 16);
}

int64_t address_points(const IpAddress& a) {
  int64_t points = a.is_v4() ? 0 : 10;
  if (is_loopback(a)) {
    points += 50;
  } else if (is_link_local(a)) {
    points += 30;
  } else if (is_private(a)) {
    points += 20;
  }
  return points;
}

/// Per cent of `slower` that `faster` saves.
int64_t saved_percent(Duration faster, Duration slower) {
  if (slower <= faster || slower.count() <= 0) return 0;
  return 100 - faster.count() * 100 / slower.count();
}

}  // namespace

bool is_link_local_v6(const IpAddress& a) {
  return !a.is_v4() && a.bytes[0] == 0xfe && (a.bytes[1] & 0xc0) == 0x80;
}

bool better_path(const Measured& a, const Measured& b) {
  if (a.by_relay != b.by_relay) return b.by_relay;
  if (a.at == b.at) return false;
  const int64_t gain = saved_percent(a.rtt, b.rtt) + address_points(a.at.address);
  const int64_t loss = saved_percent(b.rtt, a.rtt) + address_points(b.at.address);
  return gain > loss + 1;
}

bool is_possible(const Endpoint& endpoint) {
  const IpAddress& a = endpoint.address;
  if (endpoint.port == 0) return false;
  if (a.is_v4()) return a.v4_number() >> 24 != 0 && a.v4_number() < 0xe0000000;  // multicast on
  return a.bytes[0] != 0xff && a.bytes != std::array<uint8_t, 16>{};
}

PathCandidates::Candidate* PathCandidates::find(const Endpoint& endpoint) {
  const auto found = std::ranges::find(all_, endpoint, &Candidate::at);
  return found == all_.end() ? nullptr : &*found;
}

const PathCandidates::Candidate* PathCandidates::find(const Endpoint& endpoint) const {
  const auto found = std::ranges::find(all_, endpoint, &Candidate::at);
  return found == all_.end() ? nullptr : &*found;
}

PathCandidates::Candidate* PathCandidates::find_or_add(const Endpoint& endpoint) {
  if (!is_possible(endpoint)) return nullptr;
  if (Candidate* known = find(endpoint)) return known;
  if (all_.size() >= kMaxCandidates) return nullptr;
  all_.push_back(Candidate{.at = endpoint, .learnt_until = {}, .pinged = {}, .barred_until = {}});
  return &all_.back();
}

void PathCandidates::drop_unfounded() {
  std::erase_if(all_,
                [](const Candidate& c) { return !c.control && !c.called && !c.learnt_until; });
}

void PathCandidates::set_control(std::span<const Endpoint> endpoints) {
  for (Candidate& c : all_) c.control = false;
  for (const Endpoint& endpoint : endpoints) {
    if (Candidate* c = find_or_add(endpoint)) c->control = true;
  }
  drop_unfounded();
}

void PathCandidates::set_called(std::span<const Endpoint> endpoints) {
  for (Candidate& c : all_) {
    c.called = false;
    c.pinged.reset();
  }
  drop_unfounded();  // what is named no more makes room for what is
  for (const Endpoint& endpoint : endpoints) {
    if (is_link_local_v6(endpoint.address)) continue;
    if (Candidate* c = find_or_add(endpoint)) c->called = true;
  }
}

bool PathCandidates::learn(const Endpoint& endpoint, Instant now) {
  std::erase_if(all_, [&](const Candidate& c) {
    return !c.control && !c.called && c.learnt_until && *c.learnt_until <= now;
  });
  const bool known = find(endpoint) != nullptr;
  Candidate* candidate = find_or_add(endpoint);
  if (candidate == nullptr) return false;
  candidate->learnt_until = now + kLearntLifetime;
  return !known;
}

void PathCandidates::bar(const Endpoint& endpoint, Instant now) {
  if (Candidate* c = find(endpoint)) c->barred_until = now + kBarred;
}

bool PathCandidates::is_barred(const Endpoint& endpoint, Instant now) const {
  const Candidate* c = find(endpoint);
  return c != nullptr && c->barred_until && *c->barred_until > now;
}

std::vector<Endpoint> PathCandidates::take_due(Duration gap, Instant now) {
  std::erase_if(all_, [&](const Candidate& c) {
    return !c.control && !c.called && c.learnt_until && *c.learnt_until <= now;
  });
  std::vector<Endpoint> due;
  for (Candidate& c : all_) {
    if (c.pinged && now < *c.pinged + gap) continue;
    if (c.barred_until && *c.barred_until > now) continue;
    c.pinged = now;
    due.push_back(c.at);
  }
  return due;
}

void PathCandidates::note_ping(const Endpoint& endpoint, Instant now) {
  if (Candidate* c = find(endpoint)) c->pinged = now;
}

std::optional<Instant> PathCandidates::last_ping(const Endpoint& endpoint) const {
  const Candidate* c = find(endpoint);
  return c == nullptr ? std::nullopt : c->pinged;
}

void PathCandidates::forget_pings() {
  for (Candidate& c : all_) {
    c.pinged.reset();
    c.barred_until.reset();
  }
}

void PathCandidates::forget_learnt() {
  for (Candidate& c : all_) {
    c.called = false;
    c.learnt_until.reset();
  }
  drop_unfounded();
  forget_pings();
}

std::vector<Endpoint> PathCandidates::endpoints() const {
  std::vector<Endpoint> out;
  out.reserve(all_.size());
  for (const Candidate& c : all_) out.push_back(c.at);
  return out;
}

}  // namespace sallyport
