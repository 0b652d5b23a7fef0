// SPDX-License-Identifier: BSD-3-Clause
/// Cuts the address space at every edge of a set and gives equal pieces one number.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "agent/model/ip.h"
#include "agent/policy/ownership.h"

namespace sallyport {

/// Sets of small numbers, all of the same width, in one block of memory.
class BitRows {
 public:
  explicit BitRows(size_t bits) : words_((bits + 63) / 64) {}
  [[nodiscard]] size_t size() const { return words_ == 0 ? count_ : data_.size() / words_; }
  [[nodiscard]] size_t words() const { return words_; }
  /// Empty or as given. Borrowed views of other rows end here.
  std::span<uint64_t> add();
  void add(std::span<const uint64_t> row);
  [[nodiscard]] std::span<const uint64_t> operator[](size_t row) const {
    return std::span(data_).subspan(row * words_, words_);
  }
  [[nodiscard]] std::span<uint64_t> at(size_t row) {
    return std::span(data_).subspan(row * words_, words_);
  }

 private:
  size_t words_;
  size_t count_ = 0;
  std::vector<uint64_t> data_;
};
inline void set_bit(std::span<uint64_t> row, size_t bit) {
  row[bit / 64] |= uint64_t{1} << (bit % 64);
}
inline bool has_bit(std::span<const uint64_t> row, size_t bit) {
  return ((row[bit / 64] >> (bit % 64)) & 1) != 0;
}

/// Address sets by number: equal sets, which most rules share, have one.
class AddressSets {
 public:
  uint32_t add(std::vector<IpRange> ranges);
  [[nodiscard]] size_t size() const { return sets_.size(); }
  [[nodiscard]] const std::vector<std::vector<IpRange>>& all() const { return sets_; }

 private:
  std::vector<std::vector<IpRange>> sets_;
  std::map<std::vector<IpRange>, uint32_t> numbers_;
};

struct ClassInterval {
  IpAddress start;
  uint32_t peer = 0;
  uint32_t src_class = 0;
  uint32_t dst_class = 0;
};

/// `src` and `dst` hold a row for each class: the sets that all of its addresses are in.
struct AddressClasses {
  std::vector<ClassInterval> v4;  // the first starts at the family's first address
  std::vector<ClassInterval> v6;
  BitRows src;
  BitRows dst;
};

AddressClasses classify(const AddressSets& sources, const AddressSets& destinations,
                        const std::vector<OwnedRange>& owned);

}  // namespace sallyport
