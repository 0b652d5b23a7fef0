// SPDX-License-Identifier: BSD-3-Clause
#include "agent/model/tailnet_keys.h"

#include <sodium.h>

#include <cstdlib>
#include <span>

namespace sallyport {
namespace {

constexpr std::string_view kNodePrefix = "nodekey:";
constexpr std::string_view kPrivatePrefix = "privkey:";
constexpr std::string_view kLockPrivatePrefix = "nlpriv:";
constexpr std::string_view kLockShownPrefix = "tlpub:";

constexpr std::string_view prefix_of(KeyKind kind) {
  switch (kind) {
    case KeyKind::kMachine:
      return "mkey:";
    case KeyKind::kDisco:
      return "discokey:";
    case KeyKind::kChallenge:
      return "chalpub:";
    case KeyKind::kLock:
      return "nlpub:";
  }
  return {};
}

template <size_t N>
bool parse_hex(std::string_view text, std::string_view prefix, std::array<uint8_t, N>& out) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  size_t length = 0;
  return text.size() == 2 * N &&
         sodium_hex2bin(out.data(), N, text.data(), text.size(), nullptr, &length, nullptr) == 0 &&
         length == N;
}

template <size_t N>
std::string hex_text(std::string_view prefix, std::span<const uint8_t, N> bytes) {
  std::array<char, 2 * N + 1> hex{};
  sodium_bin2hex(hex.data(), hex.size(), bytes.data(), N);
  std::string out(prefix);
  out.append(hex.data(), 2 * N);
  sodium_memzero(hex.data(), hex.size());
  return out;
}

}  // namespace

template <KeyKind kind>
std::optional<TailnetKey<kind>> TailnetKey<kind>::parse(std::string_view text) {
  TailnetKey key;
  if (parse_hex(text, prefix_of(kind), key.bytes)) return key;
  if (kind == KeyKind::kLock && parse_hex(text, kLockShownPrefix, key.bytes)) return key;
  return {};
}

template <KeyKind kind>
std::string TailnetKey<kind>::text() const {
  return hex_text(prefix_of(kind), std::span(bytes));
}

template struct TailnetKey<KeyKind::kMachine>;
template struct TailnetKey<KeyKind::kDisco>;
template struct TailnetKey<KeyKind::kChallenge>;
template struct TailnetKey<KeyKind::kLock>;

std::optional<NodeKey> parse_node_key(std::string_view text) {
  NodeKey node_key;
  if (!parse_hex(text, kNodePrefix, node_key.bytes)) return {};
  return node_key;
}

std::string node_key_text(const NodeKey& node_key) {
  return hex_text(kNodePrefix, std::span(node_key.bytes));
}

std::string short_text(const NodeKey& node_key) {
  if (node_key.is_zero()) return {};
  return "[" + node_key.text().substr(0, 5) + "]";
}

std::string short_text(const DiscoKey& disco_key) {
  if (disco_key.is_zero()) return {};
  return hex_text("d:", std::span(disco_key.bytes).first<8>());
}

std::optional<PrivateKey> parse_private_key(std::string_view text) {
  std::array<uint8_t, 32> raw{};
  if (!parse_hex(text, kPrivatePrefix, raw)) return {};
  PrivateKey out = clamped(raw);
  sodium_memzero(raw.data(), raw.size());
  return out;
}

std::string reveal_private_key_text(const PrivateKey& private_key) {
  return hex_text(kPrivatePrefix, private_key.scalar.reveal());
}

LockPrivateKey LockPrivateKey::generate() {
  if (sodium_init() < 0) std::abort();  // no randomness: nothing of ours may go on
  std::array<uint8_t, 32> shown{};
  std::array<uint8_t, 64> raw{};
  crypto_sign_ed25519_keypair(shown.data(), raw.data());
  LockPrivateKey out{Secret<64>(raw)};
  sodium_memzero(raw.data(), raw.size());
  return out;
}

std::optional<LockPrivateKey> LockPrivateKey::parse(std::string_view text) {
  std::array<uint8_t, 64> raw{};
  if (!parse_hex(text, kLockPrivatePrefix, raw)) return {};
  LockPrivateKey out{Secret<64>(raw)};
  // Signing with a public half that is not the seed's would give the seed away.
  std::array<uint8_t, 32> shown{};
  std::array<uint8_t, 64> whole{};
  crypto_sign_ed25519_seed_keypair(shown.data(), whole.data(), raw.data());
  const bool same = out == LockPrivateKey{Secret<64>(whole)};
  sodium_memzero(raw.data(), raw.size());
  sodium_memzero(whole.data(), whole.size());
  if (!same) return {};
  return out;
}

LockKey LockPrivateKey::public_key() const {
  LockKey out;
  crypto_sign_ed25519_sk_to_pk(out.bytes.data(), bytes.reveal().data());
  return out;
}

std::string LockPrivateKey::reveal_text() const {
  return hex_text(kLockPrivatePrefix, bytes.reveal());
}

}  // namespace sallyport
