// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/state_file.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "agent/base/bytes.h"

namespace sallyport {
namespace {

// A slot: u64 generation, 32 bytes of BLAKE2b over generation and content, content.
constexpr size_t kDigest = 32;
constexpr size_t kHead = sizeof(uint64_t) + kDigest;

std::array<uint8_t, kHead> head_of(uint64_t generation, std::string_view content) {
  std::array<uint8_t, kHead> head{};
  for (size_t i = 0; i < sizeof generation; ++i) {
    head[i] = static_cast<uint8_t>(generation >> (56 - 8 * i));
  }
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, kDigest);
  crypto_generichash_update(&state, head.data(), sizeof generation);
  crypto_generichash_update(&state, reinterpret_cast<const uint8_t*>(content.data()),
                            content.size());
  crypto_generichash_final(&state, head.data() + sizeof generation, kDigest);
  return head;
}

Result<std::string> read_whole(const Fd& fd, size_t limit) {
  std::string out;
  constexpr size_t kChunk = size_t{64} * 1024;
  while (out.size() <= limit) {
    const size_t before = out.size();
    out.resize(before + kChunk);
    const ssize_t count =
        ::pread(fd.raw(), out.data() + before, kChunk, static_cast<off_t>(before));
    out.resize(before + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(errno, "read the state");
    if (count == 0) return out;
  }
  return fail(EFBIG, "read the state");
}

Result<void> write_at(const Fd& fd, std::string_view content, size_t at) {
  while (!content.empty()) {
    const ssize_t count =
        ::pwrite(fd.raw(), content.data(), content.size(), static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(errno, "write the state");
    content.remove_prefix(static_cast<size_t>(count));
    at += static_cast<size_t>(count);
  }
  return {};
}

struct Slot {
  uint64_t generation = 0;
  std::string content;
};
/// Nothing: empty, or torn.
std::optional<Slot> parse_slot(const std::string& text) {
  if (text.size() < kHead) return std::nullopt;
  ByteReader in({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  Slot slot{in.u64(), text.substr(kHead)};
  const auto head = head_of(slot.generation, slot.content);
  if (std::memcmp(head.data(), text.data(), kHead) != 0) return std::nullopt;
  return slot;
}

}  // namespace

Result<StateFile> StateFile::open(const std::string& path, size_t limit_bytes) {
  std::array<Fd, 2> slots;
  for (size_t i = 0; i < slots.size(); ++i) {
    const std::string name = path + "." + std::to_string(i);
    slots[i] = Fd(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    struct stat about{};
    if (!slots[i].valid() || ::fstat(slots[i].raw(), &about) != 0) return fail(errno, name);
    if (!S_ISREG(about.st_mode)) return fail(EINVAL, name);
    if (::fchmod(slots[i].raw(), 0600) != 0) return fail(errno, name);
  }
  return adopt(std::move(slots), limit_bytes);
}

Result<StateFile> StateFile::adopt(std::array<Fd, 2> slots, size_t limit_bytes) {
  StateFile file(std::move(slots), limit_bytes);
  TRY(file.load());  // where to go on
  return file;
}

Result<std::string> StateFile::load() {
  Slot best;
  for (size_t i = 0; i < slots_.size(); ++i) {
    auto slot = parse_slot(TRY(read_whole(slots_[i], limit_ + kHead)));
    if (!slot || slot->generation <= best.generation) continue;
    best = std::move(*slot);
    next_slot_ = 1 - i;
  }
  generation_ = best.generation;
  return std::move(best.content);
}

Result<void> StateFile::store(std::string_view content) {
  if (content.size() > limit_) return fail(EFBIG, "write the state");
  const Fd& slot = slots_[next_slot_];
  const auto head = head_of(generation_ + 1, content);
  if (::ftruncate(slot.raw(), 0) != 0) return fail(errno, "write the state");
  TRY(write_at(slot, content, kHead));
  TRY(write_at(slot, {reinterpret_cast<const char*>(head.data()), head.size()}, 0));
  if (::fsync(slot.raw()) != 0) return fail(errno, "write the state");
  ++generation_;
  next_slot_ = 1 - next_slot_;
  return {};
}

}  // namespace sallyport
