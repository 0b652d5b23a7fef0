// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/noise/blake2s.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace sallyport::noise {
namespace {

using Digest = std::array<uint8_t, 32>;

/// HMAC. Source: RFC 2104 2; BLAKE2s takes blocks of 64 bytes.
Secret<32> hmac(const Secret<32>& key, std::initializer_list<ByteView> parts) {
  constexpr size_t kBlock = 64;
  std::array<uint8_t, kBlock> inner_key{};
  std::array<uint8_t, kBlock> outer_key{};
  std::ranges::copy(key.reveal(), inner_key.begin());
  outer_key = inner_key;
  for (uint8_t& byte : inner_key) byte ^= 0x36;
  for (uint8_t& byte : outer_key) byte ^= 0x5c;

  std::array<ByteView, 3> inner_parts{ByteView(inner_key)};
  std::ranges::copy(parts, inner_parts.begin() + 1);
  Digest inner = blake2s({inner_parts[0], inner_parts[1], inner_parts[2]});
  Digest outer = blake2s({outer_key, inner});
  const Secret<32> out{std::span<const uint8_t, 32>(outer)};
  explicit_bzero(inner_key.data(), kBlock);
  explicit_bzero(outer_key.data(), kBlock);
  explicit_bzero(inner.data(), inner.size());
  explicit_bzero(outer.data(), outer.size());
  return out;
}

}  // namespace

std::array<uint8_t, 32> blake2s(std::initializer_list<ByteView> parts) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  Digest out{};
  bool good = context && EVP_DigestInit_ex(context.get(), EVP_blake2s256(), nullptr) == 1;
  for (const ByteView part : parts) {
    good = good && EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
  }
  // No memory, or a configuration of OpenSSL without this hash: no handshake of ours can be made.
  if (!good || EVP_DigestFinal_ex(context.get(), out.data(), nullptr) != 1) std::abort();
  return out;
}

std::array<Secret<32>, 2> hkdf2(const Secret<32>& chain, ByteView material) {
  constexpr std::array<uint8_t, 1> kFirst{1};
  constexpr std::array<uint8_t, 1> kSecond{2};
  const Secret<32> base = hmac(chain, {material});
  const Secret<32> first = hmac(base, {kFirst});
  return {first, hmac(base, {first.reveal(), kSecond})};
}

}  // namespace sallyport::noise
