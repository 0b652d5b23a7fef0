// SPDX-License-Identifier: BSD-3-Clause
#include "agent/policy/ownership.h"

#include <algorithm>
#include <set>
#include <utility>

#include "bpf/abi/policy_blob.h"

namespace sallyport {
namespace {

/// A range that may overlap others; the smallest in this order counts.
struct Claim {
  unsigned width = 0;  // host bits of the prefix; our own addresses go before everything
  size_t order = 0;
  uint32_t peer = 0;
  friend auto operator<=>(const Claim&, const Claim&) = default;
};
struct Edge {
  IpAddress at;
  bool begins = false;
  Claim claim;
};

void add_edges(std::vector<Edge>& edges, const IpRange& range, const Claim& claim) {
  edges.push_back({range.first, true, claim});
  if (const auto after = range.last.next()) edges.push_back({*after, false, claim});
}

void append(std::vector<OwnedRange>& out, const IpRange& range, uint32_t peer) {
  if (!out.empty() && out.back().peer == peer && out.back().range.last.next() == range.first) {
    out.back().range.last = range.last;
    return;
  }
  out.push_back({range, peer});
}

void sweep(std::vector<Edge> edges, const IpAddress& end_of_space, std::vector<OwnedRange>& out) {
  std::ranges::sort(edges, {}, &Edge::at);
  std::set<Claim> open;
  for (size_t i = 0; i < edges.size();) {
    const IpAddress start = edges[i].at;
    for (; i < edges.size() && edges[i].at == start; ++i) {
      if (edges[i].begins) {
        open.insert(edges[i].claim);
      } else {
        open.erase(edges[i].claim);
      }
    }
    if (open.empty()) continue;
    const IpAddress last = i < edges.size() ? *edges[i].at.previous() : end_of_space;
    append(out, {start, last}, open.begin()->peer);
  }
}

}  // namespace

std::vector<OwnedRange> owned_ranges(const std::vector<PeerAddresses>& peers,
                                     const std::vector<IpRange>& own) {
  std::vector<Edge> v4;
  std::vector<Edge> v6;
  size_t order = 0;
  for (const IpRange& range : own) {
    add_edges(range.first.is_v4() ? v4 : v6, range, {0, order++, SP_PEER_SELF});
  }
  for (const PeerAddresses& peer : peers) {
    for (const Prefix& prefix : peer.addresses) {
      if (prefix.length == 0) continue;
      const unsigned width = prefix.address.bits() - prefix.length + 1;
      add_edges(prefix.address.is_v4() ? v4 : v6, prefix.range(), {width, order++, peer.index});
    }
  }
  std::vector<OwnedRange> out;
  sweep(std::move(v4), all_v4().last, out);
  sweep(std::move(v6), all_v6().last, out);
  return out;
}

std::vector<IpRange> ranges_of(const std::vector<OwnedRange>& owned, uint32_t peer) {
  std::vector<IpRange> out;
  for (const OwnedRange& range : owned) {
    if (range.peer == peer) out.push_back(range.range);
  }
  return normalise(std::move(out));
}

}  // namespace sallyport
