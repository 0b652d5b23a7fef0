// SPDX-License-Identifier: BSD-3-Clause
#include "agent/guard/plan.h"

#include <algorithm>
#include <set>
#include <utility>

#include "agent/guard/port_set.h"
#include "agent/guard/sysctl_keys.h"

namespace sallyport {
namespace {

std::string accept_ra_key(const std::string& device) {
  return "net/ipv6/conf/" + device + "/accept_ra";
}

Family family_of(const Prefix& prefix) {
  return prefix.address.is_v4() ? Family::kV4 : Family::kV6;
}

template <class T>
void sort_unique(std::vector<T>& values) {
  std::ranges::sort(values);
  const auto rest = std::ranges::unique(values);
  values.erase(rest.begin(), rest.end());
}

bool is_ours(const Config& config, const Device& device) {
  return device.name == config.node.device;
}

uint16_t wg_port(const Config& config, const PlanFacts& facts) {
  return config.node.wg_port != 0 ? config.node.wg_port : facts.wg_port;
}

std::vector<std::string> default_route_devices(const Config& config,
                                               const std::vector<Device>& devices) {
  std::vector<std::string> names;
  for (const Device& device : devices) {
    if (device.default_route && !device.loopback && !is_ours(config, device))
      names.push_back(device.name);
  }
  sort_unique(names);
  return names;
}

/// Gives out prefixes, each to the first that asks.
class Claims {
 public:
  std::vector<Prefix> take(const std::vector<Prefix>& wanted) {
    std::vector<Prefix> got;
    for (const Prefix& prefix : wanted) {
      if (taken_.insert(prefix.masked()).second) got.push_back(prefix.masked());
    }
    std::ranges::sort(got);
    return got;
  }

 private:
  std::set<Prefix> taken_;
};

WgDevice plan_device(const Config& config, const NodeState& node, const PlanFacts& facts) {
  WgDevice device{.name = config.node.device,
                  .private_key = node.key ? node.key : facts.private_key,
                  .listen_port = wg_port(config, facts),
                  .fwmark = config.dataplane.fwmark.value,
                  .peers = {}};
  Claims claims;
  for (const PeerConfig& peer : config.peers) {
    std::optional<Endpoint> endpoint = Endpoint::parse(peer.endpoint);
    if (!endpoint && !peer.endpoint.empty()) {
      const auto found = node.endpoints.find(peer.public_key);
      if (found != node.endpoints.end()) endpoint = found->second;
    }
    device.peers.try_emplace(peer.public_key,
                             WgPeer{peer.public_key, peer.preshared_key, endpoint, peer.keepalive_s,
                                    claims.take(peer.allowed_ips)});
  }
  for (const auto& [key, peer] : node.peers) {
    if (device.peers.contains(key)) continue;
    device.peers.try_emplace(key, WgPeer{key, std::nullopt, peer.endpoint, peer.keepalive_s,
                                         claims.take(peer.allowed_ips)});
  }
  return device;
}

/// The two halves of a prefix that is not a single address.
std::pair<Prefix, Prefix> halves(const Prefix& prefix) {
  const unsigned offset = prefix.address.is_v4() ? 96 : 0;
  const auto length = static_cast<uint8_t>(prefix.length + 1);
  const unsigned bit = offset + prefix.length;
  Prefix upper{prefix.address, length};
  upper.address.bytes.at(bit / 8) |= static_cast<uint8_t>(0x80U >> (bit % 8));
  return {Prefix{prefix.address, length}, upper};
}

/// `prefix` without those of `holes` that are as large as it or smaller.
void cut_out(const Prefix& prefix, const std::vector<Prefix>& holes, std::vector<Prefix>& out) {
  const auto inside = [&](const Prefix& hole) {
    return hole.length >= prefix.length && hole.overlaps(prefix);
  };
  if (std::ranges::none_of(holes, inside)) {
    out.push_back(prefix);
    return;
  }
  if (std::ranges::any_of(holes, [&](const Prefix& hole) { return hole.masked() == prefix; }))
    return;
  const auto [lower, upper] = halves(prefix);
  // Only a hole that is smaller than `prefix` leads here, so the halves end at the holes.
  for (const Prefix& half : {lower, upper}) {
    std::vector<Prefix> here;
    std::ranges::copy_if(holes, std::back_inserter(here), [&](const Prefix& hole) {
      return hole.length >= half.length && hole.overlaps(half);
    });
    cut_out(half, here, out);
  }
}

std::vector<Prefix> connected_elsewhere(const Config& config, const std::vector<Device>& devices) {
  std::vector<Prefix> connected;
  for (const Device& device : devices) {
    if (device.loopback || is_ours(config, device)) continue;
    for (const Prefix& address : device.addresses) connected.push_back(address.masked());
  }
  sort_unique(connected);
  return connected;
}

std::vector<Route> plan_routes(const Config& config, const WgDevice& device,
                               const std::vector<Device>& devices) {
  const std::vector<Prefix> connected = connected_elsewhere(config, devices);
  std::vector<Route> routes;
  for (const auto& [key, peer] : device.peers) {
    for (const Prefix& allowed : peer.allowed_ips) {
      if (allowed.length == 0) continue;
      std::vector<Prefix> pieces;
      cut_out(allowed, connected, pieces);
      for (const Prefix& piece : pieces) {
        routes.push_back(Route{piece, RouteKind::kUnicast, device.name, config.dataplane.table, 0});
      }
    }
  }
  sort_unique(routes);
  return routes;
}

std::vector<RoutingRule> plan_rules(const DataplaneConfig& dataplane, bool holds_paths) {
  std::vector<RoutingRule> rules;
  if (holds_paths) {
    // A policy tool may have moved the local table behind the mark rules: packets for relays would
    // leave by a port.
    rules.push_back(RoutingRule{Family::kV4, dataplane.priority + kLoopbackRuleOffset, 0, 0,
                                Prefix{IpAddress::v4(0x7f000000), 8}, kLocalTable});
  }
  for (const Family family : {Family::kV4, Family::kV6}) {
    // WireGuard's own packets first: a peer whose address lies in its own allowed_ips would be
    // routed into itself.
    rules.push_back(RoutingRule{family, dataplane.priority + kMarkRuleOffset,
                                dataplane.fwmark.value, dataplane.fwmark.mask, std::nullopt,
                                kMainTable});
    rules.push_back(RoutingRule{family, dataplane.priority + kTableRuleOffset, 0, 0, std::nullopt,
                                dataplane.table});
  }
  std::ranges::sort(rules);
  return rules;
}

/// Where a prefix without a device of its own is reached: the longest connected prefix decides, as
/// in the kernel, then its routes.
std::optional<std::string> device_towards(const Prefix& prefix, const PlanFacts& facts) {
  const Device* best = nullptr;
  int best_length = -1;
  for (const Device& device : facts.devices) {
    if (device.loopback || device.wireguard) continue;
    for (const Prefix& address : device.addresses) {
      if (address.length <= best_length || !address.overlaps(prefix)) continue;
      best = &device;
      best_length = address.length;
    }
  }
  if (best != nullptr) return best->name;
  const auto routed = facts.lan_devices.find(prefix);
  if (routed != facts.lan_devices.end()) return routed->second;
  return std::nullopt;
}

bool serves_exit(const NodeState& node, Family family) {
  return std::ranges::any_of(node.routes, [&](const auto& route) {
    return route.first.length == 0 && family_of(route.first) == family;
  });
}

/// Is what leaves for the internet in this family translated?
bool exits_by(const Config& config, const NodeState& node, Family family) {
  if (serves_exit(node, family)) return true;
  if (!config.exit) return false;
  return family == Family::kV4 ? config.exit->ipv4 : config.exit->ipv6 == ExitV6::kNat;
}

NftTable plan_nft(const Config& config, const NodeState& node, const PlanFacts& facts) {
  NftTable table{.wg_device = config.node.device,
                 .wg_port = wg_port(config, facts),
                 .masquerades = {},
                 .wan_devices = default_route_devices(config, facts.devices)};
  if (facts.holds_paths) {
    table.agent_port = facts.node_ports.agent;
    table.relay_port = facts.node_ports.relay;
  }
  for (const LanConfig& lan : config.lans) {
    if (!lan.snat) continue;
    if (const auto device = lan_device(lan, facts)) {
      table.masquerades.push_back(Masquerade{*device, lan.prefix, family_of(lan.prefix)});
    }
  }
  for (const auto& [prefix, snat] : node.routes) {
    if (!snat || prefix.length == 0) continue;
    if (const auto device = device_towards(prefix, facts)) {
      table.masquerades.push_back(Masquerade{*device, prefix, family_of(prefix)});
    }
  }
  std::vector<std::string> ways_out = exit_devices(config, facts.devices);
  if (serves_exit(node, Family::kV4) || serves_exit(node, Family::kV6)) {
    if (ways_out.empty()) ways_out = default_route_devices(config, facts.devices);
  }
  for (const std::string& device : ways_out) {
    for (const Family family : {Family::kV4, Family::kV6}) {
      if (exits_by(config, node, family))
        table.masquerades.push_back(Masquerade{device, std::nullopt, family});
    }
    table.wan_devices.push_back(device);
  }
  sort_unique(table.masquerades);
  sort_unique(table.wan_devices);
  return table;
}

/// Is there anything that IPv6 packets of a peer could be forwarded to?
bool serves_v6(const Config& config, const NodeState& node, const WgDevice& device) {
  if (config.exit && config.exit->ipv6 != ExitV6::kOff) return true;
  if (std::ranges::any_of(config.lans,
                          [](const LanConfig& lan) { return !lan.prefix.address.is_v4(); }))
    return true;
  if (std::ranges::any_of(node.routes,
                          [](const auto& route) { return !route.first.address.is_v4(); }))
    return true;
  const auto has_v6 = [](const auto& entry) {
    return std::ranges::any_of(entry.second.allowed_ips,
                               [](const Prefix& p) { return !p.address.is_v4(); });
  };
  return std::ranges::count_if(device.peers, has_v6) > 1;  // from peer to peer
}

/// Was the port free before our first change?
bool is_reserved_by_us(const PlanFacts& facts, uint16_t port) {
  const auto saved = facts.saved.sysctls.find(kReservedPorts);
  return port != 0 && saved != facts.saved.sysctls.end() && !has_port(saved->second, port);
}

std::map<std::string, std::string> wanted_sysctls(const Config& config, const NodeState& node,
                                                  const WgDevice& device, const PlanFacts& facts) {
  // The kernel itself turns send_redirects off when a WireGuard device comes up, and leaves it so.
  // Source: wireguard/device.c wg_open.
  std::map<std::string, std::string> wanted{{kForwardV4, "1"}, {kSendRedirectsV4, "0"}};
  const auto forwards = facts.sysctls.find(kForwardV4);
  if (facts.saved.sysctls.contains(kForwardV4) ||
      (forwards != facts.sysctls.end() && forwards->second != "1")) {
    wanted.emplace(kRedirectsV4, "0");
  }
  if (const auto found = facts.sysctls.find(kReservedPorts); found != facts.sysctls.end()) {
    std::string ports = found->second;
    for (const uint16_t port : {facts.node_ports.agent, facts.node_ports.relay}) {
      if (facts.holds_paths && port != 0) ports = with_port(ports, port);
      if (!facts.holds_paths && is_reserved_by_us(facts, port)) ports = without_port(ports, port);
    }
    wanted[kReservedPorts] = with_port(ports, device.listen_port);
  }
  if (facts.holds_paths) {
    // What WireGuard gets by lo for another way's packet has no route yet, and a source on lo.
    wanted[kLoRouteLocalnet] = "1";
    wanted[kLoAcceptLocal] = "1";
  }
  if (!serves_v6(config, node, device)) return wanted;
  wanted[kForwardV6] = "1";
  for (const std::string& wan : default_route_devices(config, facts.devices)) {
    // A forwarding host takes no router advertisement unless this is 2, and would lose its own
    // default route. 0 is the admin's decision.
    const std::string key = accept_ra_key(wan);
    const auto before = facts.saved.sysctls.find(key);
    const auto now = facts.sysctls.find(key);
    if (now == facts.sysctls.end()) continue;
    const std::string& value = before != facts.saved.sysctls.end() ? before->second : now->second;
    if (value == "1") wanted[key] = "2";
  }
  return wanted;
}

/// What we changed once and want no longer goes back to what it was.
void put_back_rest(KernelState& state, const PlanFacts& facts) {
  for (const auto& [key, value] : facts.saved.sysctls) {
    if (facts.sysctls.contains(key)) state.sysctls.try_emplace(key, value);
  }
  // Never changed by us, but the kernel sets it when forwarding goes off.
  const auto forwards = state.sysctls.find(kForwardV4);
  if (forwards != state.sysctls.end() && forwards->second == "0" &&
      facts.sysctls.contains(kRedirectsV4)) {
    state.sysctls.try_emplace(kRedirectsV4, "0");
  }
  for (const auto& [offload, on] : facts.saved.offloads) {
    if (facts.offloads.contains(offload)) state.offloads.try_emplace(offload, on);
  }
}

}  // namespace

std::vector<std::string> exit_devices(const Config& config, const std::vector<Device>& devices) {
  if (!config.exit) return {};
  if (!config.exit->devices.empty()) return config.exit->devices;
  return default_route_devices(config, devices);
}

std::optional<std::string> lan_device(const LanConfig& lan, const PlanFacts& facts) {
  if (!lan.device.empty()) return lan.device;
  return device_towards(lan.prefix, facts);
}

std::map<uint32_t, bool> port_roles(const Config& config, const std::vector<Device>& devices,
                                    const std::map<Prefix, std::string>& lan_devices,
                                    const std::map<Prefix, bool>& routes) {
  PlanFacts facts;
  facts.devices = devices;
  facts.lan_devices = lan_devices;
  std::vector<std::string> lans;
  for (const LanConfig& lan : config.lans) {
    if (auto device = lan_device(lan, facts)) lans.push_back(std::move(*device));
  }
  for (const auto& [prefix, snat] : routes) {
    if (prefix.length == 0) continue;
    if (auto device = device_towards(prefix, facts)) lans.push_back(std::move(*device));
  }
  std::vector<std::string> wans = default_route_devices(config, devices);
  const std::vector<std::string> exits = exit_devices(config, devices);
  wans.insert(wans.end(), exits.begin(), exits.end());
  const auto names = [](const std::vector<std::string>& all, const std::string& name) {
    return std::ranges::find(all, name) != all.end();
  };
  std::map<uint32_t, bool> roles;
  for (const Device& device : devices) {
    if (device.loopback || is_ours(config, device)) continue;
    roles[device.index] = names(wans, device.name) && !names(lans, device.name);
  }
  return roles;
}

std::vector<std::string> sysctl_keys(const Config& config, const std::vector<Device>& devices,
                                     const Saved& saved) {
  std::vector<std::string> keys{kForwardV4,     kForwardV6,       kRedirectsV4,  kSendRedirectsV4,
                                kReservedPorts, kLoRouteLocalnet, kLoAcceptLocal};
  for (const std::string& device : default_route_devices(config, devices)) {
    keys.push_back(accept_ra_key(device));
  }
  for (const auto& [key, value] : saved.sysctls) keys.push_back(key);
  sort_unique(keys);
  return keys;
}

KernelState plan(const Config& config, const NodeState& node, const PlanFacts& facts) {
  KernelState state;
  state.wireguard = plan_device(config, node, facts);
  state.link = Link{.mtu = kWgMtu, .up = true};
  state.addresses = config.node.addresses;
  state.addresses.insert(state.addresses.end(), node.addresses.begin(), node.addresses.end());
  sort_unique(state.addresses);
  state.routes = plan_routes(config, *state.wireguard, facts.devices);
  state.rules = plan_rules(config.dataplane, facts.holds_paths);
  state.nft = plan_nft(config, node, facts);
  for (const auto& [key, value] : wanted_sysctls(config, node, *state.wireguard, facts)) {
    if (facts.sysctls.contains(key)) state.sysctls.emplace(key, value);
  }

  state.attachments = {{config.node.device, Hook::kTailnetIn},
                       {config.node.device, Hook::kTailnetOut}};
  for (const Device& device : facts.devices) {
    if (device.loopback && facts.holds_paths) {
      state.attachments.push_back({device.name, Hook::kLoopback});
    }
    if (device.loopback || is_ours(config, device)) continue;
    state.attachments.push_back({device.name, Hook::kPortIn});
    if (facts.holds_paths) state.attachments.push_back({device.name, Hook::kPortOut});
    if (!device.ethernet) continue;
    // A list of datagrams hides what follows the first; joined ones (UDP GRO) do not, and forward
    // cheaper.
    for (const auto& [feature, on] :
         {std::pair{"rx-udp-gro-forwarding", true}, std::pair{"rx-gro-list", false}}) {
      const Offload offload{device.name, feature};
      if (facts.offloads.contains(offload)) state.offloads.emplace(offload, on);
    }
  }
  sort_unique(state.attachments);
  put_back_rest(state, facts);
  return state;
}

KernelState plan_nothing(const PlanFacts& facts) {
  KernelState state;
  put_back_rest(state, facts);
  // Ports that others reserved since are not ours to release.
  const auto saved = facts.saved.sysctls.find(kReservedPorts);
  const auto now = facts.sysctls.find(kReservedPorts);
  if (saved != facts.saved.sysctls.end() && now != facts.sysctls.end()) {
    std::string ports = now->second;
    for (const uint16_t port : {facts.wg_port, facts.node_ports.agent, facts.node_ports.relay}) {
      if (is_reserved_by_us(facts, port)) ports = without_port(ports, port);
    }
    state.sysctls[kReservedPorts] = ports;
  }
  return state;
}

}  // namespace sallyport
