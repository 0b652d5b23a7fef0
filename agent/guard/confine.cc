// SPDX-License-Identifier: BSD-3-Clause
#include "agent/guard/confine.h"

#include <algorithm>
#include <utility>

namespace sallyport {
namespace {

std::vector<IpRange> tailnet_addresses(const NodeState& state) {
  std::vector<IpRange> ranges;
  for (const auto& [key, peer] : state.peers) {
    for (const Prefix& prefix : peer.allowed_ips) ranges.push_back(prefix.range());
  }
  return normalise(std::move(ranges));
}

std::vector<IpRange> configured_addresses(const Config& config) {
  std::vector<IpRange> ranges;
  for (const PeerConfig& peer : config.peers) {
    for (const Prefix& prefix : peer.allowed_ips) {
      if (prefix.length != 0) ranges.push_back(prefix.range());
    }
  }
  return normalise(std::move(ranges));
}

/// In the order of normalised ranges: IPv4 first.
bool ends_before(const IpRange& a, const IpRange& b) {
  if (a.last.is_v4() != b.last.is_v4()) return a.last.is_v4();
  return a.last < b.last;
}

/// Both normalised, and so is the answer.
std::vector<IpRange> intersect(const std::vector<IpRange>& a, const std::vector<IpRange>& b) {
  std::vector<IpRange> both;
  auto left = a.begin();
  auto right = b.begin();
  while (left != a.end() && right != b.end()) {
    if (left->overlaps(*right)) {
      both.push_back({std::max(left->first, right->first), std::min(left->last, right->last)});
    }
    if (ends_before(*left, *right)) {
      ++left;
    } else {
      ++right;
    }
  }
  return both;
}

}  // namespace

std::vector<Rule> confined_rules(const NodeState& state, const Config& config) {
  const std::vector<IpRange> tailnet = tailnet_addresses(state);
  const std::vector<IpRange> configured = configured_addresses(config);
  std::vector<Rule> rules;
  for (const auto& [position, asked] : state.rules) {
    Rule rule = asked;
    rule.from = intersect(asked.from, tailnet);
    rule.to = subtract(asked.to, configured);
    if (!rule.from.empty() && !rule.to.empty()) rules.push_back(std::move(rule));
  }
  return rules;
}

bool confined_size_fits(const NodeState& state) {
  // Two lists of n and m ranges meet in at most n + m - 1 places.
  const size_t tailnet = tailnet_addresses(state).size();
  size_t ranges = 0;
  for (const auto& [position, rule] : state.rules) {
    bool wide = false;
    for (const IpRange& range : rule.from) wide = wide || range.first != range.last;
    ranges += rule.from.size() + rule.to.size() + (wide ? tailnet : 0);
    if (ranges > kMaxConfinedRanges) return false;
  }
  return true;
}

}  // namespace sallyport
