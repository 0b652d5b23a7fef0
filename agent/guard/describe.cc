// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/format.h>

#include <algorithm>

#include "agent/base/overloaded.h"
#include "agent/guard/reconcile.h"

namespace sallyport {
namespace {

constexpr size_t kShownPrefixes = 8;  // a peer may have hundreds; a line has room for some

std::string joined(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string prefixes(const std::vector<Prefix>& list) {
  if (list.empty()) return "none";
  std::vector<std::string> texts;
  for (const Prefix& prefix : list) {
    if (texts.size() == kShownPrefixes) break;
    texts.push_back(prefix.text());
  }
  std::string out = fmt::format("{}", fmt::join(texts, " "));
  if (list.size() > kShownPrefixes) out += fmt::format(" and {} more", list.size() - texts.size());
  return out;
}

std::string_view name_of(Hook hook) {
  switch (hook) {
    case Hook::kTailnetIn:
      return "tailnet-in";
    case Hook::kTailnetOut:
      return "tailnet-out";
    case Hook::kPortIn:
      return "port-in";
    case Hook::kPortOut:
      return "port-out";
    case Hook::kLoopback:
      return "loopback";
  }
  return "";
}

std::string_view name_of(Family family) { return family == Family::kV4 ? "ipv4" : "ipv6"; }

std::string detail_of(const SetDevice& set) {
  std::vector<std::string> parts;
  if (set.private_key) parts.emplace_back("private key");
  if (set.listen_port) parts.push_back(fmt::format("listen port {}", *set.listen_port));
  if (set.fwmark) parts.push_back(fmt::format("fwmark {:#x}", *set.fwmark));
  return joined(parts);
}

std::string detail_of(const SetPeer& set) {
  std::vector<std::string> parts;
  if (set.create) parts.emplace_back("new");
  if (set.replace_preshared_key)
    parts.emplace_back(set.preshared_key ? "preshared key" : "no preshared key");
  if (set.endpoint) parts.push_back("endpoint " + set.endpoint->text());
  if (set.keepalive_s) {
    parts.push_back(*set.keepalive_s == 0 ? "no keepalive"
                                          : fmt::format("keepalive {} s", *set.keepalive_s));
  }
  if (set.allowed_ips) parts.push_back("allowed ips " + prefixes(*set.allowed_ips));
  return joined(parts);
}

std::string detail_of(const Route& route) {
  return route.kind == RouteKind::kUnreachable ? std::string("unreachable") : "dev " + route.device;
}
std::string object_of(const Route& route) {
  return fmt::format("{} table {}{}", route.to.text(), route.table,
                     route.metric == 0 ? "" : fmt::format(" metric {}", route.metric));
}

std::string object_of(const RoutingRule& rule) {
  return fmt::format("{} priority {}", name_of(rule.family), rule.priority);
}
std::string detail_of(const RoutingRule& rule) {
  std::string out;
  if (rule.mask != 0) out += fmt::format("fwmark {:#x}/{:#x} ", rule.mark, rule.mask);
  if (rule.to) out += fmt::format("to {} ", rule.to->text());
  return out + fmt::format("lookup {}", rule.table);
}

std::string detail_of(const NftTable& table) {
  std::vector<std::string> parts;
  parts.reserve(table.masquerades.size() + 1);
  for (const Masquerade& masquerade : table.masquerades) {
    parts.push_back(fmt::format(
        "masquerade {} on {}",
        masquerade.to ? masquerade.to->text() : fmt::format("exit {}", name_of(masquerade.family)),
        masquerade.device));
  }
  if (!table.wan_devices.empty()) {
    parts.push_back(
        fmt::format("guard port {} on {}", table.wg_port, fmt::join(table.wan_devices, " ")));
  }
  return joined(parts);
}

std::string peer_object(const std::string& device, const PublicKey& key) {
  return fmt::format("{} peer {}", device, key.text());
}

}  // namespace

Description describe(const Operation& operation) {
  return std::visit(
      Overloaded{
          [](const CreateLink& o) { return Description{"create-link", o.device, "wireguard"}; },
          [](const DeleteLink& o) { return Description{"delete-link", o.device, ""}; },
          [](const SetLink& o) {
            return Description{"set-link", o.device,
                               fmt::format("{}, mtu {}", o.link.up ? "up" : "down", o.link.mtu)};
          },
          [](const SetDevice& o) { return Description{"set-device", o.device, detail_of(o)}; },
          [](const SetPeer& o) {
            return Description{"set-peer", peer_object(o.device, o.public_key), detail_of(o)};
          },
          [](const RemovePeer& o) {
            return Description{"remove-peer", peer_object(o.device, o.public_key), ""};
          },
          [](const AddAddress& o) {
            return Description{"add-address", o.device, o.address.text()};
          },
          [](const DeleteAddress& o) {
            return Description{"delete-address", o.device, o.address.text()};
          },
          [](const AddRoute& o) {
            return Description{"add-route", object_of(o.route), detail_of(o.route)};
          },
          [](const DeleteRoute& o) {
            return Description{"delete-route", object_of(o.route), detail_of(o.route)};
          },
          [](const AddRoutingRule& o) {
            return Description{"add-rule", object_of(o.rule), detail_of(o.rule)};
          },
          [](const DeleteRoutingRule& o) {
            return Description{"delete-rule", object_of(o.rule), detail_of(o.rule)};
          },
          [](const ReplaceNftTable& o) {
            return Description{"replace-nft-table", o.table.wg_device, detail_of(o.table)};
          },
          [](const DeleteNftTable&) { return Description{"delete-nft-table", "", ""}; },
          [](const SetSysctl& o) { return Description{"set-sysctl", o.key, o.value}; },
          [](const SetOffload& o) {
            return Description{"set-offload", o.offload.device,
                               o.offload.feature + (o.on ? " on" : " off")};
          },
          [](const Attach& o) {
            return Description{"attach", o.attachment.device,
                               std::string(name_of(o.attachment.hook))};
          },
          [](const Detach& o) {
            return Description{"detach", o.attachment.device,
                               std::string(name_of(o.attachment.hook))};
          },
      },
      operation);
}

bool holds_back(const Operation& operation) {
  if (const auto* attach = std::get_if<Attach>(&operation)) {
    const Hook hook = attach->attachment.hook;
    return hook == Hook::kTailnetIn || hook == Hook::kTailnetOut;
  }
  if (const auto* link = std::get_if<SetLink>(&operation)) return !link->link.up;
  return std::holds_alternative<CreateLink>(operation) ||
         std::holds_alternative<SetDevice>(operation) ||
         std::holds_alternative<ReplaceNftTable>(operation);
}

}  // namespace sallyport
