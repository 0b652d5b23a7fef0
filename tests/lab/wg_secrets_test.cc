// SPDX-License-Identifier: BSD-3-Clause
// Keys on their way to the kernel and back leave no copy in our memory.
#include <gtest/gtest.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "kmod-glue/wg.h"
#include "tests/support/own_netns.h"

namespace sallyport {
namespace {

/// A key that is never written down: only its complement is kept.
struct Needle {
  std::array<uint8_t, 32> complement;

  explicit Needle(uint32_t seed) {
    std::mt19937_64 random(seed);
    std::ranges::generate(complement, [&] { return static_cast<uint8_t>(random()); });
    // As WireGuard clamps it: the kernel gives back what it was given.
    complement[0] = static_cast<uint8_t>(complement[0] | 7);
    complement[31] = static_cast<uint8_t>((complement[31] | 128) & ~64);
  }
  [[nodiscard]] Secret<32> key() const {
    std::array<uint8_t, 32> bytes{};
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(~complement[i]);
    const Secret<32> secret{std::span<const uint8_t, 32>(bytes)};
    explicit_bzero(bytes.data(), bytes.size());
    return secret;
  }
  [[nodiscard]] bool at(const uint8_t* place) const {
    for (size_t i = 0; i < complement.size(); ++i) {
      if (static_cast<uint8_t>(~place[i]) != complement[i]) return false;
    }
    return true;
  }
};

/// How often the key lies in these bytes, but for what lies in `except`.
size_t count_in(const Needle& needle, std::span<const uint8_t> bytes, uint64_t address,
                std::span<const uint8_t> except) {
  constexpr size_t kRare = 15;  // of the key's bytes this is looked for first
  const int rare = static_cast<uint8_t>(~needle.complement[kRare]);
  const auto own = reinterpret_cast<uint64_t>(except.data());
  size_t found = 0;
  for (size_t i = kRare; i + 32 - kRare <= bytes.size(); ++i) {
    const void* hit = std::memchr(bytes.data() + i, rare, bytes.size() - (32 - kRare) - i + 1);
    if (hit == nullptr) break;
    i = static_cast<size_t>(static_cast<const uint8_t*>(hit) - bytes.data());
    const uint64_t there = address + i - kRare;
    const bool ours = there >= own && there < own + except.size();
    if (!ours && needle.at(bytes.data() + i - kRare)) ++found;
  }
  return found;
}

/// How often a key lies in our writable memory, freed blocks included. Not on the stack: there the
/// dynamic linker leaves the registers of whoever calls a function for the first time. What is
/// shipped is bound at its start.
size_t copies_of(const Needle& needle) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> maps(std::fopen("/proc/self/maps", "re"),
                                                             std::fclose);
  size_t found = 0;
  std::vector<uint8_t> part(1 << 20);
  std::array<char, 512> line{};
  while (std::fgets(line.data(), line.size(), maps.get()) != nullptr) {
    uint64_t from = 0;
    uint64_t to = 0;
    std::array<char, 5> mode{};
    if (std::sscanf(line.data(), "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, mode.data()) != 3) {
      continue;
    }
    // A sanitizer's shadow is huge and holds no bytes of ours.
    const bool huge = to - from > (uint64_t{64} << 20);
    if (std::strncmp(mode.data(), "rw", 2) != 0 || huge) continue;
    if (std::strstr(line.data(), "[stack]") != nullptr) continue;
    for (uint64_t at = from; at < to; at += part.size() - 31) {
      iovec local{part.data(), part.size()};
      iovec remote{reinterpret_cast<void*>(at), std::min<uint64_t>(part.size(), to - at)};
      const ssize_t got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
      if (got > 0)
        found += count_in(needle, std::span(part).first(static_cast<size_t>(got)), at, part);
    }
  }
  explicit_bzero(part.data(), part.size());
  return found;
}

void use_keys(WireGuard& wg, const Needle& device, const Needle& peer) {
  {
    const auto key = std::make_unique<PrivateKey>(PrivateKey{device.key()});
    EXPECT_EQ(copies_of(device), 1U) << "the search itself must find";
    const auto set = wg.apply(SetDevice{"wg0", *key, {}, {}});
    ASSERT_TRUE(set) << set.error().text();
  }
  {
    SetPeer set{.device = "wg0",
                .public_key = {},
                .create = true,
                .replace_preshared_key = true,
                .preshared_key = PresharedKey{peer.key()},
                .endpoint = {},
                .keepalive_s = {},
                .allowed_ips = {}};
    set.public_key.bytes.fill(9);
    const auto done = wg.apply(set);
    ASSERT_TRUE(done) << done.error().text();
  }
  const auto seen = wg.dump("wg0");
  ASSERT_TRUE(seen && *seen);
  // Both were there and came back.
  ASSERT_TRUE((*seen)->device.private_key);
  EXPECT_TRUE(device.at((*seen)->device.private_key->scalar.reveal().data()));
  ASSERT_EQ((*seen)->device.peers.size(), 1U);
  const auto& psk = (*seen)->device.peers.begin()->second.preshared_key;
  ASSERT_TRUE(psk);
  EXPECT_TRUE(peer.at(psk->bytes.reveal().data()));
}

TEST(lab_wg_secrets, no_key_stays_in_memory) {
  const OwnNetns netns;
  ASSERT_TRUE(netns.entered()) << "needs root";
  auto wg = WireGuard::open();
  ASSERT_TRUE(wg) << wg.error().text();
  const auto made = wg->create_link("wg0");
  ASSERT_TRUE(made) << made.error().text();
  const Needle device(1);
  const Needle peer(2);
  use_keys(*wg, device, peer);
  EXPECT_EQ(copies_of(device), 0U);
  EXPECT_EQ(copies_of(peer), 0U);
}

}  // namespace
}  // namespace sallyport
