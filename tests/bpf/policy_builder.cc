// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bpf/policy_builder.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <optional>

namespace sallyport::test {
namespace {

uint64_t half(const IpAddress& a, size_t at) {
  uint64_t out = 0;
  for (size_t i = at; i < at + 8; i++) out = out << 8 | a.bytes[i];
  return out;
}

template <class T>
uint32_t append(std::vector<uint8_t>& out, const std::vector<T>& values) {
  out.resize((out.size() + 15) / 16 * 16);
  const auto at = static_cast<uint32_t>(out.size());
  out.resize(out.size() + values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(out.data() + at, values.data(), values.size() * sizeof(T));
  return at;
}

size_t list_of(uint8_t proto) {
  switch (proto) {
    case 6:
      return 0;
    case 17:
      return 1;
    case 132:
      return 2;
    default:
      return 3;
  }
}

}  // namespace

PolicyBuilder::PolicyBuilder() {
  starts_[all_v4().first] = {};
  starts_[all_v6().first] = {};
}

PolicyBuilder& PolicyBuilder::addresses(std::string_view text, uint32_t peer,
                                        uint16_t address_class) {
  const std::optional<IpRange> range = IpRange::parse(text);
  assert(range);
  classes_ = std::max<uint16_t>(classes_, static_cast<uint16_t>(address_class + 1));
  if (const auto behind = range->last.next()) {
    const auto before = std::prev(starts_.upper_bound(*behind));
    starts_.try_emplace(*behind, before->second);
  }
  starts_.erase(starts_.lower_bound(range->first), starts_.upper_bound(range->last));
  starts_[range->first] = {peer, address_class, address_class};
  return *this;
}

PolicyBuilder& PolicyBuilder::allow(uint16_t src, uint16_t dst, uint8_t proto, uint16_t first,
                                    uint16_t last, uint16_t rule) {
  Row& row = rows_[{src, dst}];
  if (row.any_rule == 0) row.any_rule = rule;
  for (const uint8_t one : std::initializer_list<uint8_t>{6, 17, 132, 50}) {
    if (proto != 0 && list_of(proto) != list_of(one)) continue;
    auto& entries = row.entries[list_of(one)];
    if (list_of(one) == 3) {
      const uint8_t number = proto == 0 ? 0 : proto;
      entries.push_back({number, rule});
      if (proto != 0) entries.push_back({static_cast<uint16_t>(number + 1), 0});
      continue;
    }
    entries.push_back({first, rule});
    if (last != 0xffff) entries.push_back({static_cast<uint16_t>(last + 1), 0});
  }
  return *this;
}

PolicyBuilder& PolicyBuilder::reason(uint16_t src, uint16_t dst, sp_verdict reason) {
  rows_[{src, dst}].deny_reason = static_cast<uint16_t>(reason);
  return *this;
}

std::vector<uint8_t> PolicyBuilder::blob() const {
  std::vector<uint32_t> v4_keys;
  std::vector<sp_policy_address> v4_values;
  std::vector<sp_policy_v6> v6_keys;
  std::vector<sp_policy_address> v6_values;
  for (const auto& [start, value] : starts_) {
    if (start.is_v4()) {
      v4_keys.push_back(start.v4_number());
      v4_values.push_back(value);
    } else {
      v6_keys.push_back({half(start, 0), half(start, 8)});
      v6_values.push_back(value);
    }
  }
  std::vector<uint8_t> out(sizeof(sp_policy_header));
  sp_policy_header header{};
  header.magic = SP_POLICY_MAGIC;
  header.v4_keys = append(out, v4_keys);
  header.v4_values = append(out, v4_values);
  header.v4_count = static_cast<uint32_t>(v4_keys.size());
  header.v6_keys = append(out, v6_keys);
  header.v6_values = append(out, v6_values);
  header.v6_count = static_cast<uint32_t>(v6_keys.size());
  header.src_classes = header.dst_classes = classes_;
  std::vector<uint32_t> matrix;
  for (uint16_t src = 0; src < classes_; src++) {
    for (uint16_t dst = 0; dst < classes_; dst++) {
      const auto found = rows_.find({src, dst});
      Row row = found == rows_.end() ? Row{} : found->second;
      std::vector<uint16_t> words{row.any_rule, row.deny_reason};
      for (auto& entries : row.entries) {
        std::ranges::stable_sort(entries, {}, &sp_policy_entry::start);
        words.push_back(static_cast<uint16_t>(entries.size()));
      }
      for (const auto& entries : row.entries) {
        for (const sp_policy_entry& entry : entries) {
          words.push_back(entry.start);
          words.push_back(entry.rule);
        }
      }
      matrix.push_back(append(out, words));
    }
  }
  header.matrix = append(out, matrix);
  header.bytes = static_cast<uint32_t>(out.size());
  std::memcpy(out.data(), &header, sizeof(header));
  return out;
}

}  // namespace sallyport::test
