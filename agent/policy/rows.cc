// SPDX-License-Identifier: BSD-3-Clause
#include "agent/policy/rows.h"

#include <algorithm>
#include <bit>
#include <set>
#include <utility>

#include "agent/policy/classes.h"

namespace sallyport {
namespace {

constexpr PortRange kAllPorts{0, 65535};

bool names(const Rule& rule, IpProto proto) {
  return std::ranges::find(rule.protos, proto) != rule.protos.end();
}

/// From `start` to the next one's start.
struct Step {
  uint32_t start = 0;
  uint16_t value = 0;
};
using Steps = std::vector<Step>;

void append(Steps& steps, uint32_t start, uint16_t value) {
  if (steps.empty() ? value == 0 : steps.back().value == value) return;
  steps.push_back({start, value});
}

/// Ranges in the order of their precedence: the first that covers a number gives its value.
struct Layer {
  const std::vector<PortRange>* ranges;
  uint16_t value;
};

Steps paint(const std::vector<Layer>& layers) {
  struct Edge {
    uint32_t at;
    uint32_t layer;
    bool begins;
  };
  std::vector<Edge> edges;
  for (uint32_t i = 0; i < layers.size(); ++i) {
    for (const PortRange& range : *layers[i].ranges) {
      edges.push_back({range.first, i, true});
      edges.push_back({uint32_t{range.last} + 1, i, false});
    }
    // Nothing behind a layer that covers all can be seen.
    if (*layers[i].ranges == std::vector{kAllPorts}) break;
  }
  std::ranges::sort(edges, {}, &Edge::at);
  Steps out;
  std::multiset<uint32_t> open;
  for (size_t i = 0; i < edges.size();) {
    const uint32_t at = edges[i].at;
    for (; i < edges.size() && edges[i].at == at; ++i) {
      if (edges[i].begins) {
        open.insert(edges[i].layer);
      } else {
        open.erase(open.find(edges[i].layer));
      }
    }
    if (at > UINT16_MAX) break;
    append(out, at, open.empty() ? uint16_t{0} : layers[*open.begin()].value);
  }
  return out;
}

/// What remains of `rules` under the ceiling, and what our own rule adds.
Steps combine(const Steps& rules, const Steps* ceiling, const Steps& own) {
  std::set<uint32_t> starts;
  for (const Steps* steps : {&rules, &own, ceiling}) {
    if (steps == nullptr) continue;
    for (const Step& step : *steps) starts.insert(step.start);
  }
  const auto value_at = [](const Steps& steps, uint32_t at) {
    const auto next = std::ranges::upper_bound(steps, at, {}, &Step::start);
    return next == steps.begin() ? uint16_t{0} : std::prev(next)->value;
  };
  Steps out;
  for (const uint32_t at : starts) {
    const uint16_t rule = value_at(rules, at);
    const uint16_t mine = value_at(own, at);
    const bool bounded = ceiling != nullptr && value_at(*ceiling, at) == 0;
    if (rule != 0 && !bounded) {
      append(out, at, rule);
    } else if (mine != 0) {
      append(out, at, mine);
    } else {
      append(out, at, rule != 0 ? uint16_t{SP_RULE_CEILING} : uint16_t{0});
    }
  }
  return out;
}

}  // namespace

RowTable::RowTable(const PolicyInput& input, size_t room) : input_(input), room_(room) {
  for (const Rule& rule : input.rules) rules_.push_back(&rule);
  if (input.ceiling) {
    for (const Rule& rule : *input.ceiling) rules_.push_back(&rule);
  }
  for (const Rule* rule : rules_) service_.push_back(service_of(*rule));
  stamps_.resize(services_.size() * 2);
}

uint32_t RowTable::service_of(const Rule& rule) {
  const auto [at, is_new] = service_numbers_.try_emplace({rule.protos, rule.ports},
                                                         static_cast<uint32_t>(services_.size()));
  if (!is_new) return at->second;
  Service& service = services_.emplace_back();
  const std::vector<PortRange> ports =
      rule.ports.empty() ? std::vector<PortRange>{kAllPorts} : rule.ports;
  const bool usual = rule.protos.empty();
  if (usual || names(rule, IpProto::kTcp)) service.ports[0] = ports;
  if (usual || names(rule, IpProto::kUdp)) service.ports[1] = ports;
  if (names(rule, IpProto::kSctp)) service.ports[2] = ports;
  // A protocol without ports is served by a rule that asks for none.
  if (ports == std::vector{kAllPorts}) {
    for (const IpProto proto : rule.protos) {
      const auto number = static_cast<uint16_t>(proto);
      if (!service.others.empty() && service.others.back().last + 1 == number) {
        service.others.back().last = number;
      } else {
        service.others.push_back({number, number});
      }
    }
  }
  return at->second;
}

std::optional<size_t> RowTable::of(std::span<const uint64_t> src_rules,
                                   std::span<const uint64_t> dst_rules, sp_verdict reason) {
  auto hash = static_cast<uint64_t>(reason);
  for (size_t w = 0; w < src_rules.size(); ++w) {
    hash = (hash ^ (src_rules[w] & dst_rules[w])) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
  }
  std::vector<Seen>& same_hash = seen_[hash];
  for (const Seen& seen : same_hash) {
    bool same = seen.reason == reason;
    for (size_t w = 0; same && w < src_rules.size(); ++w) {
      same = (src_rules[w] & dst_rules[w]) == (seen.src[w] & seen.dst[w]);
    }
    if (same) return seen.row;
  }
  const auto row = put(build(serving(src_rules, dst_rules), reason));
  same_hash.push_back({src_rules, dst_rules, reason, row});
  return row;
}

RowTable::Serving RowTable::serving(std::span<const uint64_t> src, std::span<const uint64_t> dst) {
  Serving out;
  ++stamp_;
  for (size_t w = 0; w < src.size(); ++w) {
    for (uint64_t left = src[w] & dst[w]; left != 0; left &= left - 1) {
      const auto rule = static_cast<uint32_t>(w * 64 + static_cast<size_t>(std::countr_zero(left)));
      const bool is_ceiling = rule >= input_.rules.size();
      if (!is_ceiling && rules_[rule]->counter == kOwnRuleCounter) {
        out.own = rule;
        continue;
      }
      uint64_t& stamp = stamps_[service_[rule] * 2 + (is_ceiling ? 1 : 0)];
      if (std::exchange(stamp, stamp_) == stamp_) continue;  // an earlier rule serves the same
      (is_ceiling ? out.ceiling : out.rules).push_back(rule);
    }
  }
  return out;
}

RowTable::Halfwords RowTable::build(const Serving& serving, sp_verdict reason) const {
  const auto steps_of = [&](auto&& ranges_of) {
    const auto layers_of = [&](const std::vector<uint32_t>& rules, bool is_ceiling) {
      std::vector<Layer> layers;
      layers.reserve(rules.size());
      for (const uint32_t rule : rules) {
        layers.push_back({&ranges_of(services_[service_[rule]]),
                          is_ceiling ? uint16_t{1} : rules_[rule]->counter});
      }
      return layers;
    };
    const Steps rules = paint(layers_of(serving.rules, false));
    Steps own;
    if (serving.own) own = paint(layers_of({*serving.own}, false));
    if (!input_.ceiling) return combine(rules, nullptr, own);
    const Steps ceiling = paint(layers_of(serving.ceiling, true));
    return combine(rules, &ceiling, own);
  };
  const std::array<Steps, 4> lists{
      steps_of([](const Service& s) -> const auto& { return s.ports[0]; }),
      steps_of([](const Service& s) -> const auto& { return s.ports[1]; }),
      steps_of([](const Service& s) -> const auto& { return s.ports[2]; }),
      steps_of([](const Service& s) -> const auto& { return s.others; })};

  uint16_t any = 0;
  if (!serving.rules.empty()) {
    any = rules_[serving.rules.front()]->counter;
    if (input_.ceiling && serving.ceiling.empty()) any = SP_RULE_CEILING;
  }
  if ((any == 0 || any == SP_RULE_CEILING) && serving.own) any = rules_[*serving.own]->counter;
  const bool served = !serving.rules.empty() || serving.own.has_value();

  Halfwords out{any, static_cast<uint16_t>(served ? SP_DROP_NO_RULE : reason)};
  for (const Steps& steps : lists) out.push_back(static_cast<uint16_t>(steps.size()));
  for (const Steps& steps : lists) {
    for (const Step& step : steps) {
      out.push_back(static_cast<uint16_t>(step.start));
      out.push_back(step.value);
    }
  }
  // 65536 steps of one list, the only number that its count cannot hold.
  const bool overflows =
      std::ranges::any_of(lists, [](const Steps& steps) { return steps.size() > UINT16_MAX; });
  return overflows ? Halfwords{} : out;
}

std::optional<size_t> RowTable::put(Halfwords row) {
  if (row.empty()) return {};
  const std::string key(reinterpret_cast<const char*>(row.data()), row.size() * sizeof(uint16_t));
  const auto [at, is_new] = offsets_.try_emplace(key, bytes());
  if (!is_new) return at->second;
  if (bytes() + key.size() > room_) return {};
  data_.insert(data_.end(), row.begin(), row.end());
  return at->second;
}

}  // namespace sallyport
