// SPDX-License-Identifier: BSD-3-Clause
/// What a pair of classes may do with each other: the rows of a compiled policy, equal ones once.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/policy/compile.h"

namespace sallyport {

class RowTable {
 public:
  /// `input` must outlive this. `room`: bytes that all rows may take.
  RowTable(const PolicyInput& input, size_t room);

  /// The row, as an offset into data(), for a pair whose rules are the common bits of both: bit i
  /// is rule i, those of the ceiling come behind. `reason`: of a denial if no rule serves the pair.
  /// The bits must stay where they are as long as this lives. Nothing: no room left.
  std::optional<size_t> of(std::span<const uint64_t> src_rules, std::span<const uint64_t> dst_rules,
                           sp_verdict reason);

  [[nodiscard]] size_t size() const { return offsets_.size(); }
  [[nodiscard]] size_t bytes() const { return data_.size() * sizeof(uint16_t); }
  /// sp_policy_row and its entries, row after row.
  [[nodiscard]] const std::vector<uint16_t>& data() const { return data_; }

 private:
  using Halfwords = std::vector<uint16_t>;
  /// What rules let through, without from and to. Many rules share one.
  struct Service {
    std::array<std::vector<PortRange>, 3> ports;  // TCP, UDP, SCTP; empty: nothing of it
    std::vector<PortRange> others;                // protocol numbers
  };
  /// A pair that stands for all with the same bits and reason.
  struct Seen {
    std::span<const uint64_t> src;
    std::span<const uint64_t> dst;
    sp_verdict reason;
    std::optional<size_t> row;
  };
  struct Serving {
    std::vector<uint32_t> rules;    // first of each service, in order; without our own
    std::vector<uint32_t> ceiling;  // likewise
    std::optional<uint32_t> own;
  };

  uint32_t service_of(const Rule& rule);
  Serving serving(std::span<const uint64_t> src, std::span<const uint64_t> dst);
  Halfwords build(const Serving& serving, sp_verdict reason) const;
  std::optional<size_t> put(Halfwords row);

  const PolicyInput& input_;
  size_t room_;
  std::vector<const Rule*> rules_;  // the ceiling's behind the others
  std::vector<uint32_t> service_;   // by rule
  std::vector<Service> services_;
  std::map<std::pair<std::vector<IpProto>, std::vector<PortRange>>, uint32_t> service_numbers_;
  std::vector<uint64_t> stamps_;  // by service and list: the last pair that had it
  uint64_t stamp_ = 0;
  std::unordered_map<uint64_t, std::vector<Seen>> seen_;
  std::unordered_map<std::string, size_t> offsets_;
  std::vector<uint16_t> data_;
};

}  // namespace sallyport
