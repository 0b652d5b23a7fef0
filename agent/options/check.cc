// SPDX-License-Identifier: BSD-3-Clause
#include "agent/options/check.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/text.h"
#include "agent/model/nearest.h"

namespace sallyport::options {
namespace {

/// Words with a meaning of their own in `from` and `to`.
constexpr std::array<std::string_view, 3> kReserved{"lan", "exit", "self"};

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

Position at(const Position& entry, Mark mark) { return {entry.file, mark.line, mark.column}; }
std::string first_at(const Position& place) {
  return "first in " + place.file + ":" + std::to_string(place.line);
}

class Checker {
 public:
  Checker(const Draft& draft, Complaints& complaints) : draft_(draft), complaints_(complaints) {}

  void names() {
    // A rule calls peers and LANs by the same kind of word.
    std::map<std::string, std::pair<std::string, Position>> taken;
    const auto take = [&](const std::string& name, const char* what, const Position& where) {
      if (where.line == 0) return;  // absent, and complained about
      if (std::ranges::find(kReserved, lower(name)) != kReserved.end()) {
        return add(where, "name " + quote(name) + " has a meaning of its own in rules");
      }
      const auto [known, fresh] = taken.try_emplace(lower(name), what, where);
      if (fresh) return;
      add(where, "name " + quote(name) + " is already that of a " + known->second.first,
          first_at(known->second.second));
    };
    const auto& peers = draft_.config.peers;
    const auto& lans = draft_.config.lans;
    for (size_t i = 0; i < peers.size(); ++i)
      take(peers[i].name, "peer", at(peers[i].where, draft_.peers[i].name));
    for (size_t i = 0; i < lans.size(); ++i)
      take(lans[i].name, "LAN", at(lans[i].where, draft_.lans[i].name));
  }

  void peer_keys() {
    std::map<PublicKey, Position> taken;
    const auto& own = draft_.config.node.private_key;
    const auto own_key = own ? std::optional(own->public_key()) : std::nullopt;
    for (size_t i = 0; i < draft_.config.peers.size(); ++i) {
      const PeerConfig& peer = draft_.config.peers[i];
      const Position where = at(peer.where, draft_.peers[i].public_key);
      if (where.line == 0) continue;
      if (own_key == peer.public_key) {
        add(where, "public_key " + quote(peer.public_key.text()) + " is this gateway's own");
      }
      const auto [known, fresh] = taken.try_emplace(peer.public_key, where);
      if (fresh) continue;
      add(where, "public_key " + quote(peer.public_key.text()) + " is already another peer's",
          first_at(known->second));
    }
  }

  void peer_addresses() {
    std::map<Prefix, std::pair<const PeerConfig*, Position>> taken;
    for (size_t i = 0; i < draft_.config.peers.size(); ++i) {
      const PeerConfig& peer = draft_.config.peers[i];
      for (size_t j = 0; j < peer.allowed_ips.size(); ++j) {
        const Prefix& prefix = peer.allowed_ips[j];
        const Position where = at(peer.where, draft_.peers[i].allowed_ips[j]);
        peer_against_ours(prefix, where);
        const auto [known, fresh] = taken.try_emplace(prefix, &peer, where);
        if (fresh) continue;
        const bool same = known->second.first == &peer;
        add(where,
            "address " + quote(prefix.text()) +
                (same ? " is given twice"
                      : " is already that of peer " + quote(known->second.first->name)),
            first_at(known->second.second));
      }
    }
  }

  void lans() {
    const auto& lans = draft_.config.lans;
    for (size_t i = 0; i < lans.size(); ++i) {
      const Position where = at(lans[i].where, draft_.lans[i].prefix);
      if (where.line == 0) continue;
      if (lans[i].prefix.length == 0) {
        add(where, "prefix " + quote(lans[i].prefix.text()) + " is everything, not a LAN",
            "the way to the internet is exit");
        continue;
      }
      for (size_t j = 0; j < i; ++j) {
        const Position other = at(lans[j].where, draft_.lans[j].prefix);
        if (other.line == 0 || !lans[i].prefix.overlaps(lans[j].prefix)) continue;
        add(where,
            "prefix " + quote(lans[i].prefix.text()) + " overlaps LAN " + quote(lans[j].name) +
                " (" + lans[j].prefix.text() + ")",
            first_at(other));
        break;
      }
      for (const Prefix& address : draft_.config.node.addresses) {
        if (!lans[i].prefix.overlaps(address)) continue;
        add(where, "prefix " + quote(lans[i].prefix.text()) + " overlaps our own address " +
                       address.text());
      }
    }
  }

  void devices() {
    const auto& own = draft_.config.node.device;
    const auto refuse = [&](const Position& where) {
      add(where, "device " + quote(own) + " is our own WireGuard device");
    };
    const auto& lans = draft_.config.lans;
    for (size_t i = 0; i < lans.size(); ++i) {
      if (lans[i].device == own) refuse(at(lans[i].where, draft_.lans[i].device));
    }
    if (!draft_.config.exit) return;
    const auto& exit = *draft_.config.exit;
    for (size_t i = 0; i < exit.devices.size(); ++i) {
      if (exit.devices[i] == own) refuse(at(exit.where, draft_.exit_devices[i]));
    }
  }

  void join() {
    if (!draft_.config.join) return;
    const auto& prefs = draft_.config.join->prefs;
    const Position where = draft_.config.join->where;
    for (size_t i = 0; i < prefs.advertise_routes.size(); ++i) {
      if (prefs.advertise_routes[i].length != 0) continue;
      add(at(where, draft_.advertised[i]),
          "route " + quote(prefs.advertise_routes[i].text()) + " is everything, not a LAN",
          "the way to the internet is advertise_exit_node");
    }
    for (const auto& [prefix, mark] : draft_.snat) {
      if (std::ranges::find(prefs.advertise_routes, prefix) != prefs.advertise_routes.end()) {
        continue;
      }
      add(at(where, mark), "snat of " + quote(prefix.text()) + ", which is no route of ours",
          "advertise_routes names them");
    }
  }

  void dataplane() {
    const auto& dataplane = draft_.config.dataplane;
    if (dataplane.table >= 253 && dataplane.table <= 255) {  // default, main, local
      add({main_file(), draft_.table.line, draft_.table.column},
          "table is " + quote(std::to_string(dataplane.table)) + ", which is the system's");
    }
    if (dataplane.flows_per_peer <= dataplane.flows) return;
    // Only config.yaml, the first file, has this section.
    add({main_file(), draft_.flows_per_peer.line, draft_.flows_per_peer.column},
        "flows_per_peer is " + quote(std::to_string(dataplane.flows_per_peer)) +
            ", expected at most flows, " + std::to_string(dataplane.flows));
  }

  void own_addresses() {
    const auto& addresses = draft_.config.node.addresses;
    for (size_t i = 0; i < addresses.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (addresses[i].address != addresses[j].address) continue;
        add({main_file(), draft_.addresses[i].line, draft_.addresses[i].column},
            "address " + quote(addresses[i].text()) + " is given twice");
        break;
      }
    }
  }

  void rules(const std::vector<RuleConfig>& rules, const std::vector<RuleMarks>& marks) {
    std::map<std::string, Position> taken;
    for (size_t i = 0; i < rules.size(); ++i) {
      // A rule without an id gets its number, which somebody may have written elsewhere.
      if (!marks[i].named) taken.emplace(rules[i].id, rules[i].where);
    }
    for (size_t i = 0; i < rules.size(); ++i) {
      rule(rules[i], marks[i]);
      if (!marks[i].named) continue;
      const Position where = at(rules[i].where, marks[i].id);
      const auto [known, fresh] = taken.try_emplace(rules[i].id, where);
      if (fresh) continue;
      add(where, "id " + quote(rules[i].id) + " is already another rule's",
          first_at(known->second));
    }
  }

  void groups() {
    std::vector<std::string> members;
    members.reserve(draft_.config.peers.size() + draft_.config.groups.size());
    for (const auto& peer : draft_.config.peers) members.push_back(peer.name);
    for (const auto& [name, list] : draft_.config.groups) members.push_back("group:" + name);
    std::ranges::sort(members);
    for (const auto& [name, list] : draft_.config.groups) {
      for (const Name& member : list) {
        if (std::ranges::binary_search(members, member.text)) continue;
        const auto near = nearest(member.text, members);
        add(member.where,
            quote(member.text) + " in group " + quote(name) + " is neither a peer nor a group",
            near ? "did you mean \"" + *near + "\"?" : "");
      }
    }
    for (const auto& [name, list] : draft_.config.groups) {
      for (const Name& member : list) visit_group(name, member);
    }
  }

 private:
  void add(Position where, std::string message, std::string hint = {}) {
    complaints_.add(std::move(where), std::move(message), std::move(hint));
  }
  [[nodiscard]] std::string main_file() const { return draft_.main_file; }

  void peer_against_ours(const Prefix& prefix, const Position& where) {
    for (const LanConfig& lan : draft_.config.lans) {
      // A LAN whose prefix is everything, or could not be read, has been complained about.
      if (lan.prefix.length == 0 || !prefix.overlaps(lan.prefix)) continue;
      add(where, "address " + quote(prefix.text()) + " overlaps LAN " + quote(lan.name) + " (" +
                     lan.prefix.text() + ")");
    }
    for (const Prefix& address : draft_.config.node.addresses) {
      if (prefix != Prefix::host(address.address)) continue;
      add(where, "address " + quote(prefix.text()) + " is this gateway's own");
    }
  }

  void rule(const RuleConfig& rule, const RuleMarks& marks) {
    for (size_t i = 0; !rule.ports.empty() && i < rule.protos.size(); ++i) {
      const IpProto proto = rule.protos[i];
      if (proto == IpProto::kTcp || proto == IpProto::kUdp || proto == IpProto::kSctp) continue;
      add(at(rule.where, marks.protos[i]),
          "proto " + quote(name_of(proto)) + " has no ports, but this rule names some",
          "ports go with tcp, udp and sctp; write a second rule");
    }
    if (rule.not_before && rule.not_after && *rule.not_before >= *rule.not_after) {
      add(at(rule.where, marks.not_after), "not_after is not later than not_before",
          "this rule would never be open");
    }
  }

  /// Complains where `member` of the group leads back to the group itself.
  void visit_group(const std::string& group, const Name& member) {
    constexpr std::string_view kGroup = "group:";
    std::vector<std::string> open{member.text};
    std::set<std::string> seen;
    while (!open.empty()) {
      const std::string next = std::move(open.back());
      open.pop_back();
      if (!next.starts_with(kGroup) || !seen.insert(next).second) continue;
      const std::string name = next.substr(kGroup.size());
      if (name == group) {
        return add(member.where,
                   "group " + quote(group) + " contains itself through " + quote(member.text));
      }
      const auto list = draft_.config.groups.find(name);
      if (list == draft_.config.groups.end()) continue;
      for (const Name& inner : list->second) open.push_back(inner.text);
    }
  }

  const Draft& draft_;
  Complaints& complaints_;
};

}  // namespace

void check(const Draft& draft, Complaints& complaints, bool complete) {
  Checker checker(draft, complaints);
  checker.names();
  checker.peer_keys();
  checker.peer_addresses();
  checker.lans();
  checker.devices();
  checker.join();
  checker.dataplane();
  checker.own_addresses();
  checker.rules(draft.config.rules, draft.rules);
  if (draft.config.ceiling) checker.rules(*draft.config.ceiling, draft.ceiling);
  if (complete) checker.groups();
}

std::map<std::string, std::vector<Name>> flatten(
    const std::map<std::string, std::vector<Name>>& groups) {
  constexpr std::string_view kGroup = "group:";
  std::map<std::string, std::vector<Name>> out;
  for (const auto& [group, members] : groups) {
    std::vector<Name>& peers = out[group];
    std::set<std::string> seen;
    std::vector<const Name*> open;
    const auto push = [&](const std::vector<Name>& names) {
      for (auto name = names.rbegin(); name != names.rend(); ++name) open.push_back(&*name);
    };
    push(members);
    while (!open.empty()) {
      const Name& next = *open.back();
      open.pop_back();
      if (!seen.insert(next.text).second) continue;
      if (next.text.starts_with(kGroup)) {
        push(groups.at(next.text.substr(kGroup.size())));
      } else {
        peers.push_back(next);
      }
    }
  }
  return out;
}

}  // namespace sallyport::options
