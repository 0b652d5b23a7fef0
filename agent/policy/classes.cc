// SPDX-License-Identifier: BSD-3-Clause
#include "agent/policy/classes.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace sallyport {
namespace {

/// SplitMix64: spreads a number over all bits. Source: Steele, Lea, Flood 2014.
uint64_t spread(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// The sets that the sweep is in at this moment. The hash is kept by exclusive or, so a step costs
/// what changes; rows are compared in full, so sets chosen to collide cost time and nothing else.
class Current {
 public:
  explicit Current(size_t sets) : bits_((sets + 63) / 64), classes_(sets) {}

  void flip(uint32_t set) {
    bits_[set / 64] ^= uint64_t{1} << (set % 64);
    hash_ ^= spread(set);
    known_ = false;
  }
  void clear() {
    std::ranges::fill(bits_, 0);
    hash_ = 0;
    known_ = false;
  }
  uint32_t number() {
    if (known_) return number_;
    known_ = true;
    std::vector<uint32_t>& same_hash = numbers_[hash_];
    for (const uint32_t candidate : same_hash) {
      if (std::ranges::equal(classes_[candidate], bits_)) return number_ = candidate;
    }
    number_ = static_cast<uint32_t>(count_++);
    same_hash.push_back(number_);
    classes_.add(bits_);
    return number_;
  }
  BitRows take() && { return std::move(classes_); }

 private:
  std::vector<uint64_t> bits_;
  uint64_t hash_ = 0;
  bool known_ = false;
  uint32_t number_ = 0;
  size_t count_ = 0;
  std::unordered_map<uint64_t, std::vector<uint32_t>> numbers_;
  BitRows classes_;
};

enum class Role : uint8_t { kSource, kDestination, kOwner };
struct Edge {
  IpAddress at;
  Role role;
  uint32_t number;  // of a set, or the owner from here on
};

void add_edges(std::vector<Edge>& edges, const AddressSets& sets, Role role, bool v4) {
  for (uint32_t i = 0; i < sets.size(); ++i) {
    for (const IpRange& range : sets.all()[i]) {
      if (range.first.is_v4() != v4) continue;
      edges.push_back({range.first, role, i});
      if (const auto after = range.last.next()) edges.push_back({*after, role, i});
    }
  }
}

/// The end of an owner is the start of nobody, 0, and so sorts before that of the next one at the
/// same address.
void add_edges(std::vector<Edge>& edges, const std::vector<OwnedRange>& owned, bool v4) {
  for (const OwnedRange& range : owned) {
    if (range.range.first.is_v4() != v4) continue;
    edges.push_back({range.range.first, Role::kOwner, range.peer});
    if (const auto after = range.range.last.next()) edges.push_back({*after, Role::kOwner, 0});
  }
}

}  // namespace

std::span<uint64_t> BitRows::add() {
  ++count_;
  data_.resize(data_.size() + words_);
  return std::span(data_).last(words_);
}

void BitRows::add(std::span<const uint64_t> row) {
  ++count_;
  data_.insert(data_.end(), row.begin(), row.end());
}

uint32_t AddressSets::add(std::vector<IpRange> ranges) {
  const auto [at, is_new] =
      numbers_.try_emplace(normalise(std::move(ranges)), static_cast<uint32_t>(sets_.size()));
  if (is_new) sets_.push_back(at->first);
  return at->second;
}

AddressClasses classify(const AddressSets& sources, const AddressSets& destinations,
                        const std::vector<OwnedRange>& owned) {
  Current src(sources.size());
  Current dst(destinations.size());
  const auto sweep = [&](bool v4) {
    std::vector<Edge> edges;
    add_edges(edges, sources, Role::kSource, v4);
    add_edges(edges, destinations, Role::kDestination, v4);
    add_edges(edges, owned, v4);
    std::ranges::sort(edges, [](const Edge& a, const Edge& b) {
      return std::tie(a.at, a.role, a.number) < std::tie(b.at, b.role, b.number);
    });

    std::vector<ClassInterval> out;
    uint32_t peer = 0;
    const auto put = [&](const IpAddress& start) {
      const ClassInterval next{start, peer, src.number(), dst.number()};
      if (!out.empty() && out.back().peer == next.peer && out.back().src_class == next.src_class &&
          out.back().dst_class == next.dst_class) {
        return;
      }
      out.push_back(next);
    };
    const IpAddress first = (v4 ? all_v4() : all_v6()).first;
    if (edges.empty() || edges.front().at != first) put(first);
    for (size_t i = 0; i < edges.size();) {
      const IpAddress at = edges[i].at;
      for (; i < edges.size() && edges[i].at == at; ++i) {
        switch (edges[i].role) {
          case Role::kSource:
            src.flip(edges[i].number);
            break;
          case Role::kDestination:
            dst.flip(edges[i].number);
            break;
          case Role::kOwner:
            peer = edges[i].number;
            break;
        }
      }
      put(at);
    }
    return out;
  };
  // A set that reaches to the end of its family's space has no edge there: the second sweep starts
  // from an empty state of its own.
  AddressClasses out{sweep(true), {}, BitRows(0), BitRows(0)};
  src.clear();
  dst.clear();
  out.v6 = sweep(false);
  out.src = std::move(src).take();
  out.dst = std::move(dst).take();
  return out;
}

}  // namespace sallyport
