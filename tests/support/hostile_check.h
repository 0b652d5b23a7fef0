// SPDX-License-Identifier: BSD-3-Clause
/// One hostile epoch after another through stage, bounds, plan and reconcile; says what got through
/// that must not.
#pragma once

#include <string>

#include "agent/guard/bounds.h"
#include "agent/guard/confine.h"
#include "agent/guard/plan.h"
#include "agent/guard/reconcile.h"
#include "agent/guard/stage.h"
#include "agent/policy/special_ranges.h"
#include "tests/support/hostile_node.h"

namespace sallyport {

struct HostileCheck {
  Victim victim;
  Stage stage;
  NodeState accepted;
  KernelState kernel;
  size_t taken = 0;    // epochs that passed the bounds
  size_t refused = 0;  // and that did not

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
    PlanFacts plan_facts;
    plan_facts.devices = victim.devices;
    const KernelState desired = plan(victim.config, accepted, plan_facts);
    for (const Operation& operation : reconcile(desired, kernel)) {
      if (std::string wrong = judge(operation); !wrong.empty()) return wrong;
    }
    kernel = desired;
    return judge_rules();
  }

 private:
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
      if (nft->table != *plan(victim.config, {}, facts()).nft) return "nft follows the node";
    }
    if (std::holds_alternative<SetSysctl>(operation) ||
        std::holds_alternative<SetOffload>(operation))
      return "a setting follows the node";
    return "";
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
