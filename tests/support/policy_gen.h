// SPDX-License-Identifier: BSD-3-Clause
/// Random policies and packets that lie where policies go wrong: on both sides of every edge of a
/// set. From a seed, the same everywhere (no std::*_distribution). Used by the property test of the
/// tables and by that of the kernel.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/policy/compile.h"
#include "agent/policy/special_ranges.h"

namespace sallyport::testing {

class PolicyGen {
 public:
  explicit PolicyGen(uint64_t seed) : random_(seed) {}

  /// Peers with nested prefixes (one of them with both /0), three LANs, an exit, `rules` rules, and
  /// in every second policy a ceiling.
  PolicyInput policy(size_t rules = 32) {
    PolicyInput out;
    out.own = normalise(ranges({"10.8.0.1", "192.168.0.1", "203.0.113.5", "fd00:8::1"}));
    add_peers(out);
    lans_ = ranges({"192.168.0.0/24", "192.168.1.0/24", "fd00:1::/64", "172.20.0.0/30"});
    add_exit(out);
    for (size_t i = 0; i < rules; ++i) {
      out.rules.push_back(rule(out));
      out.rules.back().id = "rule-" + std::to_string(i);
      out.rules.back().counter = static_cast<uint16_t>(100 + i);
    }
    out.rules.push_back(own_rule(out));
    if (chance(50)) add_ceiling(out, rules / 2);
    return out;
  }

  /// Mostly aimed at a rule, else at anything that the policy names; on an edge, beside it, or
  /// within.
  PacketKey packet(const PolicyInput& policy) {
    const Rule& rule = any(policy.rules);
    const bool aimed = chance(85) && !rule.from.empty() && !rule.to.empty();
    PacketKey out;
    // What touches no peer is dull, and so is a pair of two families.
    for (int i = 0; i < 3; ++i) {
      out.src = aimed ? near(any(rule.from)) : somewhere(policy);
      out.dst = aimed ? near(any(rule.to)) : somewhere(policy);
      const bool of_peer = contains(peers_, out.src) || contains(peers_, out.dst);
      if (of_peer && out.src.is_v4() == out.dst.is_v4()) break;
    }
    if (chance(3)) out.dst = any(specials_);
    out.proto = proto_of(rule);
    out.dst_port = port_of(rule);
    out.src_port = static_cast<uint16_t>(random_());
    return out;
  }

 private:
  static std::vector<IpRange> ranges(const std::vector<std::string_view>& texts) {
    std::vector<IpRange> out;
    for (const std::string_view text : texts) out.push_back(*IpRange::parse(text));
    return out;
  }
  uint64_t below(uint64_t n) { return random_() % n; }
  bool chance(uint64_t percent) { return below(100) < percent; }
  template <class T>
  const T& any(const std::vector<T>& of) {
    return of[below(of.size())];
  }

  void add_peers(PolicyInput& out) {
    for (uint32_t i = 0; i < 12; ++i) {
      PeerAddresses peer{i + 1, {{IpAddress::v4(0x0a080002 + i), 32}}};
      IpAddress six = *IpAddress::parse("fd00:8::");
      six.bytes[15] = static_cast<uint8_t>(i + 2);
      peer.addresses.push_back(Prefix::host(six));
      out.peers.push_back(peer);
    }
    // Sites one within the other, and one whose tunnel is its default route.
    const auto give = [&](size_t peer, std::string_view text) {
      out.peers[peer].addresses.push_back(*Prefix::parse(text));
    };
    give(8, "10.20.0.0/16");
    give(9, "10.20.7.0/24");
    give(10, "10.20.7.128/25");
    give(9, "fd00:20::/32");
    give(8, "fd00:20:7::/48");
    give(11, "0.0.0.0/0");
    give(11, "::/0");
    std::shuffle(out.peers.begin(), out.peers.end(), random_);
    peers_ = {};
    for (const OwnedRange& owned : owned_ranges(out.peers, out.own)) {
      if (owned.peer != SP_PEER_SELF) peers_.push_back(owned.range);
    }
  }

  void add_exit(PolicyInput& out) const {
    std::vector<IpRange> local = not_internet();
    local.insert(local.end(), out.own.begin(), out.own.end());
    local.push_back(*IpRange::parse("203.0.113.0/24"));
    std::vector<IpRange> known = lans_;
    known.insert(known.end(), peers_.begin(), peers_.end());
    out.exit_local = subtract(local, known);
    known.insert(known.end(), local.begin(), local.end());
    out.exit_reach = subtract({all_v4(), all_v6()}, known);
  }

  /// Like rules, but wider: else it would leave next to nothing.
  void add_ceiling(PolicyInput& out, size_t rules) {
    out.ceiling.emplace();
    for (size_t i = 0; i < rules; ++i) {
      Rule bound = rule(out);
      if (chance(30)) bound.from = {all_v4(), all_v6()};
      if (chance(50)) bound.protos.clear();
      if (chance(50)) bound.ports.clear();
      out.ceiling->push_back(bound);
    }
  }

  Rule rule(const PolicyInput& policy) {
    Rule out;
    for (uint64_t i = below(4) + 1; i > 0; --i) out.from.push_back(source(policy));
    bool metadata = false;
    for (uint64_t i = below(4) + 1; i > 0; --i) add_destination(policy, out.to, metadata);
    out.from = normalise(std::move(out.from));
    out.to = without_metadata(std::move(out.to));
    if (metadata) out.to.push_back({metadata_address(), metadata_address()});
    out.to = normalise(std::move(out.to));
    if (chance(50)) {
      constexpr int kProtos[] = {6, 6, 17, 17, 132, 1, 58, 47, 99, 0, 255};
      for (uint64_t i = below(3) + 1; i > 0; --i) {
        out.protos.push_back(static_cast<IpProto>(kProtos[below(std::size(kProtos))]));
      }
      std::sort(out.protos.begin(), out.protos.end());
      out.protos.erase(std::unique(out.protos.begin(), out.protos.end()), out.protos.end());
    }
    if (chance(60)) add_ports(out.ports);
    return out;
  }

  IpRange source(const PolicyInput& policy) {
    const uint64_t kind = below(20);
    if (kind < 14) return part_of(any(peers_));
    if (kind < 17) return part_of(any(lans_));
    if (kind < 18) return any(policy.own);
    return chance(50) ? all_v4() : all_v6();
  }

  void add_destination(const PolicyInput& policy, std::vector<IpRange>& to, bool& metadata) {
    const uint64_t kind = below(20);
    if (kind < 9) {
      to.push_back(part_of(any(lans_)));
    } else if (kind < 14) {
      to.push_back(part_of(any(peers_)));
    } else if (kind < 16) {
      to.insert(to.end(), policy.exit_reach.begin(), policy.exit_reach.end());
    } else if (kind < 17) {
      to.push_back(any(policy.own));
    } else if (kind < 18) {
      metadata = true;
    } else {
      to.push_back(part_of(any(policy.exit_reach)));
    }
  }

  /// The range, or a piece of it that shares an end or none.
  IpRange part_of(const IpRange& range) {
    if (chance(40)) return range;
    const IpAddress a = chance(40) ? range.first : within(range);
    const IpAddress b = chance(40) ? range.last : within(range);
    return {std::min(a, b), std::max(a, b)};
  }

  void add_ports(std::vector<PortRange>& out) {
    constexpr uint16_t kEdges[] = {0, 1, 22, 53, 79, 80, 81, 443, 1023, 1024, 65534, 65535};
    const auto edge = [&] {
      return chance(70) ? kEdges[below(std::size(kEdges))] : static_cast<uint16_t>(random_());
    };
    for (uint64_t i = below(3) + 1; i > 0; --i) {
      const uint16_t a = edge();
      const uint16_t b = chance(40) ? a : edge();
      out.push_back({std::min(a, b), std::max(a, b)});
    }
    std::sort(out.begin(), out.end());
    std::vector<PortRange> disjoint;
    for (const PortRange& range : out) {
      if (!disjoint.empty() && range.first <= uint32_t{disjoint.back().last} + 1) {
        disjoint.back().last = std::max(disjoint.back().last, range.last);
      } else {
        disjoint.push_back(range);
      }
    }
    out = disjoint;
  }

  static Rule own_rule(const PolicyInput& policy) {
    Rule out;
    out.id = kOwnRuleId;
    out.counter = kOwnRuleCounter;
    out.from = policy.own;
    for (const OwnedRange& owned : owned_ranges(policy.peers, policy.own)) {
      if (owned.peer != SP_PEER_SELF) out.to.push_back(owned.range);
    }
    out.to = normalise(std::move(out.to));
    for (unsigned proto = 0; proto < 256; ++proto) {
      out.protos.push_back(static_cast<IpProto>(proto));
    }
    return out;
  }

  IpAddress somewhere(const PolicyInput& policy) {
    switch (below(5)) {
      case 0:
        return near(any(lans_));
      case 1:
        return near(any(policy.exit_local));
      case 2:
        return near(any(policy.exit_reach));
      default:
        return near(any(peers_));
    }
  }

  /// First, last, the neighbours outside, or between.
  IpAddress near(const IpRange& range) {
    const uint64_t kind = below(100);
    if (kind < 30) return range.first;
    if (kind < 60) return range.last;
    if (kind < 66) return range.first.previous().value_or(range.first);
    if (kind < 72) return range.last.next().value_or(range.last);
    return within(range);
  }

  /// Not uniform, but all of the range can come.
  IpAddress within(const IpRange& range) {
    IpAddress out = range.first;
    size_t i = 0;
    while (i < 16 && range.first.bytes[i] == range.last.bytes[i]) ++i;
    for (; i < 16; ++i) out.bytes[i] = static_cast<uint8_t>(random_());
    const bool fits = range.contains(out) && out.is_v4() == range.first.is_v4();
    return fits ? out : chance(50) ? range.first : range.last;
  }

  IpProto proto_of(const Rule& rule) {
    if (chance(10)) return static_cast<IpProto>(below(256));
    if (chance(10)) return chance(50) ? IpProto::kIcmp : IpProto::kIcmpV6;
    if (!rule.protos.empty() && rule.protos.size() < 256) return any(rule.protos);
    return chance(50) ? IpProto::kTcp : IpProto::kUdp;
  }

  uint16_t port_of(const Rule& rule) {
    if (rule.ports.empty() || chance(10)) return static_cast<uint16_t>(random_());
    const PortRange& range = any(rule.ports);
    const uint64_t kind = below(100);
    if (kind < 40) return range.first;
    if (kind < 80) return range.last;
    if (kind < 90) return static_cast<uint16_t>(range.first - 1);
    return static_cast<uint16_t>(range.last + 1);
  }

  std::mt19937_64 random_;
  std::vector<IpRange> peers_;
  std::vector<IpRange> lans_;
  std::vector<IpAddress> specials_{metadata_address(),
                                   *IpAddress::parse("169.254.169.253"),
                                   *IpAddress::parse("169.254.169.255"),
                                   *IpAddress::parse("fe80::1"),
                                   *IpAddress::parse("febf:ffff::"),
                                   *IpAddress::parse("fec0::"),
                                   *IpAddress::parse("224.0.0.0"),
                                   *IpAddress::parse("223.255.255.255"),
                                   *IpAddress::parse("239.255.255.255"),
                                   *IpAddress::parse("240.0.0.0"),
                                   *IpAddress::parse("255.255.255.255"),
                                   *IpAddress::parse("ff02::1"),
                                   *IpAddress::parse("feff::"),
                                   *IpAddress::parse("::"),
                                   metadata_address(),
                                   metadata_address()};
};

}  // namespace sallyport::testing
