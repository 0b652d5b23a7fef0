// SPDX-License-Identifier: BSD-3-Clause
#include "agent/model/keys.h"

#include <sodium.h>

#include <algorithm>
#include <cstdlib>

#include "agent/model/tailnet_keys.h"

namespace sallyport {
namespace {

using Raw = std::array<uint8_t, 32>;

void ready() {
  if (sodium_init() < 0) std::abort();  // no randomness: nothing of ours may go on
}

std::optional<Raw> decode(std::string_view base64) {
  Raw out{};
  size_t length = 0;
  // libsodium 1.0.18 takes some bytes beyond ASCII for digits.
  const bool ascii = std::ranges::all_of(base64, [](char c) { return (c & 0x80) == 0; });
  if (base64.size() != 44 || !ascii ||
      sodium_base642bin(out.data(), out.size(), base64.data(), base64.size(), nullptr, &length,
                        nullptr, sodium_base64_VARIANT_ORIGINAL) != 0 ||
      length != out.size()) {
    return {};
  }
  return out;
}

std::string encode(std::span<const uint8_t, 32> raw) {
  std::array<char, sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL)> out{};
  sodium_bin2base64(out.data(), out.size(), raw.data(), raw.size(), sodium_base64_VARIANT_ORIGINAL);
  return out.data();
}

Raw random32() {
  ready();
  Raw out{};
  randombytes_buf(out.data(), out.size());
  return out;
}

}  // namespace

PrivateKey clamped(Raw raw) {
  raw[0] &= 248;
  raw[31] = static_cast<uint8_t>((raw[31] & 127) | 64);
  PrivateKey out{Secret<32>(raw)};
  explicit_bzero(raw.data(), raw.size());
  return out;
}

std::optional<PublicKey> PublicKey::parse(std::string_view base64) {
  const auto raw = decode(base64);
  if (!raw) return {};
  return PublicKey{*raw};
}

std::string PublicKey::text() const { return encode(bytes); }

PrivateKey PrivateKey::generate() { return clamped(random32()); }

std::optional<PrivateKey> PrivateKey::parse(std::string_view base64) {
  const auto raw = decode(base64);
  if (!raw) return {};
  return clamped(*raw);
}

PublicKey PrivateKey::public_key() const {
  ready();
  PublicKey out;
  crypto_scalarmult_base(out.bytes.data(), scalar.reveal().data());
  return out;
}

std::string PrivateKey::reveal_text() const { return encode(scalar.reveal()); }

PresharedKey PresharedKey::generate() { return {Secret<32>(random32())}; }

std::optional<PresharedKey> PresharedKey::parse(std::string_view base64) {
  const auto raw = decode(base64);
  if (!raw) return {};
  return PresharedKey{Secret<32>(*raw)};
}

std::string PresharedKey::reveal_text() const { return encode(bytes.reveal()); }

}  // namespace sallyport
