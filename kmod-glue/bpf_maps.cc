// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/bpf_maps.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "bpf/abi/policy_blob.h"

namespace sallyport {
namespace {

size_t whole_pages(size_t bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

// When this returns, no program runs that began before it. Source: membarrier(2), the global
// command waits for a grace period of RCU, under which BPF programs run.
Result<void> wait_for_running_programs() {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0) {
    return fail(errno, "waiting for packets under way (membarrier)");
  }
  return {};
}

void store_word(uint64_t* word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
uint64_t load_word(const uint64_t* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

Result<Fd> make_policy_map(std::span<const uint8_t> blob) {
  bpf_map_create_opts options{};
  options.sz = sizeof(options);
  options.map_flags = BPF_F_MMAPABLE;
  Fd map(
      bpf_map_create(BPF_MAP_TYPE_ARRAY, "policy", sizeof(uint32_t), SP_POLICY_BYTES, 1, &options));
  if (!map.valid()) return fail(errno, "making a policy map");
  // Written through a mapping: an update by system call would take a block of the whole size here.
  const MappedArray bytes = TRY(MappedArray::map(map.raw(), SP_POLICY_BYTES));
  std::memcpy(bytes.as<uint8_t>(), blob.data(), blob.size());
  return map;
}

}  // namespace

MappedArray& MappedArray::operator=(MappedArray&& other) noexcept {
  if (this == &other) return *this;
  if (data_ != nullptr) munmap(data_, bytes_);
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

MappedArray::~MappedArray() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

Result<MappedArray> MappedArray::map(int map_fd, size_t bytes) {
  MappedArray out;
  out.bytes_ = whole_pages(bytes);
  void* data = mmap(nullptr, out.bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (data == MAP_FAILED) return fail(errno, "mapping a BPF array");
  out.data_ = data;
  return out;
}

size_t map_bytes(int map_fd) {
  const std::string path = fmt::format("/proc/self/fdinfo/{}", map_fd);
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file) return 0;
  std::array<char, 128> line{};
  size_t bytes = 0;
  while (std::fgets(line.data(), static_cast<int>(line.size()), file.get()) != nullptr) {
    if (std::sscanf(line.data(), "memlock: %zu", &bytes) == 1) break;
  }
  return bytes;
}

bool PolicySlots::is_loaded(uint32_t slot) const {
  uint32_t inner_id = 0;
  return bpf_map_lookup_elem(policies_fd_, &slot, &inner_id) == 0;
}

Result<void> PolicySlots::drop(uint32_t slot) {
  if (bpf_map_delete_elem(policies_fd_, &slot) != 0 && errno != ENOENT) {
    return fail(errno, fmt::format("freeing policy slot {}", slot));
  }
  return {};
}

Result<uint32_t> PolicySlots::load(std::span<const uint8_t> blob) {
  sp_policy_header header{};
  if (blob.size() < sizeof(header) || blob.size() > SP_POLICY_BYTES) {
    return fail(EINVAL, fmt::format("loading a policy of {} bytes", blob.size()));
  }
  std::memcpy(&header, blob.data(), sizeof(header));
  if (header.magic != SP_POLICY_MAGIC) return fail(EINVAL, "loading a policy without its magic");

  std::array<bool, SP_POLICY_SLOTS> taken = reserved_;
  for (const PolicyLink& link : chain()) taken.at(SP_WORD_SLOT(link.word)) = true;
  const auto free = std::ranges::find(taken, false);
  if (free == taken.end()) return fail(ENOSPC, "loading a policy: all slots are taken");
  const auto slot = static_cast<uint32_t>(free - taken.begin());

  const Fd map = TRY(make_policy_map(blob));
  const int raw = map.raw();
  if (bpf_map_update_elem(policies_fd_, &slot, &raw, BPF_ANY) != 0) {
    return fail(errno, fmt::format("putting a policy into slot {}", slot));
  }
  reserved_.at(slot) = true;
  return slot;
}

Result<void> PolicySlots::set_chain(std::span<const PolicyLink> chain) {
  if (chain.size() > kMostPolicyLinks)
    return fail(EINVAL, "a policy chain of more than four links");
  std::array<bool, SP_POLICY_SLOTS> kept{};
  for (const PolicyLink& link : chain) {
    const uint32_t slot = SP_WORD_SLOT(link.word);
    if (SP_WORD_GENERATION(link.word) == 0 || slot >= SP_POLICY_SLOTS || !is_loaded(slot)) {
      return fail(EINVAL, fmt::format("policy word {:#x} names no loaded slot", link.word));
    }
    kept.at(slot) = true;
  }
  // From the back: whoever follows the chain meanwhile finds each link's successor in place.
  for (size_t i = chain.size(); i-- > 0;) {
    sp_slot& slot = slots_[SP_WORD_SLOT(chain[i].word)];
    store_word(&slot.next_word, i + 1 < chain.size() ? chain[i + 1].word : 0);
    const auto until = chain[i].valid_until;
    store_word(&slot.valid_until_ns,
               until ? static_cast<uint64_t>(until->time_since_epoch().count()) : 0);
  }
  store_word(&settings_->word, chain.empty() ? 0 : chain.front().word);
  TRY(wait_for_running_programs());
  reserved_.fill(false);
  for (uint32_t slot = 0; slot < SP_POLICY_SLOTS; slot++) {
    if (!kept.at(slot) && is_loaded(slot)) TRY(drop(slot));
  }
  return {};
}

std::vector<PolicyLink> PolicySlots::chain() const {
  std::vector<PolicyLink> out;
  uint64_t word = load_word(&settings_->word);
  while (word != 0 && out.size() < kMostPolicyLinks) {
    const uint32_t index = SP_WORD_SLOT(word);
    if (index >= SP_POLICY_SLOTS) break;
    const uint64_t until = load_word(&slots_[index].valid_until_ns);
    out.push_back({word, {}});
    if (until == 0) break;
    out.back().valid_until = Instant(Duration(static_cast<int64_t>(until)));
    word = load_word(&slots_[index].next_word);
  }
  return out;
}

uint64_t PolicySlots::next_generation() const {
  uint64_t most = 0;
  for (const PolicyLink& link : chain()) {
    most = std::max<uint64_t>(most, SP_WORD_GENERATION(link.word));
  }
  return most + 1;
}

size_t PolicySlots::bytes() const {
  size_t sum = 0;
  for (uint32_t slot = 0; slot < SP_POLICY_SLOTS; slot++) {
    if (is_loaded(slot)) sum += SP_POLICY_BYTES;
  }
  return sum;
}

}  // namespace sallyport
