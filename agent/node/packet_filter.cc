// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/packet_filter.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "agent/base/text.h"
#include "agent/wire/agent_channel.h"

namespace sallyport {
namespace {

using Ranges = std::vector<IpRange>;

constexpr std::string_view kCapPrefix = "cap:";
constexpr PortRange kAllPorts{0, 65535};

void add(Ranges& to, const Ranges& more) { to.insert(to.end(), more.begin(), more.end()); }

Ranges intersect(const Ranges& a, const Ranges& b) { return subtract(a, subtract(a, b)); }

/// An address, a prefix without host bits, a range, or "*".
std::optional<Ranges> parse_set(std::string_view text) {
  if (text == "*") return Ranges{all_v4(), all_v6()};
  if (text.find('/') != std::string_view::npos) {
    const auto prefix = Prefix::parse(text);
    if (!prefix || prefix->has_host_bits()) return {};
    return Ranges{prefix->range()};
  }
  const auto range = IpRange::parse(text);
  if (!range) return {};
  return Ranges{*range};
}

bool has_ports(IpProto proto) {
  return proto == IpProto::kTcp || proto == IpProto::kUdp || proto == IpProto::kSctp;
}

/// Numbers that are none are left out. Of a list of which nothing is left only ICMP remains, which
/// never looks at the list.
std::vector<IpProto> protos_of(const std::vector<int32_t>& numbers) {
  std::vector<IpProto> protos;
  for (const int32_t number : numbers) {
    if (number >= 0 && number <= UINT8_MAX) protos.push_back(static_cast<IpProto>(number));
  }
  std::ranges::sort(protos);
  const auto twice = std::ranges::unique(protos);
  protos.erase(twice.begin(), twice.end());
  if (protos.empty() && !numbers.empty()) protos.push_back(IpProto::kIcmp);
  return protos;
}

std::vector<PortRange> merged(std::vector<PortRange> ports) {
  std::ranges::sort(ports);
  std::vector<PortRange> out;
  for (const PortRange& range : ports) {
    if (!out.empty() && range.first <= uint32_t{out.back().last} + 1) {
      out.back().last = std::max(out.back().last, range.last);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

/// Destinations of one rule: for each set of addresses its ports.
using Destinations = std::map<Ranges, std::vector<PortRange>>;

Ranges of_family(const Ranges& ranges, bool v4) {
  Ranges out;
  for (const IpRange& range : ranges) {
    if (range.first.is_v4() == v4) out.push_back(range);
  }
  return out;
}

template <class T>
std::vector<std::vector<T>> blocks(const std::vector<T>& list, size_t most) {
  std::vector<std::vector<T>> out;
  for (size_t at = 0; at < list.size(); at += most) {
    const auto from = list.begin() + static_cast<ptrdiff_t>(at);
    out.emplace_back(from, from + static_cast<ptrdiff_t>(std::min(most, list.size() - at)));
  }
  if (out.empty()) out.emplace_back();
  return out;
}

class Planner {
 public:
  Planner(const Netmap& netmap, const Ranges& local, const Ranges& jailed)
      : netmap_(netmap), local_(local), jailed_(jailed) {
    for (const auto& [id, peer] : netmap.peers) {
      if (!peer.unsigned_peerapi_only || !peer.allowed_ips) continue;
      for (const Prefix& prefix : *peer.allowed_ips) unsigned_.push_back(prefix.range());
    }
    unsigned_ = normalise(std::move(unsigned_));
  }

  PlannedFilter run() {
    for (const auto& [name, chunk] : netmap_.filters) {
      size_t number = 0;
      for (const FilterRule& rule : chunk) {
        id_ = printable(name.substr(0, kMaxName)) + ":" + std::to_string(++number);
        plan(rule);
        if (!out_.refused.empty()) {
          out_.rules.clear();
          return std::move(out_);
        }
      }
    }
    return std::move(out_);
  }

 private:
  static constexpr size_t kMaxName = 60;  // printable() may make four bytes of one

  void note(std::string_view text, const char* what) {
    if (out_.notes.size() < kMaxFilterNotes)
      out_.notes.push_back(id_ + ": " + quote(text) + " is no " + what);
  }
  void refuse(const std::string& why) { out_.refused = id_ + ": " + why; }

  void plan(const FilterRule& rule) {
    const auto has_bits = [](const NetPortRange& dst) { return dst.bits.has_value(); };
    if (!rule.src_bits.empty() || std::ranges::any_of(rule.dst_ports, has_bits))
      return refuse("SrcBits and Bits are not taken any more");
    Ranges sources;
    Ranges with_cap;
    for (const std::string& text : rule.src_ips) {
      if (text.starts_with(kCapPrefix)) {
        add(with_cap, peers_with(text.substr(kCapPrefix.size())));
      } else if (const auto set = parse_set(text)) {
        add(sources, *set);
      } else {
        note(text, "source");
      }
    }
    const Destinations destinations = destinations_of(rule);
    if (destinations.empty()) return;
    sources = normalise(std::move(sources));
    if (!intersect(sources, unsigned_).empty())
      return refuse("it lets in a peer whose key is not signed");
    const auto protos = protos_of(rule.ip_proto);
    for (const auto& [to, ports] : destinations)
      emit(subtract(sources, jailed_), to, protos, ports);
    if (!with_cap.empty())
      plan_caps(subtract(normalise(std::move(with_cap)), jailed_), destinations, protos);
  }

  /// What the filter reaches by a capability: transport protocols as the rule says, nothing else
  /// by protocol, and ICMP to all that is ours.
  void plan_caps(const Ranges& from, const Destinations& destinations,
                 const std::vector<IpProto>& protos) {
    std::vector<IpProto> transport;
    for (const IpProto proto : {IpProto::kTcp, IpProto::kUdp, IpProto::kSctp}) {
      const bool usual = protos.empty() && proto != IpProto::kSctp;
      if (usual || std::ranges::find(protos, proto) != protos.end()) transport.push_back(proto);
    }
    for (const bool v4 : {true, false}) {
      Ranges any;
      for (const auto& [to, ports] : destinations) add(any, of_family(to, v4));
      if (any.empty()) continue;
      const Ranges sources = of_family(from, v4);
      if (!transport.empty()) {
        for (const auto& [to, ports] : destinations)
          emit(sources, of_family(to, v4), transport, ports);
      }
      emit(sources, of_family(local_, v4), {IpProto::kIcmp}, {});
    }
  }

  [[nodiscard]] Ranges peers_with(const std::string& cap) const {
    Ranges out;
    for (const auto& [id, peer] : netmap_.peers) {
      if (!peer.cap_map.contains(cap)) continue;
      for (const Prefix& address : peer.addresses)
        out.push_back(Prefix::host(address.address).range());
    }
    return out;
  }

  Destinations destinations_of(const FilterRule& rule) {
    // By ports first, so that many addresses of one service become one set.
    std::map<PortRange, Ranges> by_ports;
    for (const NetPortRange& dst : rule.dst_ports) {
      const auto set = parse_set(dst.ip);
      if (!set) {
        note(dst.ip, "destination");
      } else if (dst.ports.first <= dst.ports.last) {
        add(by_ports[dst.ports], *set);
      }
    }
    Destinations out;
    for (auto& [ports, ranges] : by_ports) out[normalise(std::move(ranges))].push_back(ports);
    return out;
  }

  void emit(const Ranges& from, const Ranges& to_asked, const std::vector<IpProto>& protos,
            const std::vector<PortRange>& ports) {
    // A protocol without ports needs the whole range in one piece: two halves do not make it one.
    const bool all = ports.empty() || std::ranges::find(ports, kAllPorts) != ports.end();
    const std::vector<PortRange> wanted = all ? std::vector<PortRange>{} : merged(ports);
    std::vector<IpProto> served = protos;
    if (!all) std::erase_if(served, [](IpProto proto) { return !has_ports(proto); });
    if (served.empty() && !protos.empty()) served = {IpProto::kIcmp};
    const Ranges to = intersect(to_asked, local_);
    if (from.empty() || to.empty()) return;
    for (const auto& some_from : blocks(from, channel::kMaxRanges)) {
      for (const auto& some_to : blocks(to, channel::kMaxRanges)) {
        for (const auto& some_protos : blocks(served, channel::kMaxProtos)) {
          for (const auto& some_ports : blocks(wanted, channel::kMaxPorts)) {
            if (out_.rules.size() == kMaxPlannedRules) return refuse("more rules than fit");
            Rule rule;
            rule.id = id_;
            rule.from = some_from;
            rule.to = some_to;
            rule.protos = some_protos;
            rule.ports = some_ports;
            out_.rules.push_back(std::move(rule));
          }
        }
      }
    }
  }

  const Netmap& netmap_;
  const Ranges& local_;
  const Ranges& jailed_;
  Ranges unsigned_;
  std::string id_;
  PlannedFilter out_;
};

}  // namespace

PlannedFilter plan_filter(const Netmap& netmap, const std::vector<IpRange>& local,
                          const std::vector<IpRange>& jailed) {
  return Planner(netmap, local, jailed).run();
}

bool filter_asks_for_caps(const Netmap& netmap) {
  return std::ranges::any_of(netmap.filters, [](const auto& chunk) {
    return std::ranges::any_of(chunk.second, [](const FilterRule& rule) {
      return std::ranges::any_of(
          rule.src_ips, [](const std::string& source) { return source.starts_with(kCapPrefix); });
    });
  });
}

}  // namespace sallyport
