// SPDX-License-Identifier: BSD-3-Clause
#include "agent/policy/resolve.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "agent/base/text.h"
#include "agent/model/nearest.h"
#include "agent/policy/ownership.h"
#include "agent/policy/schedule.h"
#include "agent/policy/special_ranges.h"

namespace sallyport {
namespace {

enum class Side : uint8_t { kFrom, kTo };
enum class Purpose : uint8_t { kRules, kCeiling };
using Ranges = std::vector<IpRange>;

void add(Ranges& to, const Ranges& more) { to.insert(to.end(), more.begin(), more.end()); }

class Resolver {
 public:
  Resolver(const Config& config, const Surroundings& surroundings) : config_(config) {
    find_own(surroundings);
    find_peers();
    for (const LanConfig& lan : config.lans) {
      lan_[lan.name] = {lan.prefix.range()};
      lans_.push_back(lan.prefix.range());
    }
    find_exit(surroundings);
  }

  Result<ResolvedPolicy, std::vector<InputError>> run() {
    ResolvedPolicy out;
    for (const RuleConfig& rule : config_.rules)
      out.rules.push_back(resolve(rule, Purpose::kRules));
    out.rules.push_back(own_rule());
    if (config_.ceiling) {
      out.ceiling.emplace();
      for (const RuleConfig& rule : *config_.ceiling) {
        out.ceiling->push_back(resolve(rule, Purpose::kCeiling));
      }
    }
    if (!errors_.empty()) return Fail{std::move(errors_)};
    out.own = own_;
    out.exit_reach = exit_reach_;
    out.exit_local = exit_local_;
    return out;
  }

 private:
  void find_own(const Surroundings& surroundings) {
    for (const auto* prefixes : {&surroundings.own_addresses, &config_.node.addresses}) {
      for (const Prefix& prefix : *prefixes) own_.push_back({prefix.address, prefix.address});
    }
    own_ = normalise(std::move(own_));
  }

  void find_peers() {
    std::vector<PeerAddresses> peers;
    for (const PeerConfig& peer : config_.peers) {
      peers.push_back({static_cast<uint32_t>(peers.size() + 1), peer.allowed_ips});
      peer_[peer.name];  // known, even if it owns nothing
    }
    for (const OwnedRange& owned : owned_ranges(peers, own_)) {
      if (owned.peer == 0 || owned.peer > peers.size()) continue;
      peer_[config_.peers[owned.peer - 1].name].push_back(owned.range);
      peers_.push_back(owned.range);
    }
  }

  void find_exit(const Surroundings& surroundings) {
    if (!config_.exit) return;
    Ranges local = not_internet();
    add(local, own_);
    for (const Prefix& prefix : surroundings.wan_prefixes) {
      // A whole family is no provider's network: a point-to-point device that says so means
      // nothing.
      if (prefix.length > 0) local.push_back(prefix.range());
    }
    Ranges known = lans_;
    add(known, peers_);
    exit_local_ = subtract(local, known);
    Ranges served;
    if (config_.exit->ipv4) served.push_back(all_v4());
    if (config_.exit->ipv6 != ExitV6::kOff) served.push_back(all_v6());
    add(known, local);
    exit_reach_ = subtract(std::move(served), std::move(known));
  }

  [[nodiscard]] Rule own_rule() const {
    Rule rule;
    rule.id = kOwnRuleId;
    rule.from = own_;
    rule.to = normalise(peers_);
    for (unsigned proto = 0; proto < 256; ++proto) {
      rule.protos.push_back(static_cast<IpProto>(proto));
    }
    rule.counter = kOwnRuleCounter;
    return rule;
  }

  Rule resolve(const RuleConfig& written, Purpose purpose) {
    Rule rule;
    rule.id = written.id;
    rule.where = written.where;
    rule.from = addresses(written.from, Side::kFrom, purpose, written.where);
    rule.to = addresses(written.to, Side::kTo, purpose, written.where);
    rule.protos = written.protos;
    std::ranges::sort(rule.protos);
    const auto twice = std::ranges::unique(rule.protos);
    rule.protos.erase(twice.begin(), twice.end());
    rule.ports = sorted(written.ports);
    rule.when = written.when;
    rule.not_before = written.not_before;
    rule.not_after = written.not_after;
    if (written.id == kOwnRuleId) complain(written.where, quote(written.id) + " is a reserved id");
    for (const TimeWindow& window : written.when) check_zone(window, written.where);
    return rule;
  }

  static std::vector<PortRange> sorted(std::vector<PortRange> ports) {
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

  Ranges addresses(const std::vector<Name>& names, Side side, Purpose purpose,
                   const Position& where) {
    const std::string key = side == Side::kFrom ? "from" : "to";
    if (names.empty()) complain(where, "a rule needs '" + key + "'", "'*' stands for all");
    Ranges out;
    bool metadata = false;
    for (const Name& name : names) {
      const Ranges found = look_up(name, side, purpose);
      const IpAddress only = metadata_address();
      if (found.size() == 1 && found.front() == IpRange{only, only}) metadata = true;
      add(out, found);
    }
    if (side == Side::kFrom) return normalise(std::move(out));
    out = without_metadata(std::move(out));
    if (metadata) out.push_back({metadata_address(), metadata_address()});
    return normalise(std::move(out));
  }

  Ranges look_up(const Name& name, Side side, Purpose purpose) {
    const std::string& text = name.text;
    if (text == "*") return side == Side::kFrom ? Ranges{all_v4(), all_v6()} : everywhere();
    if (text == "self") return own_;
    if (text == "lan") {
      if (lans_.empty()) complain(name.where, "'lan': there is no LAN in this configuration");
      return lans_;
    }
    if (text == "exit") return exit_at(name, side);
    if (text.starts_with("group:")) return group(name);
    if (text.starts_with("tag:")) return tag(name, purpose);
    if (const auto peer = peer_.find(text); peer != peer_.end()) return peer->second;
    if (const auto lan = lan_.find(text); lan != lan_.end()) return lan->second;
    if (const auto range = IpRange::parse(text)) return {*range};
    return unknown(name);
  }

  [[nodiscard]] Ranges everywhere() const {
    Ranges out = lans_;
    add(out, peers_);
    add(out, own_);
    add(out, exit_reach_);
    return out;
  }

  Ranges exit_at(const Name& name, Side side) {
    if (side == Side::kFrom) {
      complain(name.where, "'exit' leads outwards: it can only be in 'to'");
    } else if (!config_.exit) {
      complain(name.where, "'exit': this configuration has no exit", "add a section 'exit:'");
    }
    return exit_reach_;
  }

  Ranges group(const Name& name) {
    const std::string wanted = name.text.substr(std::string_view("group:").size());
    const auto found = config_.groups.find(wanted);
    if (found == config_.groups.end()) {
      std::vector<std::string> known;
      known.reserve(config_.groups.size());
      for (const auto& [group, members] : config_.groups) known.push_back(group);
      const auto near = nearest(wanted, known);
      complain(name.where, "there is no group " + quote(wanted),
               near ? "did you mean " + quote("group:" + *near) + "?" : "");
      return {};
    }
    Ranges out;
    for (const Name& member : found->second) {
      const auto peer = peer_.find(member.text);
      if (peer == peer_.end()) {
        complain(member.where, quote(member.text) + " in group " + quote(wanted) + " is no peer",
                 suggestion(member.text, peer_names()));
        continue;
      }
      add(out, peer->second);
    }
    return out;
  }

  Ranges tag(const Name& name, Purpose purpose) {
    if (purpose == Purpose::kCeiling) {
      complain(name.where, quote(name.text) + ": tags are the control server's own claims",
               "a ceiling names addresses, prefixes, LANs, exit, self, * and peers");
    } else {
      complain(name.where, quote(name.text) + ": tags are not in this version");
    }
    return {};
  }

  Ranges unknown(const Name& name) {
    const std::string& text = name.text;
    if (const auto prefix = Prefix::parse(text); prefix && prefix->has_host_bits()) {
      complain(name.where, quote(text) + " has host bits set",
               "write " + prefix->masked().text() + " or " + prefix->address.text());
      return {};
    }
    std::vector<std::string> known = peer_names();
    for (const auto& [lan, ranges] : lan_) known.push_back(lan);
    for (const auto& [group, members] : config_.groups) known.push_back("group:" + group);
    known.insert(known.end(), {"lan", "exit", "self"});
    complain(name.where,
             quote(text) + " is no peer, LAN, group, address, prefix or range of addresses",
             suggestion(text, known));
    return {};
  }

  [[nodiscard]] std::vector<std::string> peer_names() const {
    std::vector<std::string> out;
    out.reserve(peer_.size());
    for (const auto& [name, ranges] : peer_) out.push_back(name);
    return out;
  }

  static std::string suggestion(const std::string& text, const std::vector<std::string>& known) {
    const auto near = nearest(text, known);
    return near ? "did you mean " + quote(*near) + "?" : "";
  }

  void check_zone(const TimeWindow& window, const Position& where) {
    if (is_known_zone(window.zone)) return;
    complain(where, quote(window.zone) + " is no time zone that this system knows",
             suggestion(window.zone, known_zones()));
  }

  void complain(const Position& where, std::string message, std::string hint = "") {
    errors_.push_back({where, std::move(message), std::move(hint)});
  }

  const Config& config_;
  std::map<std::string, Ranges> peer_;
  std::map<std::string, Ranges> lan_;
  Ranges own_;
  Ranges peers_;
  Ranges lans_;
  Ranges exit_reach_;
  Ranges exit_local_;
  std::vector<InputError> errors_;
};

}  // namespace

Result<ResolvedPolicy, std::vector<InputError>> resolve(const Config& config,
                                                        const Surroundings& surroundings) {
  return Resolver(config, surroundings).run();
}

}  // namespace sallyport
