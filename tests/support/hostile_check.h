// SPDX-License-Identifier: BSD-3-Clause
/// One hostile epoch after another through stage, bounds, plan and reconcile, and packets at the
/// edges through the tables that come of it; says what got through that must not.
#pragma once

#include <algorithm>
#include <iterator>
#include <string>

#include "agent/guard/bounds.h"
#include "agent/guard/confine.h"
#include "agent/guard/plan.h"
#include "agent/guard/reconcile.h"
#include "agent/guard/stage.h"
#include "agent/policy/naive.h"
#include "agent/policy/resolve.h"
#include "agent/policy/special_ranges.h"
#include "tests/support/hostile_node.h"

namespace sallyport {

struct HostileCheck {
  Victim victim;
  Stage stage;
  NodeState accepted;
  KernelState kernel;
  size_t taken = 0;      // epochs that passed the bounds
  size_t refused = 0;    // and that did not
  size_t withdrawn = 0;  // objects that move_lan() took back
  size_t allowed = 0;    // packets that judge_packets() saw pass

  HostileCheck() {
    victim.config.rules = {rule({"named"}, {"office"}, {IpProto::kTcp}, {{22, 443}})};
    victim.config.ceiling = std::vector{rule({"*"}, {"office", "203.0.113.0/24"}, {}, {{22, 443}}),
                                        rule({"100.64.0.0/10"}, {"*"}, {IpProto::kUdp}, {})};
  }

  /// Empty, or what is wrong.
  std::string commit() {
    auto wish = stage.on_commit(stage.epoch(), Instant{});
    if (!wish) return "an epoch in order was not staged";
    const BoundsFacts facts{victim.own_key, victim.devices};
    if (!check_bounds(*wish, victim.config, facts).empty()) {
      ++refused;
      return "";
    }
    ++taken;
    accepted = *wish;
    stage.settle(std::move(*wish));
    return converge();
  }

  /// The LAN's port gets another address, and what was accepted stays as far as it may. Empty, or
  /// what is wrong.
  std::string move_lan(const Prefix& to) {
    victim.devices[2].addresses = {to};
    const BoundsFacts now{victim.own_key, victim.devices};
    WithinBounds left = keep_within_bounds(accepted, victim.config, now);
    if (!check_bounds(left.state, victim.config, now).empty()) return "what is left is too much";
    if (left.dropped.empty() && left.state != accepted) return "something went without a word";
    withdrawn += left.dropped.size();
    accepted = left.state;
    stage.settle(std::move(left.state));
    kernel = plan(victim.config, {}, facts());  // without what it must take away
    return converge();
  }

  /// `count` first packets by the tables that the agent would load. `draw(n)`: 0 ... n-1.
  template <class Draw>
  std::string judge_packets(size_t count, Draw&& draw) {
    const auto all = resolve(victim.config, surroundings());
    if (!all) return "the victim's configuration: " + all.error().front().text();
    const PolicyInput input = policy_input(*all);
    const auto tables = compile(input);
    if (!tables) return "";  // refused, and what ran before goes on
    const PolicyInput ceiling = unbounded(input, *all->ceiling);
    const PolicyInput configured = unbounded(input, all->rules);
    const PolicyInput asked = unbounded(input, node_rules());
    const std::vector<IpAddress> edges = edges_of(input, asked);
    const auto any = [&](const auto& list) {
      return list[draw(static_cast<uint32_t>(list.size()))];
    };
    static const std::vector<IpProto> kProtos{IpProto::kTcp, IpProto::kUdp, IpProto::kIcmp,
                                              IpProto::kSctp};
    static const std::vector<uint16_t> kPorts{0, 21, 22, 53, 443, 444, 65535};
    for (size_t i = 0; i < count; ++i) {
      const PacketKey packet{any(edges), any(edges), any(kProtos), 1024, any(kPorts)};
      const NewFlow by_tables = judge_new_flow(tables->blob, packet);
      const std::string what = packet.src.text() + " -> " + packet.dst.text() + " " +
                               name_of(packet.proto) + " " + std::to_string(packet.dst_port);
      if (by_tables != judge_naively(input, packet)) return "tables and rules differ: " + what;
      if (by_tables.verdict > SP_LAST_ALLOW) continue;
      ++allowed;
      if (by_tables.counter == kOwnRuleCounter) {
        if (!contains(all->own, packet.src)) return "not from us: " + what;
        continue;
      }
      if (!passes(ceiling, packet)) return "above the ceiling: " + what;
      const bool of_node =
          passes(asked, packet) && is_tailnet(packet.src) && !is_configured(packet.dst);
      if (!passes(configured, packet) && !of_node) return "no rule opens it: " + what;
    }
    return "";
  }

 private:
  std::string converge() {
    const KernelState desired = plan(victim.config, accepted, facts());
    for (const Operation& operation : reconcile(desired, kernel)) {
      if (std::string wrong = judge(operation); !wrong.empty()) return wrong;
    }
    kernel = desired;
    return judge_rules();
  }
  static RuleConfig rule(std::vector<const char*> from, std::vector<const char*> to,
                         std::vector<IpProto> protos, std::vector<PortRange> ports) {
    RuleConfig out;
    out.id = "rule";
    for (const char* text : from) out.from.push_back({text, {}});
    for (const char* text : to) out.to.push_back({text, {}});
    out.protos = std::move(protos);
    out.ports = std::move(ports);
    return out;
  }
  static bool passes(const PolicyInput& input, const PacketKey& packet) {
    return judge_naively(input, packet).verdict <= SP_LAST_ALLOW;
  }
  [[nodiscard]] bool is_tailnet(const IpAddress& address) const {
    return std::ranges::any_of(accepted.peers, [&](const auto& peer) {
      return std::ranges::any_of(peer.second.allowed_ips,
                                 [&](const Prefix& prefix) { return prefix.contains(address); });
    });
  }
  [[nodiscard]] bool is_configured(const IpAddress& address) const {
    return std::ranges::any_of(victim.config.peers, [&](const PeerConfig& peer) {
      return std::ranges::any_of(peer.allowed_ips, [&](const Prefix& prefix) {
        return prefix.length != 0 && prefix.contains(address);
      });
    });
  }
  [[nodiscard]] std::vector<Rule> node_rules() const {
    std::vector<Rule> rules;
    for (const auto& [position, asked] : accepted.rules) rules.push_back(asked);
    return rules;
  }
  [[nodiscard]] Surroundings surroundings() const {
    Surroundings out;
    for (const Device& device : victim.devices) {
      out.own_addresses.insert(out.own_addresses.end(), device.addresses.begin(),
                               device.addresses.end());
    }
    return out;
  }
  /// As the agent puts it together.
  [[nodiscard]] PolicyInput policy_input(const ResolvedPolicy& all) const {
    PolicyInput input{.rules = all.rules,
                      .ceiling = all.ceiling,
                      .peers = {},
                      .own = all.own,
                      .exit_reach = all.exit_reach,
                      .exit_local = all.exit_local};
    std::vector<Rule> confined = confined_rules(accepted, victim.config);
    input.rules.insert(input.rules.end() - 1, confined.begin(), confined.end());
    uint16_t counter = kOwnRuleCounter;
    for (Rule& each : input.rules) {
      if (each.counter != kOwnRuleCounter) each.counter = ++counter;
    }
    uint32_t index = 0;
    for (const PeerConfig& peer : victim.config.peers)
      input.peers.push_back({++index, peer.allowed_ips});
    for (const auto& [key, peer] : accepted.peers)
      input.peers.push_back({++index, peer.allowed_ips});
    return input;
  }
  /// These rules alone, with nothing above them.
  static PolicyInput unbounded(const PolicyInput& input, std::vector<Rule> rules) {
    PolicyInput out = input;
    out.ceiling.reset();
    uint16_t counter = kOwnRuleCounter;
    for (Rule& each : rules) {
      if (each.counter != kOwnRuleCounter) each.counter = ++counter;
    }
    std::erase_if(rules, [](const Rule& each) { return each.counter == kOwnRuleCounter; });
    out.rules = std::move(rules);
    return out;
  }
  static std::vector<IpAddress> edges_of(const PolicyInput& input, const PolicyInput& asked) {
    std::vector<IpAddress> edges;
    const auto add = [&](const IpRange& range) {
      edges.push_back(range.first);
      edges.push_back(range.last);
      if (const auto before = range.first.previous()) edges.push_back(*before);
      if (const auto after = range.last.next()) edges.push_back(*after);
    };
    for (const auto* rules : {&input.rules, &*input.ceiling, &asked.rules}) {
      for (const Rule& each : *rules) {
        std::ranges::for_each(each.from, add);
        std::ranges::for_each(each.to, add);
      }
    }
    for (const PeerAddresses& peer : input.peers) {
      for (const Prefix& prefix : peer.addresses) add(prefix.range());
    }
    std::ranges::for_each(input.own, add);
    return edges;
  }

  static std::string device_of(const Operation& operation) {
    return std::visit(
        [](const auto& o) -> std::string {
          if constexpr (requires { o.device; }) return o.device;
          if constexpr (requires { o.route; }) return o.route.device;
          return "";
        },
        operation);
  }

  [[nodiscard]] bool is_foreign(const IpRange& range) const {
    for (const Device& device : victim.devices) {
      for (const Prefix& address : device.addresses) {
        const IpRange theirs = device.name == victim.config.node.device
                                   ? Prefix::host(address.address).range()
                                   : address.range();
        if (theirs.overlaps(range)) return true;
      }
    }
    for (const LanConfig& lan : victim.config.lans) {
      if (lan.prefix.range().overlaps(range)) return true;
    }
    return false;
  }

  std::string judge(const Operation& operation) {
    const std::string device = device_of(operation);
    if (!device.empty() && device != victim.config.node.device)
      return describe(operation).op + " touches " + device;
    if (const auto* add = std::get_if<AddRoute>(&operation)) return judge_route(add->route);
    if (const auto* gone = std::get_if<DeleteRoute>(&operation)) return judge_route(gone->route);
    if (const auto* rule = std::get_if<AddRoutingRule>(&operation)) {
      const uint32_t first = victim.config.dataplane.priority;
      if (rule->rule.priority < first || rule->rule.priority > first + 90) return "priority";
      if (rule->rule.mask != 0 && rule->rule.mask != victim.config.dataplane.fwmark.mask)
        return "mark";
    }
    if (const auto* set = std::get_if<SetDevice>(&operation)) {
      if (set->listen_port && *set->listen_port != victim.config.node.wg_port) return "port";
      if (set->fwmark && *set->fwmark != victim.config.dataplane.fwmark.value) return "mark";
    }
    if (const auto* set = std::get_if<SetPeer>(&operation)) return judge_peer(*set);
    if (const auto* nft = std::get_if<ReplaceNftTable>(&operation)) {
      if (nft->table != *plan(victim.config, served(), facts()).nft) return "nft follows the node";
    }
    if (const auto* set = std::get_if<SetSysctl>(&operation)) {
      const auto asked = plan(victim.config, served(), facts()).sysctls;
      const auto same = asked.find(set->key);
      if (same == asked.end() || same->second != set->value) return "a sysctl follows the node";
    }
    if (std::holds_alternative<SetOffload>(operation)) return "an offload follows the node";
    return "";
  }

  /// Of all that a node says, the routes that it serves are what settings and NAT may follow.
  [[nodiscard]] NodeState served() const {
    NodeState out;
    out.routes = accepted.routes;
    return out;
  }

  [[nodiscard]] PlanFacts facts() const {
    PlanFacts out;
    out.devices = victim.devices;
    return out;
  }

  std::string judge_route(const Route& route) {
    if (route.table != victim.config.dataplane.table) return "table";
    if (route.to.length == 0) return "default route";
    if (is_foreign(route.to.range())) return "route over " + route.to.text();
    return "";
  }

  std::string judge_peer(const SetPeer& set) {
    if (set.public_key.is_zero() || set.public_key == victim.own_key) return "key";
    for (const PeerConfig& peer : victim.config.peers) {
      if (peer.public_key != set.public_key) continue;
      if (set.allowed_ips) {
        auto configured = peer.allowed_ips;
        std::ranges::sort(configured);
        if (*set.allowed_ips != configured) return "a configured peer's allowed ips changed";
      }
      if (set.endpoint && peer.endpoint.find("vpn.example") == std::string::npos &&
          set.endpoint->text() != peer.endpoint)
        return "a configured endpoint changed";
      return set.endpoint ? judge_endpoint(*set.endpoint) : "";
    }
    if (set.preshared_key) return "preshared key";
    for (const Prefix& prefix : set.allowed_ips.value_or(std::vector<Prefix>{})) {
      if (prefix.length < 7 || is_foreign(prefix.range())) return "allowed " + prefix.text();
      for (const PeerConfig& peer : victim.config.peers) {
        for (const Prefix& theirs : peer.allowed_ips) {
          if (theirs.length != 0 && theirs.overlaps(prefix)) return "stolen " + prefix.text();
        }
      }
    }
    return set.endpoint ? judge_endpoint(*set.endpoint) : "";
  }

  std::string judge_endpoint(const Endpoint& endpoint) {
    const IpAddress& a = endpoint.address;
    const bool loops = Prefix::parse("127.0.0.0/8")->contains(a) || a == *IpAddress::parse("::1");
    if (endpoint.port == 0 || loops || is_multicast(a)) return "endpoint " + endpoint.text();
    for (const Device& device : victim.devices) {
      for (const Prefix& own : device.addresses) {
        if (own.address == a) return "endpoint is our own: " + endpoint.text();
      }
    }
    return "";
  }

  /// Nothing opens for a source that is no tailnet peer's, nor towards a configured peer.
  std::string judge_rules() {
    for (const Rule& rule : confined_rules(accepted, victim.config)) {
      for (const IpRange& from : rule.from) {
        if (is_foreign(from)) return "a rule for " + from.text();
      }
      for (const PeerConfig& peer : victim.config.peers) {
        for (const Prefix& theirs : peer.allowed_ips) {
          if (theirs.length == 0) continue;
          for (const IpRange& to : rule.to) {
            if (to.overlaps(theirs.range())) return "a rule towards " + peer.name;
          }
        }
      }
    }
    return "";
  }
};

}  // namespace sallyport
