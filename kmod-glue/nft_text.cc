// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/nft_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>

namespace sallyport {
namespace {

constexpr PortRange kPorts{20000, 50000};
// Source: IFNAMSIZ less the NUL.
constexpr size_t kDeviceNameMost = 15;

bool is_plain(std::string_view device) {
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view{"._-@+"}.find(static_cast<char>(c)) != std::string_view::npos;
  };
  return !device.empty() && device.size() <= kDeviceNameMost && std::ranges::all_of(device, plain);
}

std::string destination(const Masquerade& m) {
  const std::string family = m.family == Family::kV4 ? "ipv4" : "ipv6";
  if (!m.to || m.to->length == 0) return "meta nfproto " + family;
  return fmt::format("{} daddr {}", m.family == Family::kV4 ? "ip" : "ip6", m.to->masked().text());
}

std::string masquerade_rules(const NftTable& table, const Masquerade& m, PortRange ports) {
  const std::string match = fmt::format("    iifname \"{}\" oifname \"{}\" {}", table.wg_device,
                                        m.device, destination(m));
  return fmt::format(
      "{0} meta l4proto {{ tcp, udp }} masquerade to :{1}-{2}\n"
      "{0} masquerade\n",
      match, ports.first, ports.last);
}

std::string guard_rule(const NftTable& table, const std::string& wan, std::string_view family,
                       PortRange ports) {
  const std::string ours = table.agent_port == 0
                               ? fmt::format("{}", table.wg_port)
                               : fmt::format("{{ {}, {} }}", table.wg_port, table.agent_port);
  return fmt::format(
      "    oifname \"{}\" meta nfproto {} udp sport {} fib saddr type != local"
      " masquerade to :{}-{}\n",
      wan, family, ours, ports.first, ports.last);
}

/// Both ways between WireGuard and the node's relay socket, before conntrack sees them.
std::string untracked_rules(const NftTable& table) {
  if (table.wg_port == 0 || table.relay_port == 0) return {};
  const std::string pair = fmt::format("udp sport . udp dport {{ {0} . {1}, {1} . {0} }} notrack",
                                       table.relay_port, table.wg_port);
  return fmt::format(
      "  chain relay_out {{\n"
      "    type filter hook output priority raw; policy accept;\n"
      "    oifname \"lo\" {0}\n"
      "  }}\n"
      "  chain relay_in {{\n"
      "    type filter hook prerouting priority raw; policy accept;\n"
      "    iifname \"lo\" {0}\n"
      "  }}\n",
      pair);
}

/// Without a masquerade somewhere, an IPv6 LAN host has an address of its own and its port is no
/// matter to us; so IPv6 is guarded only where we translate it ourselves.
std::string guard_rules(const NftTable& table, PortRange ports) {
  if (table.wg_port == 0) return {};
  std::string rules;
  for (const std::string& wan : table.wan_devices) {
    rules += guard_rule(table, wan, "ipv4", ports);
    const bool translates_v6 = std::ranges::any_of(table.masquerades, [&](const Masquerade& m) {
      return m.device == wan && m.family == Family::kV6;
    });
    if (translates_v6) rules += guard_rule(table, wan, "ipv6", ports);
  }
  return rules;
}

Result<void> check_names(const NftTable& table) {
  std::vector<std::string> names = table.wan_devices;
  for (const Masquerade& m : table.masquerades) {
    names.push_back(m.device);
    if (m.to && m.to->address.is_v4() != (m.family == Family::kV4)) {
      return fail(EAFNOSUPPORT, "masquerade to " + m.to->text());
    }
  }
  if (!table.masquerades.empty()) names.push_back(table.wg_device);
  for (const std::string& name : names) {
    if (!is_plain(name)) return fail(EINVAL, "name device '" + name + "' in an nftables rule");
  }
  return {};
}

}  // namespace

PortRange masquerade_ports(uint16_t wg_port, uint16_t agent_port) {
  std::array<int, 4> edges{
      kPorts.first - 1, std::clamp<int>(wg_port, kPorts.first - 1, kPorts.last + 1),
      std::clamp<int>(agent_port, kPorts.first - 1, kPorts.last + 1), kPorts.last + 1};
  std::ranges::sort(edges);
  PortRange best{};
  int longest = 0;
  for (size_t i = 0; i + 1 < edges.size(); ++i) {
    const int length = edges.at(i + 1) - edges.at(i) - 1;
    if (length < longest) continue;  // of two alike the upper one
    longest = length;
    best = {static_cast<uint16_t>(edges.at(i) + 1), static_cast<uint16_t>(edges.at(i + 1) - 1)};
  }
  return best;
}

Result<std::string> render_nft(const NftTable& table) {
  TRY(check_names(table));
  const PortRange ports = masquerade_ports(table.wg_port, table.agent_port);
  std::string masquerades;
  for (const Masquerade& m : table.masquerades) masquerades += masquerade_rules(table, m, ports);
  // Our masquerade stands where everybody's does (srcnat = 100); the guard one step earlier.
  return fmt::format(
      "{}"
      "table inet {} {{\n"
      "  chain guard {{\n"
      "    type nat hook postrouting priority 99; policy accept;\n"
      "{}"
      "  }}\n"
      "  chain postrouting {{\n"
      "    type nat hook postrouting priority srcnat; policy accept;\n"
      "{}"
      "  }}\n"
      "{}"
      "}}\n",
      render_nft_removal(), kNftTable, guard_rules(table, ports), masquerades,
      untracked_rules(table));
}

std::string render_nft_removal() {
  // "add" first: deleting what is not there would fail the whole transaction.
  return fmt::format("add table inet {0}\ndelete table inet {0}\n", kNftTable);
}

}  // namespace sallyport
