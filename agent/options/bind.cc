// SPDX-License-Identifier: BSD-3-Clause
#include "agent/options/bind.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sallyport::options {
namespace {

using Seconds = std::chrono::seconds;

template <class T>
T take(Value& value) {
  assert(std::holds_alternative<T>(value));
  return std::move(*std::get_if<T>(&value));
}

struct Binding {
  std::string_view path;
  void (*store)(Draft&, Value&, Mark);
};

constexpr Binding kBindings[] = {
    {"version", [](Draft&, Value&, Mark) {}},

    {"node.hostname",
     [](Draft& d, Value& v, Mark) { d.config.node.hostname = take<std::string>(v); }},
    {"node.device", [](Draft& d, Value& v, Mark) { d.config.node.device = take<std::string>(v); }},
    {"node.wg_port",
     [](Draft& d, Value& v, Mark) {
       d.config.node.wg_port = static_cast<uint16_t>(take<uint64_t>(v));
     }},
    {"node.addresses[]",
     [](Draft& d, Value& v, Mark m) {
       d.config.node.addresses.push_back(take<Prefix>(v));
       d.addresses.push_back(m);
     }},
    {"node.private_key",
     [](Draft& d, Value& v, Mark) {
       auto secret = take<SecretValue>(v);
       d.config.node.private_key_file = std::move(secret.file);
       if (secret.key) d.config.node.private_key = PrivateKey::parse(secret.key->reveal_text());
     }},
    {"node.public_endpoint",
     [](Draft& d, Value& v, Mark) { d.config.node.public_endpoint = take<std::string>(v); }},
    {"node.dns[]",
     [](Draft& d, Value& v, Mark) { d.config.node.dns.push_back(take<IpAddress>(v)); }},
    {"node.deny",
     [](Draft& d, Value& v, Mark) {
       d.config.node.deny = take<std::string>(v) == "drop" ? Deny::kDrop : Deny::kReject;
     }},

    {"dataplane.flows",
     [](Draft& d, Value& v, Mark) {
       d.config.dataplane.flows = static_cast<uint32_t>(take<uint64_t>(v));
     }},
    {"dataplane.flows_per_peer",
     [](Draft& d, Value& v, Mark m) {
       d.config.dataplane.flows_per_peer = static_cast<uint32_t>(take<uint64_t>(v));
       d.flows_per_peer = m;
     }},
    {"dataplane.timeouts.tcp",
     [](Draft& d, Value& v, Mark) { d.config.dataplane.timeouts.tcp = take<Seconds>(v); }},
    {"dataplane.timeouts.tcp_opening",
     [](Draft& d, Value& v, Mark) { d.config.dataplane.timeouts.tcp_opening = take<Seconds>(v); }},
    {"dataplane.timeouts.tcp_closing",
     [](Draft& d, Value& v, Mark) { d.config.dataplane.timeouts.tcp_closing = take<Seconds>(v); }},
    {"dataplane.timeouts.udp",
     [](Draft& d, Value& v, Mark) { d.config.dataplane.timeouts.udp = take<Seconds>(v); }},
    {"dataplane.timeouts.icmp",
     [](Draft& d, Value& v, Mark) { d.config.dataplane.timeouts.icmp = take<Seconds>(v); }},
    {"dataplane.timeouts.other",
     [](Draft& d, Value& v, Mark) { d.config.dataplane.timeouts.other = take<Seconds>(v); }},
    {"dataplane.table",
     [](Draft& d, Value& v, Mark m) {
       d.config.dataplane.table = static_cast<uint32_t>(take<uint64_t>(v));
       d.table = m;
     }},
    {"dataplane.priority",
     [](Draft& d, Value& v, Mark) {
       d.config.dataplane.priority = static_cast<uint32_t>(take<uint64_t>(v));
     }},
    {"dataplane.fwmark",
     [](Draft& d, Value& v, Mark) { d.config.dataplane.fwmark = take<Fwmark>(v); }},

    {"metrics", [](Draft& d, Value& v, Mark) { d.config.metrics = take<std::string>(v); }},

    {"join.url", [](Draft& d, Value& v, Mark) { d.config.join->url = take<std::string>(v); }},
    {"join.auth_key",
     [](Draft& d, Value& v, Mark) { d.config.join->auth_key = take<TokenValue>(v).text; }},
    {"join.advertise_routes[]",
     [](Draft& d, Value& v, Mark m) {
       d.config.join->prefs.advertise_routes.push_back(take<Prefix>(v));
       d.advertised.push_back(m);
     }},
    {"join.advertise_exit_node",
     [](Draft& d, Value& v, Mark) { d.config.join->advertise_exit_node = take<bool>(v); }},
    {"join.accept_routes",
     [](Draft& d, Value& v, Mark) { d.config.join->prefs.accept_routes = take<bool>(v); }},
    {"join.snat",
     [](Draft& d, Value& v, Mark m) {
       const auto one = take<PrefixSwitch>(v);
       d.config.join->prefs.snat.insert_or_assign(one.prefix, one.on);
       d.snat.insert_or_assign(one.prefix, m);
     }},
    {"join.snat_subnet_routes",
     [](Draft& d, Value& v, Mark) { d.config.join->snat_by_default = take<bool>(v); }},
    {"join.ca", [](Draft& d, Value& v, Mark) { d.config.join->ca_file = take<std::string>(v); }},
    {"join.max_netmap_age",
     [](Draft& d, Value& v, Mark) { d.config.join->max_netmap_age = take<Seconds>(v); }},

    {"peers[].name",
     [](Draft& d, Value& v, Mark m) {
       d.config.peers.back().name = take<std::string>(v);
       d.peers.back().name = m;
     }},
    {"peers[].public_key",
     [](Draft& d, Value& v, Mark m) {
       d.config.peers.back().public_key = take<PublicKey>(v);
       d.peers.back().public_key = m;
     }},
    {"peers[].allowed_ips[]",
     [](Draft& d, Value& v, Mark m) {
       d.config.peers.back().allowed_ips.push_back(take<Prefix>(v));
       d.peers.back().allowed_ips.push_back(m);
     }},
    {"peers[].endpoint",
     [](Draft& d, Value& v, Mark m) {
       d.config.peers.back().endpoint = take<std::string>(v);
       d.peers.back().endpoint = m;
     }},
    {"peers[].preshared_key",
     [](Draft& d, Value& v, Mark) {
       d.config.peers.back().preshared_key = take<SecretValue>(v).key;
     }},
    {"peers[].keepalive",
     [](Draft& d, Value& v, Mark) {
       d.config.peers.back().keepalive_s = static_cast<uint16_t>(take<Seconds>(v).count());
     }},

    {"groups.NAME[]",
     [](Draft& d, Value& v, Mark m) {
       d.config.groups[d.group].push_back({take<std::string>(v), d.at(m)});
     }},

    {"lan[].name",
     [](Draft& d, Value& v, Mark m) {
       d.config.lans.back().name = take<std::string>(v);
       d.lans.back().name = m;
     }},
    {"lan[].prefix",
     [](Draft& d, Value& v, Mark m) {
       d.config.lans.back().prefix = take<Prefix>(v);
       d.lans.back().prefix = m;
     }},
    {"lan[].device",
     [](Draft& d, Value& v, Mark m) {
       d.config.lans.back().device = take<std::string>(v);
       d.lans.back().device = m;
     }},
    {"lan[].snat", [](Draft& d, Value& v, Mark) { d.config.lans.back().snat = take<bool>(v); }},

    {"exit.ipv4", [](Draft& d, Value& v, Mark) { d.config.exit->ipv4 = take<bool>(v); }},
    {"exit.ipv6",
     [](Draft& d, Value& v, Mark) {
       d.config.exit->ipv6 = take<std::string>(v) == "nat" ? ExitV6::kNat : ExitV6::kOff;
     }},
    {"exit.device[]",
     [](Draft& d, Value& v, Mark m) {
       d.config.exit->devices.push_back(take<std::string>(v));
       d.exit_devices.push_back(m);
     }},

    {"rules[].id",
     [](Draft& d, Value& v, Mark m) {
       d.rule().id = take<std::string>(v);
       d.rule_marks().id = m;
       d.rule_marks().named = true;
     }},
    {"rules[].from[]",
     [](Draft& d, Value& v, Mark m) { d.rule().from.push_back({take<std::string>(v), d.at(m)}); }},
    {"rules[].to[]",
     [](Draft& d, Value& v, Mark m) { d.rule().to.push_back({take<std::string>(v), d.at(m)}); }},
    {"rules[].proto[]",
     [](Draft& d, Value& v, Mark m) {
       d.rule().protos.push_back(take<IpProto>(v));
       d.rule_marks().protos.push_back(m);
     }},
    {"rules[].ports[]",
     [](Draft& d, Value& v, Mark m) {
       d.rule().ports.push_back(take<PortRange>(v));
       d.rule_marks().ports.push_back(m);
     }},
    {"rules[].when[]",
     [](Draft& d, Value& v, Mark m) {
       d.rule().when.push_back(take<TimeWindow>(v));
       d.rule_marks().when.push_back(m);
     }},
    {"rules[].not_before",
     [](Draft& d, Value& v, Mark m) {
       d.rule().not_before = take<WallTime>(v);
       d.rule_marks().not_before = m;
     }},
    {"rules[].not_after",
     [](Draft& d, Value& v, Mark m) {
       d.rule().not_after = take<WallTime>(v);
       d.rule_marks().not_after = m;
     }},
};

constexpr const Binding* find_binding(std::string_view path) {
  for (const Binding& binding : kBindings) {
    if (binding.path == path) return &binding;
  }
  return nullptr;
}

constexpr bool every_key_is_bound() {
  for (const Option& option : kOptions) {
    const bool leaf = option.kind != Kind::kMap && option.kind != Kind::kNamedLists;
    const bool wanted = leaf && option.since != Since::kLater;
    if (wanted != (find_binding(option.path) != nullptr)) return false;
  }
  return true;
}
static_assert(every_key_is_bound());

}  // namespace

void open_section(Draft& draft, std::string_view path, Mark mark) {
  if (path == "ceiling[]") draft.config.ceiling.emplace();
  if (path == "node") draft.config.node.where = draft.at(mark);
  if (path == "join") draft.config.join.emplace().where = draft.at(mark);
  if (path == "exit") draft.config.exit.emplace().where = draft.at(mark);
}

void add_element(Draft& draft, std::string_view path, Mark mark) {
  const Position where = draft.at(mark);
  if (path == "peers[]") {
    draft.config.peers.emplace_back().where = where;
    draft.peers.emplace_back();
  } else if (path == "lan[]") {
    draft.config.lans.emplace_back().where = where;
    draft.lans.emplace_back();
  } else {
    draft.in_ceiling = path == "ceiling[]";
    auto& rules = draft.in_ceiling ? *draft.config.ceiling : draft.config.rules;
    const std::string number = std::to_string(rules.size() + 1);
    RuleConfig& rule = rules.emplace_back();
    rule.id = (draft.in_ceiling ? "ceiling-" : "rule-") + number;
    rule.where = where;
    (draft.in_ceiling ? draft.ceiling : draft.rules).emplace_back();
  }
}

void store(Draft& draft, const Option& option, Value value, Mark mark) {
  const Binding* binding = find_binding(option.path);
  assert(binding != nullptr);
  binding->store(draft, value, mark);
}

}  // namespace sallyport::options
