// SPDX-License-Identifier: BSD-3-Clause
/// Helpers around BPF maps: a mapped array, what a map costs, the policy slots.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "bpf/abi/settings.h"

namespace sallyport {

/// The values of a BPF_F_MMAPABLE array, shared with the kernel's programs and every other process
/// that maps it. Moves only.
class MappedArray {
 public:
  MappedArray() = default;
  MappedArray(MappedArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  MappedArray& operator=(MappedArray&& other) noexcept;
  MappedArray(const MappedArray&) = delete;
  MappedArray& operator=(const MappedArray&) = delete;
  ~MappedArray();

  /// `bytes`: of all values, each rounded up to 8.
  static Result<MappedArray> map(int map_fd, size_t bytes);

  template <class T>
  [[nodiscard]] T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

/// Bytes of kernel memory that a map takes, by the kernel's own account. Source: memlock in
/// /proc/self/fdinfo; before 6.3 the kernel estimates it.
size_t map_bytes(int map_fd);

/// The policy that holds, and those that follow it by themselves at their predecessor's end.
struct PolicyLink {
  uint64_t word = 0;
  std::optional<Instant> valid_until;  // nothing: for ever, and no link follows
  friend bool operator==(const PolicyLink&, const PolicyLink&) = default;
};

/// Most links that a packet follows.
inline constexpr size_t kMostPolicyLinks = 4;

/// The maps "policies" and "slots", and settings.word.
class PolicySlots {
 public:
  /// Borrows: the maps and mappings live longer.
  PolicySlots(int policies_fd, sp_slot* slots, sp_settings* settings)
      : policies_fd_(policies_fd), slots_(slots), settings_(settings) {}

  /// A slot with this policy, free until then; it stays taken until the next set_chain(). ENOSPC:
  /// all slots are taken. EINVAL: not a policy. The blob is bpf/abi/policy_blob.h's, at most
  /// SP_POLICY_BYTES.
  Result<uint32_t> load(std::span<const uint8_t> blob);
  /// Makes the chain hold from the next packet on. Its first word is stored at once; when this
  /// returns, no packet is still being judged by an earlier one, and slots outside the chain are
  /// free. Empty: no policy, everything is dropped.
  Result<void> set_chain(std::span<const PolicyLink> chain);
  /// As the kernel has it, so that a restarted agent can go on from there.
  [[nodiscard]] std::vector<PolicyLink> chain() const;
  /// Larger than every generation in use.
  [[nodiscard]] uint64_t next_generation() const;
  /// Bytes of the policies that are loaded.
  [[nodiscard]] size_t bytes() const;

 private:
  [[nodiscard]] bool is_loaded(uint32_t slot) const;
  Result<void> drop(uint32_t slot);

  int policies_fd_;
  sp_slot* slots_;
  sp_settings* settings_;
  std::array<bool, SP_POLICY_SLOTS> reserved_{};  // loaded, not in a chain yet
};

}  // namespace sallyport
