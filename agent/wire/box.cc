// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/box.h"

#include <sodium.h>

#include <cassert>

namespace sallyport {

static_assert(kBoxTag == crypto_box_MACBYTES);
static_assert(std::tuple_size_v<BoxNonce> == crypto_box_NONCEBYTES);

std::optional<BoxKey> BoxKey::between(const PrivateKey& own, std::span<const uint8_t, 32> peer) {
  std::array<uint8_t, 32> shared{};
  if (crypto_box_beforenm(shared.data(), peer.data(), own.scalar.reveal().data()) != 0) return {};
  BoxKey key{std::span<const uint8_t, 32>(shared)};
  sodium_memzero(shared.data(), shared.size());
  return key;
}

void BoxKey::seal(const BoxNonce& nonce, ByteView plain, std::span<uint8_t> sealed) const {
  assert(sealed.size() == plain.size() + kBoxTag);
  crypto_box_easy_afternm(sealed.data(), plain.data(), plain.size(), nonce.data(),
                          key_.reveal().data());
}

bool BoxKey::open(const BoxNonce& nonce, ByteView sealed, std::span<uint8_t> plain) const {
  if (sealed.size() < kBoxTag) return false;
  assert(plain.size() == sealed.size() - kBoxTag);
  return crypto_box_open_easy_afternm(plain.data(), sealed.data(), sealed.size(), nonce.data(),
                                      key_.reveal().data()) == 0;
}

}  // namespace sallyport
