// SPDX-License-Identifier: BSD-3-Clause
#include "agent/guard/bounds.h"

#include <algorithm>
#include <map>
#include <set>

#include "agent/base/overloaded.h"
#include "agent/guard/confine.h"
#include "agent/model/host_port.h"
#include "agent/policy/special_ranges.h"
#include "bpf/abi/settings.h"

namespace sallyport {
namespace {

Prefix prefix_of(const char* text) { return *Prefix::parse(text); }

/// Where no host of anybody's is.
/// Source: RFC 6890 tables 1, 5, 6, 17, 18; RFC 1112 4 (class E), RFC 919 7.
const std::vector<IpRange>& no_host() {
  static const std::vector<IpRange> ranges = normalise({
      prefix_of("0.0.0.0/8").range(),
      prefix_of("127.0.0.0/8").range(),
      prefix_of("224.0.0.0/4").range(),
      prefix_of("240.0.0.0/4").range(),
      prefix_of("::/127").range(),
      prefix_of("ff00::/8").range(),
  });
  return ranges;
}

const std::vector<Prefix>& private_space() {
  static const std::vector<Prefix> list = {
      prefix_of("10.0.0.0/8"),    prefix_of("172.16.0.0/12"), prefix_of("192.168.0.0/16"),
      prefix_of("100.64.0.0/10"), prefix_of("fc00::/7"),
  };
  return list;
}

const Prefix& loopback() {
  static const Prefix prefix = prefix_of("127.0.0.0/8");
  return prefix;
}
/// Of 127.0.0.0/8: what programs listen on.
const Prefix& services() {
  static const Prefix prefix = prefix_of("127.0.0.0/16");
  return prefix;
}

bool inside(const Prefix& inner, const Prefix& outer) {
  return inner.length >= outer.length && inner.overlaps(outer);
}

/// Sets of ranges that are asked often.
class RangeSet {
 public:
  void add(const IpRange& range) { ranges_.push_back(range); }
  void close() { ranges_ = normalise(std::move(ranges_)); }
  [[nodiscard]] bool overlaps(const IpRange& range) const {
    // Normalised ranges have IPv4 first.
    const auto before = [](const IpRange& a, const IpRange& b) {
      if (a.last.is_v4() != b.first.is_v4()) return a.last.is_v4();
      return a.last < b.first;
    };
    const auto at = std::ranges::lower_bound(ranges_, range, before);
    return at != ranges_.end() && at->overlaps(range);
  }
  [[nodiscard]] bool has(const IpAddress& a) const { return overlaps(IpRange{a, a}); }

 private:
  std::vector<IpRange> ranges_;
};

class Bounds {
 public:
  Bounds(const NodeState& state, const Config& config, const BoundsFacts& facts)
      : state_(state), config_(config), facts_(facts) {
    collect();
  }

  std::vector<Refused> run() {
    count();
    for (const auto& [key, endpoint] : state_.endpoints) check_endpoint(key, endpoint);
    for (const Prefix& address : state_.addresses) check_address(address);
    for (const auto& [key, peer] : state_.peers) check_peer(key, peer);
    for (const auto& [position, rule] : state_.rules) check_rule(position, rule);
    for (const auto& [prefix, snat] : state_.routes) check_route(prefix);
    check_key();
    return std::move(refused_);
  }

 private:
  void refuse(const ObjectId& object, Refusal reason) {
    if (refused_.size() < kMaxRefusals) refused_.push_back({object, reason});
  }

  void collect() {
    for (const Device& device : facts_.devices) {
      const bool ours = device.name == config_.node.device;
      for (const Prefix& address : device.addresses) {
        own_.add(Prefix::host(address.address).range());
        // Ours shows what was accepted before, which must not bar itself.
        if (ours || device.loopback) continue;
        own_elsewhere_.add(Prefix::host(address.address).range());
        networks_.add(address.range());
      }
    }
    for (const Prefix& address : config_.node.addresses) {
      own_.add(Prefix::host(address.address).range());
      own_elsewhere_.add(Prefix::host(address.address).range());
    }
    for (const Prefix& address : state_.addresses) own_.add(Prefix::host(address.address).range());
    for (const LanConfig& lan : config_.lans) networks_.add(lan.prefix.range());
    for (const PeerConfig& peer : config_.peers) {
      configured_.insert(peer.public_key);
      for (const Prefix& prefix : peer.allowed_ips) {
        // "May send everything" is no claim on an address: see ownership.h.
        if (prefix.length != 0) taken_.add(prefix.range());
      }
    }
    for (const NamedPeer& named : named_peers(config_)) ports_[named.peer] = named.port;
    own_key_ = state_.key ? state_.key->public_key() : facts_.own_key;
    for (RangeSet* set : {&own_, &own_elsewhere_, &networks_, &taken_}) set->close();
  }

  void count() {
    size_t prefixes = 0;
    for (const auto& [key, peer] : state_.peers) prefixes += peer.allowed_ips.size();
    const ObjectId peers{ObjectKind::kPeer, {}, {}, 0};
    if (state_.peers.size() > kMaxTailnetPeers || prefixes > kMaxTailnetPrefixes)
      refuse(peers, Refusal::kTooMany);
    if (state_.addresses.size() > kMaxOwnAddresses)
      refuse({ObjectKind::kAddress, {}, {}, 0}, Refusal::kTooMany);
    if (state_.routes.size() > kMaxServedRoutes)
      refuse({ObjectKind::kRoute, {}, {}, 0}, Refusal::kTooMany);
    // Counters 0 and 1 are "no rule" and our own.
    if (state_.rules.size() > SP_MAX_RULES - 2 || !confined_size_fits(state_))
      refuse({ObjectKind::kRule, {}, {}, 0}, Refusal::kTooMany);
  }

  [[nodiscard]] bool is_bad(const Endpoint& endpoint) const {
    return endpoint.port == 0 || contains(no_host(), endpoint.address) ||
           own_.has(endpoint.address);
  }

  void check_endpoint(const PublicKey& key, const Endpoint& endpoint) {
    const ObjectId id{ObjectKind::kEndpoint, key, {}, 0};
    const auto port = ports_.find(key);
    if (port == ports_.end()) return refuse(id, Refusal::kUnknownPeer);
    if (port->second != endpoint.port || is_bad(endpoint)) refuse(id, Refusal::kBadEndpoint);
  }

  [[nodiscard]] static std::optional<Refusal> shape_of(const Prefix& prefix) {
    if (prefix.has_host_bits()) return Refusal::kBadPrefix;
    const bool v4 = prefix.address.is_v4();
    const bool is_private = std::ranges::any_of(
        private_space(), [&](const Prefix& space) { return inside(prefix, space); });
    const uint8_t shortest = is_private ? (v4 ? kShortestPrivateV4 : kShortestPrivateV6)
                                        : (v4 ? kShortestPublicV4 : kShortestPublicV6);
    if (prefix.length < shortest) return Refusal::kDefaultRoute;
    const auto overlaps = [&](const IpRange& range) { return range.overlaps(prefix.range()); };
    if (std::ranges::any_of(no_host(), overlaps) || is_link_local(prefix.address) ||
        prefix.contains(metadata_address()))
      return Refusal::kBadPrefix;
    return std::nullopt;
  }

  void check_key() {
    if (!state_.key) return;
    const ObjectId id{ObjectKind::kKey, {}, {}, 0};
    if (facts_.relay_port == 0) return refuse(id, Refusal::kNotJoined);
    const PublicKey key = state_.key->public_key();
    if (key.is_zero()) return refuse(id, Refusal::kZeroKey);
    if (configured_.contains(key)) refuse(id, Refusal::kConfiguredKey);
  }

  [[nodiscard]] bool is_parking(const IpAddress& address) const {
    return facts_.relay_port != 0 && loopback().contains(address) && !services().contains(address);
  }

  [[nodiscard]] std::optional<Refusal> judge_place(const TailnetPeer& peer) {
    if (peer.parking && (!is_parking(*peer.parking) || !parked_.insert(*peer.parking).second))
      return Refusal::kBadParking;
    if (!peer.endpoint) return std::nullopt;
    if (peer.parking && *peer.endpoint == Endpoint{*peer.parking, facts_.relay_port})
      return std::nullopt;
    if (is_bad(*peer.endpoint)) return Refusal::kBadEndpoint;
    return std::nullopt;
  }

  void check_address(const Prefix& address) {
    const ObjectId id{ObjectKind::kAddress, {}, address, 0};
    if (address.length != address.address.bits()) return refuse(id, Refusal::kBadPrefix);
    if (const auto bad = shape_of(address)) return refuse(id, *bad);
    if (own_elsewhere_.has(address.address)) return refuse(id, Refusal::kOwnAddress);
    if (networks_.has(address.address)) return refuse(id, Refusal::kConnectedPrefix);
    if (taken_.has(address.address)) refuse(id, Refusal::kTakenPrefix);
  }

  [[nodiscard]] std::optional<Refusal> judge(const Prefix& prefix) {
    if (const auto bad = shape_of(prefix)) return bad;
    const IpRange range = prefix.range();
    if (networks_.overlaps(range)) return Refusal::kConnectedPrefix;
    if (own_.overlaps(range)) return Refusal::kOwnAddress;
    if (taken_.overlaps(range) || !given_.insert(prefix).second) return Refusal::kTakenPrefix;
    return std::nullopt;
  }

  void check_peer(const PublicKey& key, const TailnetPeer& peer) {
    const ObjectId id{ObjectKind::kPeer, key, {}, 0};
    if (key.is_zero() || peer.node_key != key) return refuse(id, Refusal::kZeroKey);
    if (key == own_key_) return refuse(id, Refusal::kOwnKey);
    if (configured_.contains(key)) return refuse(id, Refusal::kConfiguredKey);
    if (const auto bad = judge_place(peer)) return refuse(id, *bad);
    for (const auto& alias : {peer.masquerade_v4, peer.masquerade_v6}) {
      if (!alias) continue;
      if (shape_of(Prefix::host(*alias))) return refuse(id, Refusal::kBadPrefix);
      if (own_.has(*alias)) return refuse(id, Refusal::kOwnAddress);
      if (networks_.has(*alias)) return refuse(id, Refusal::kConnectedPrefix);
    }
    for (const Prefix& prefix : peer.allowed_ips) {
      if (const auto bad = judge(prefix)) return refuse(id, *bad);
    }
  }

  void check_route(const Prefix& prefix) {
    const ObjectId id{ObjectKind::kRoute, {}, prefix, 0};
    if (prefix.has_host_bits()) return refuse(id, Refusal::kBadPrefix);
    if (prefix.length == 0) return;  // the exit: what it reaches is bounded by rules
    const IpRange range = prefix.range();
    const auto overlaps = [&](const IpRange& other) { return other.overlaps(range); };
    if (std::ranges::any_of(no_host(), overlaps) || is_link_local(prefix.address))
      return refuse(id, Refusal::kBadPrefix);
    if (taken_.overlaps(range)) refuse(id, Refusal::kTakenPrefix);
  }

  void check_rule(uint16_t position, const Rule& rule) {
    const bool formed = !rule.from.empty() && !rule.to.empty() &&
                        normalise(rule.from) == rule.from && normalise(rule.to) == rule.to;
    if (!formed) refuse({ObjectKind::kRule, {}, {}, position}, Refusal::kBadRule);
  }

  const NodeState& state_;
  const Config& config_;
  const BoundsFacts& facts_;
  RangeSet own_;            // all addresses of the box
  RangeSet own_elsewhere_;  // but those that the node itself gave it
  RangeSet networks_;       // connected or configured LANs and WANs
  RangeSet taken_;          // by configured peers
  std::set<Prefix> given_;  // to tailnet peers
  std::set<IpAddress> parked_;
  PublicKey own_key_;
  std::set<PublicKey> configured_;
  std::map<PublicKey, uint16_t> ports_;
  std::vector<Refused> refused_;
};

}  // namespace

std::vector<Refused> check_bounds(const NodeState& state, const Config& config,
                                  const BoundsFacts& facts) {
  return Bounds(state, config, facts).run();
}

std::optional<Refusal> check_steps(const PathSteps& path, const NodeState& state,
                                   const Config& config, const BoundsFacts& facts) {
  const auto found = state.peers.find(path.peer);
  if (found == state.peers.end() || found->second.wireguard_only) return Refusal::kUnknownPeer;
  if (!found->second.parking) return Refusal::kBadParking;
  const auto is_ours = [&](const IpAddress& address) {
    return std::ranges::any_of(facts.devices, [&](const Device& device) {
      return std::ranges::any_of(device.addresses,
                                 [&](const Prefix& one) { return one.address == address; });
    });
  };
  const auto is_place = [&](const Endpoint& endpoint) {
    return endpoint.port != 0 && !contains(no_host(), endpoint.address) &&
           !is_ours(endpoint.address);
  };
  const auto is_port_of = [&](const DirectPath& to) {
    return std::ranges::any_of(facts.devices, [&](const Device& device) {
      return device.index == to.ifindex && !device.loopback && device.name != config.node.device &&
             std::ranges::any_of(device.addresses,
                                 [&](const Prefix& one) { return one.address == to.ours; });
    });
  };
  for (const KernelStep& step : path.steps) {
    const bool good =
        std::visit(Overloaded{
                       [&](const SetPin& s) { return is_place(s.path.peer) && is_port_of(s.path); },
                       [&](const ClearPin&) { return true; },
                       [&](const SetReverse& s) { return is_place(s.from); },
                       [&](const ClearReverse&) { return true; },
                       [&](const PointAt& s) { return !s.endpoint || is_place(*s.endpoint); },
                   },
                   step);
    if (!good) return Refusal::kBadEndpoint;
  }
  return std::nullopt;
}

WithinBounds keep_within_bounds(NodeState state, const Config& config, const BoundsFacts& facts) {
  WithinBounds out{std::move(state), {}};
  // One round after the other: complaints are bounded, and what goes may be what another one was
  // refused for.
  for (;;) {
    const std::vector<Refused> refused = check_bounds(out.state, config, facts);
    if (refused.empty()) return out;
    const NodeState before = out.state;
    for (const Refused& one : refused) erase(out.state, one.object);
    out.dropped.insert(out.dropped.end(), refused.begin(), refused.end());
    // About no single object: nothing of it can stay.
    if (out.state == before) {
      out.state = {};
      out.state.clock = before.clock;
    }
  }
}

std::vector<NamedPeer> named_peers(const Config& config) {
  std::vector<NamedPeer> named;
  for (const PeerConfig& peer : config.peers) {
    if (auto name = HostPort::parse_name(peer.endpoint))
      named.push_back({peer.public_key, std::move(name->host), name->port});
  }
  return named;
}

}  // namespace sallyport
