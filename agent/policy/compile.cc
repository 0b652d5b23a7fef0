// SPDX-License-Identifier: BSD-3-Clause
#include "agent/policy/compile.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "agent/policy/classes.h"
#include "agent/policy/rows.h"
#include "agent/policy/schedule.h"
#include "agent/policy/special_ranges.h"

namespace sallyport {
namespace {

constexpr size_t kAlign = 16;
size_t aligned(size_t bytes) { return (bytes + kAlign - 1) & ~(kAlign - 1); }

/// Sets that are no rule's but that a denial must tell apart.
struct PseudoSets {
  uint32_t local = 0;
  uint32_t metadata = 0;
};

/// The rules (and, behind them, the ceiling's) as bits of each class.
BitRows rules_of_classes(const BitRows& sets_of_classes, size_t sets,
                         const std::vector<uint32_t>& set_of_rule) {
  const size_t rules = set_of_rule.size();
  BitRows rules_of_set(rules);
  for (size_t i = 0; i < sets; ++i) rules_of_set.add();
  for (size_t rule = 0; rule < rules; ++rule) {
    set_bit(rules_of_set.at(set_of_rule[rule]), rule);
  }
  BitRows out(rules);
  for (size_t c = 0; c < sets_of_classes.size(); ++c) {
    const std::span<uint64_t> row = out.add();
    for (size_t set = 0; set < sets; ++set) {
      if (!has_bit(sets_of_classes[c], set)) continue;
      const auto from = rules_of_set[set];
      for (size_t w = 0; w < row.size(); ++w) row[w] |= from[w];
    }
  }
  return out;
}

bool common_bit(std::span<const uint64_t> a, std::span<const uint64_t> b) {
  for (size_t w = 0; w < a.size(); ++w) {
    if ((a[w] & b[w]) != 0) return true;
  }
  return false;
}

class Compiler {
 public:
  Compiler(const PolicyInput& input, size_t limit) : input_(input), limit_(limit) {}

  Result<CompiledPolicy, PolicyTooBig> run() {
    number_sets();
    const AddressClasses classes =
        classify(sources_, destinations_, owned_ranges(input_.peers, input_.own));
    const size_t src = classes.src.size();
    const size_t dst = classes.dst.size();
    lay_out(classes);
    if (rows_at_ > limit_ || src > UINT16_MAX || dst > UINT16_MAX) return Fail{too_big(rows_at_)};

    put_header(classes);
    put_addresses(classes);
    const BitRows src_rules = rules_of_classes(classes.src, sources_.size(), set_of_from_);
    const BitRows dst_rules = rules_of_classes(classes.dst, destinations_.size(), set_of_to_);
    RowTable rows(input_, limit_ - rows_at_);
    const auto exit_rules = rules_to_exit();
    for (size_t s = 0; s < src; ++s) {
      const bool uses_exit = common_bit(src_rules[s], exit_rules);
      for (size_t d = 0; d < dst; ++d) {
        const sp_verdict reason = reason_of(classes.dst[d], uses_exit);
        const auto row = rows.of(src_rules[s], dst_rules[d], reason);
        if (!row) return Fail{too_big(rows_at_ + rows.bytes())};
        write(header_.matrix + 4 * (s * dst + d), static_cast<uint32_t>(rows_at_ + *row));
      }
    }
    return finish(rows);
  }

 private:
  void number_sets() {
    const auto number = [&](const std::vector<Rule>& rules) {
      for (const Rule& rule : rules) {
        set_of_from_.push_back(sources_.add(rule.from));
        set_of_to_.push_back(destinations_.add(rule.to));
      }
    };
    number(input_.rules);
    if (input_.ceiling) number(*input_.ceiling);
    pseudo_.local = destinations_.add(input_.exit_local);
    pseudo_.metadata = destinations_.add({{metadata_address(), metadata_address()}});
  }

  void lay_out(const AddressClasses& classes) {
    size_t at = aligned(sizeof(sp_policy_header));
    const auto place = [&](size_t count, size_t size) {
      const size_t here = at;
      at += aligned(count * size);
      return static_cast<uint32_t>(here);
    };
    header_.magic = SP_POLICY_MAGIC;
    header_.v4_count = static_cast<uint32_t>(classes.v4.size());
    header_.v4_keys = place(classes.v4.size(), sizeof(uint32_t));
    header_.v4_values = place(classes.v4.size(), sizeof(sp_policy_address));
    header_.v6_count = static_cast<uint32_t>(classes.v6.size());
    header_.v6_keys = place(classes.v6.size(), sizeof(sp_policy_v6));
    header_.v6_values = place(classes.v6.size(), sizeof(sp_policy_address));
    header_.src_classes = static_cast<uint32_t>(classes.src.size());
    header_.dst_classes = static_cast<uint32_t>(classes.dst.size());
    header_.matrix = place(classes.src.size() * classes.dst.size(), sizeof(uint32_t));
    rows_at_ = at;
  }

  template <class T>
  void write(size_t offset, const T& value) {
    std::memcpy(&out_.blob[offset], &value, sizeof(T));
  }

  void put_header(const AddressClasses& classes) {
    out_.blob.resize(rows_at_);
    out_.stats.v4_intervals = classes.v4.size();
    out_.stats.v6_intervals = classes.v6.size();
    out_.stats.src_classes = classes.src.size();
    out_.stats.dst_classes = classes.dst.size();
  }

  void put_addresses(const AddressClasses& classes) {
    const auto value_of = [](const ClassInterval& interval) {
      return sp_policy_address{interval.peer, static_cast<uint16_t>(interval.src_class),
                               static_cast<uint16_t>(interval.dst_class)};
    };
    for (size_t i = 0; i < classes.v4.size(); ++i) {
      write(header_.v4_keys + i * sizeof(uint32_t), classes.v4[i].start.v4_number());
      write(header_.v4_values + i * sizeof(sp_policy_address), value_of(classes.v4[i]));
    }
    for (size_t i = 0; i < classes.v6.size(); ++i) {
      const Halves halves = halves_of(classes.v6[i].start);
      write(header_.v6_keys + i * sizeof(sp_policy_v6), sp_policy_v6{halves.high, halves.low});
      write(header_.v6_values + i * sizeof(sp_policy_address), value_of(classes.v6[i]));
    }
  }

  /// As bits: the rules that lead to some address beyond the exit.
  [[nodiscard]] std::vector<uint64_t> rules_to_exit() const {
    std::vector<uint64_t> out(set_of_from_.size() / 64 + 1);
    std::unordered_map<uint32_t, bool> known;  // by set of destinations
    for (size_t i = 0; i < input_.rules.size(); ++i) {
      if (input_.rules[i].counter == kOwnRuleCounter) continue;
      const uint32_t set = set_of_to_[i];
      const auto [at, is_new] = known.try_emplace(set, false);
      if (is_new) at->second = overlap(destinations_.all()[set], input_.exit_reach);
      if (at->second) set_bit(out, i);
    }
    return out;
  }

  static bool overlap(const std::vector<IpRange>& a, const std::vector<IpRange>& b) {
    return std::ranges::any_of(a, [&](const IpRange& x) {
      return std::ranges::any_of(
          b, [&](const IpRange& y) { return x.first.is_v4() == y.first.is_v4() && x.overlaps(y); });
    });
  }

  /// Why a pair that no rule serves is denied.
  [[nodiscard]] sp_verdict reason_of(std::span<const uint64_t> dst_sets, bool uses_exit) const {
    if (has_bit(dst_sets, pseudo_.metadata)) return SP_DROP_METADATA;
    if (uses_exit && has_bit(dst_sets, pseudo_.local)) return SP_DROP_EXIT_LOCAL;
    return SP_DROP_NO_RULE;
  }

  CompiledPolicy finish(const RowTable& rows) {
    out_.blob.resize(aligned(rows_at_ + rows.bytes()));
    std::memcpy(&out_.blob[rows_at_], rows.data().data(), rows.bytes());
    header_.bytes = static_cast<uint32_t>(out_.blob.size());
    write(0, header_);
    out_.stats.rows = rows.size();
    out_.stats.row_bytes = rows.bytes();
    return std::move(out_);
  }

  /// Edges of address sets and ports are what costs; sets that several rules share are nobody's
  /// fault more than another's.
  [[nodiscard]] PolicyTooBig too_big(size_t needed) const {
    const auto weight = [](const Rule* rule) {
      return rule->from.size() + rule->to.size() + rule->ports.size();
    };
    std::vector<const Rule*> heaviest;
    heaviest.reserve(input_.rules.size());
    for (const Rule& rule : input_.rules) heaviest.push_back(&rule);
    // They lie in one array: of equals the first.
    std::ranges::sort(heaviest, [&](const Rule* a, const Rule* b) {
      return std::pair(weight(b), a) < std::pair(weight(a), b);
    });
    PolicyTooBig out{std::max(needed, limit_ + 1), limit_, {}};
    for (const Rule* rule : heaviest) {
      if (out.blame.size() < 3) out.blame.push_back(rule->id);
    }
    return out;
  }

  const PolicyInput& input_;
  size_t limit_;
  AddressSets sources_;
  AddressSets destinations_;
  std::vector<uint32_t> set_of_from_;  // by rule, the ceiling's behind the others
  std::vector<uint32_t> set_of_to_;
  PseudoSets pseudo_;
  sp_policy_header header_{};
  size_t rows_at_ = 0;
  CompiledPolicy out_;
};

}  // namespace

std::string PolicyTooBig::text() const {
  std::string out = "the rules need " + std::to_string(needed) +
                    " bytes of kernel tables or more, and the limit is " + std::to_string(limit);
  for (size_t i = 0; i < blame.size(); ++i) {
    out += (i == 0 ? "; most of it for " : ", ") + blame[i];
  }
  return out;
}

Halves halves_of(const IpAddress& address) {
  Halves out;
  for (size_t i = 0; i < 8; ++i) {
    out.high = (out.high << 8) | address.bytes[i];
    out.low = (out.low << 8) | address.bytes[8 + i];
  }
  return out;
}

Result<CompiledPolicy, PolicyTooBig> compile(const PolicyInput& input, size_t limit) {
  return Compiler(input, std::min<size_t>(limit, SP_POLICY_BYTES)).run();
}

PolicyInput policy_at(const ResolvedPolicy& policy, const std::vector<PeerAddresses>& peers,
                      WallTime at, ClockTrust trust) {
  const auto active = [&](const std::vector<Rule>& rules) {
    std::vector<Rule> out;
    for (const Rule& rule : rules) {
      if (!rule.has_time() || (trust == ClockTrust::kCredible && is_active(rule, at))) {
        out.push_back(rule);
      }
    }
    return out;
  };
  PolicyInput out;
  out.rules = active(policy.rules);
  if (policy.ceiling) out.ceiling = active(*policy.ceiling);
  out.peers = peers;
  out.own = policy.own;
  out.exit_reach = policy.exit_reach;
  out.exit_local = policy.exit_local;
  return out;
}

}  // namespace sallyport
