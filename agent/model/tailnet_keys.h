// SPDX-License-Identifier: BSD-3-Clause
/// The keys of a tailnet in the text forms of the control protocol: a prefix that names the kind,
/// then the bytes in hex (written in lower case, read in either).
/// Source: tailscale types/key.
///
/// An empty string is no key. "Not set" is an absent member or 64 zeros, which parse as the zero
/// key: is_zero().
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/secret.h"
#include "agent/model/keys.h"

namespace sallyport {

enum class KeyKind : uint8_t {
  kMachine,    // "mkey:" a machine to its control server: Noise's static key; also the server's own
  kDisco,      // "discokey:" path discovery; lives as long as a run of the node
  kChallenge,  // "chalpub:" the server's, for a proof of the node key
  kLock,       // "nlpub:", or "tlpub:" as people see it: Ed25519, tailnet lock
};

/// A public key of 32 bytes. All but the lock's are Curve25519 points.
template <KeyKind kind>
struct TailnetKey {
  std::array<uint8_t, 32> bytes{};

  /// The prefix of this kind and 64 hex digits, nothing else.
  static std::optional<TailnetKey> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool is_zero() const { return bytes == std::array<uint8_t, 32>{}; }
  friend auto operator<=>(const TailnetKey&, const TailnetKey&) = default;
};
extern template struct TailnetKey<KeyKind::kMachine>;
extern template struct TailnetKey<KeyKind::kDisco>;
extern template struct TailnetKey<KeyKind::kChallenge>;
extern template struct TailnetKey<KeyKind::kLock>;

using MachineKey = TailnetKey<KeyKind::kMachine>;
using DiscoKey = TailnetKey<KeyKind::kDisco>;
using ChallengeKey = TailnetKey<KeyKind::kChallenge>;
using LockKey = TailnetKey<KeyKind::kLock>;

/// A node's key in a tailnet is its WireGuard key, and its address at a DERP server.
using NodeKey = PublicKey;

/// "nodekey:" and 64 hex digits.
std::optional<NodeKey> parse_node_key(std::string_view text);
std::string node_key_text(const NodeKey& node_key);

/// As logs of the field show them, for people only: "[AbCd1]", the first 5 of its base64 digits,
/// and "d:0123456789abcdef". Empty for a zero key.
std::string short_text(const NodeKey& node_key);
std::string short_text(const DiscoKey& disco_key);

/// Any 32 bytes as a private key of Curve25519 (RFC 7748 5).
PrivateKey clamped(std::array<uint8_t, 32> raw);

/// "privkey:" and 64 hex digits: machine and node keys in a state file. Clamped.
std::optional<PrivateKey> parse_private_key(std::string_view text);
/// The secret itself: only for the file that it is meant for.
std::string reveal_private_key_text(const PrivateKey& private_key);

/// Signs for tailnet lock: an Ed25519 seed and its public key.
struct LockPrivateKey {
  Secret<64> bytes;

  static LockPrivateKey generate();
  /// "nlpriv:" and 128 hex digits; nothing if the second half is not the public key of the first.
  static std::optional<LockPrivateKey> parse(std::string_view text);
  [[nodiscard]] LockKey public_key() const;
  [[nodiscard]] std::string reveal_text() const;
  friend bool operator==(const LockPrivateKey&, const LockPrivateKey&) = default;
};

}  // namespace sallyport
