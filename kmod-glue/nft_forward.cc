// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/nft_forward.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

namespace sallyport {
namespace {

using Json = nlohmann::json;

// Source: include/net/netfilter/nf_tables.h, NFT_JUMP_STACK_SIZE.
constexpr int kDeepest = 16;
// Chains that jump to each other crosswise are walked over again and again.
constexpr size_t kMostSteps = 100'000;

std::string text_at(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

enum class Ending : uint8_t { kNone, kAccept, kDrop, kJump, kGoto, kReturn };

struct ReadRule {
  DeviceMatch in;
  DeviceMatch out;
  bool conditional = false;  // looks at more than devices
  Ending ending = Ending::kNone;
  std::string target;
};

std::optional<std::vector<std::string>> names_in(const Json& right) {
  if (right.is_string()) return std::vector{right.get<std::string>()};
  const auto set = right.find("set");
  if (!right.is_object() || set == right.end()) return {};
  if (set->is_string()) return std::vector{set->get<std::string>()};
  std::vector<std::string> names;
  for (const Json& one : *set) {
    if (!one.is_string()) return {};
    names.push_back(one.get<std::string>());
  }
  return names;
}

/// A comparison with a device name, put into `rule`; false: something else is looked at.
bool read_device(const Json& match, ReadRule& rule) {
  const auto left = match.find("left");
  if (left == match.end() || !left->is_object() || !left->contains("meta")) return false;
  const std::string key = text_at((*left)["meta"], "key");
  const bool in = key == "iifname" || key == "iif";
  if (!in && key != "oifname" && key != "oif") return false;
  const std::string op = text_at(match, "op");
  if (op != "==" && op != "!=" && op != "in") return false;
  const auto right = match.find("right");
  auto names = right == match.end() ? std::nullopt : names_in(*right);
  // A named set holds what it holds at the moment; two looks at one device are nobody's habit.
  DeviceMatch& place = in ? rule.in : rule.out;
  if (!names || names->empty() || names->front().starts_with('@') || !place.names.empty())
    return false;
  place = {*std::move(names), op == "!="};
  return true;
}

void read_expression(const Json& expression, ReadRule& rule) {
  static const std::map<std::string_view, Ending> kEndings{
      {"accept", Ending::kAccept}, {"drop", Ending::kDrop}, {"reject", Ending::kDrop},
      {"jump", Ending::kJump},     {"goto", Ending::kGoto}, {"return", Ending::kReturn}};
  static constexpr std::array<std::string_view, 4> kNeutral{"counter", "log", "mangle", "notrack"};
  if (!expression.is_object() || expression.empty()) {
    rule.conditional = true;
    return;
  }
  const std::string& kind = expression.begin().key();
  const Json& body = expression.begin().value();
  if (std::ranges::find(kNeutral, kind) != kNeutral.end()) return;
  if (const auto ending = kEndings.find(kind); ending != kEndings.end()) {
    rule.ending = ending->second;
    if (body.is_object()) rule.target = text_at(body, "target");
    return;
  }
  // iptables' own comments; nft's are no expressions.
  if (kind == "xt" && body.is_object() && text_at(body, "name") == "comment") return;
  if (kind == "match" && body.is_object() && read_device(body, rule)) return;
  rule.conditional = true;
}

ReadRule read_rule(const Json& rule) {
  ReadRule out;
  const auto expressions = rule.find("expr");
  if (expressions == rule.end() || !expressions->is_array()) return out;
  for (const Json& expression : *expressions) read_expression(expression, out);
  return out;
}

using Chains = std::map<std::string, std::vector<ReadRule>>;

/// Both have to hold; nothing: that cannot be said as one match.
std::optional<DeviceMatch> both(const DeviceMatch& a, const DeviceMatch& b) {
  if (a.names.empty()) return b;
  if (b.names.empty() || a == b) return a;
  return {};
}

/// The way of a packet through a chain.
class Walk {
 public:
  explicit Walk(const Chains& chains) : chains_(chains) {}

  /// Only what is sure is found: behind a way out that some packets may take, no accept counts,
  /// and behind an unclear goto neither.
  // NOLINTNEXTLINE(misc-no-recursion): as deep as the kernel lets chains jump.
  void follow(const std::string& chain, const DeviceMatch& in, const DeviceMatch& out, int depth) {
    const auto rules = chains_.find(chain);
    if (rules == chains_.end() || depth >= kDeepest) return;
    for (const ReadRule& rule : rules->second) {
      if (++steps_ > kMostSteps) return;
      const auto from = both(in, rule.in);
      const auto to = both(out, rule.out);
      // Some packets leave here, and which ones cannot be said.
      const bool unclear = rule.conditional || !from || !to;
      switch (rule.ending) {
        case Ending::kNone:
          break;
        case Ending::kAccept:
        case Ending::kDrop:
          if (unclear) break;
          found.push_back(
              {*from, *to,
               rule.ending == Ending::kAccept ? ForwardVerdict::kAccept : ForwardVerdict::kDrop});
          break;
        case Ending::kJump:
          if (!unclear) follow(rule.target, *from, *to, depth + 1);
          break;
        case Ending::kGoto:
          if (!unclear) follow(rule.target, *from, *to, depth + 1);
          return;
        case Ending::kReturn:
          return;
      }
    }
  }

  std::vector<ForwardRule> found;

 private:
  const Chains& chains_;
  size_t steps_ = 0;
};

bool matches(const std::string& pattern, std::string_view device) {
  if (pattern.ends_with('*')) {
    return device.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
  }
  return pattern == device;
}

}  // namespace

bool DeviceMatch::covers(std::string_view device) const {
  if (names.empty()) return true;
  const bool named = std::ranges::any_of(
      names, [&](const std::string& pattern) { return matches(pattern, device); });
  return named != negated;
}

bool ForeignForwardChain::stops(std::string_view in, std::string_view out) const {
  for (const ForwardRule& rule : by_device) {
    if (rule.in.covers(in) && rule.out.covers(out)) return rule.verdict == ForwardVerdict::kDrop;
  }
  return drops;
}

std::vector<ForeignForwardChain> parse_forward_chains(const std::string& json) {
  const Json parsed = Json::parse(json, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("nftables")) return {};
  std::vector<ForeignForwardChain> bases;
  Chains chains;
  for (const Json& one : parsed["nftables"]) {
    if (!one.is_object()) continue;
    if (const auto chain = one.find("chain"); chain != one.end()) {
      if (text_at(*chain, "hook") != "forward") continue;
      bases.push_back({.family = text_at(*chain, "family"),
                       .table = text_at(*chain, "table"),
                       .chain = text_at(*chain, "name"),
                       .drops = text_at(*chain, "policy") == "drop",
                       .rules = 0,
                       .by_device = {}});
    } else if (const auto rule = one.find("rule"); rule != one.end()) {
      chains[text_at(*rule, "chain")].push_back(read_rule(*rule));
    }
  }
  for (ForeignForwardChain& base : bases) {
    base.rules = chains[base.chain].size();
    Walk walk(chains);
    walk.follow(base.chain, {}, {}, 0);
    base.by_device = std::move(walk.found);
  }
  std::erase_if(bases, [](const auto& base) { return !base.drops && base.rules == 0; });
  return bases;
}

}  // namespace sallyport
