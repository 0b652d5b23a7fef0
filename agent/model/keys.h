// SPDX-License-Identifier: BSD-3-Clause
/// WireGuard's keys: Curve25519 points and scalars, 32 bytes, written in base64.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/secret.h"

namespace sallyport {

/// A node's public key.
struct PublicKey {
  std::array<uint8_t, 32> bytes{};

  /// 44 characters of standard base64.
  static std::optional<PublicKey> parse(std::string_view base64);
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool is_zero() const { return bytes == std::array<uint8_t, 32>{}; }
  friend auto operator<=>(const PublicKey&, const PublicKey&) = default;
};

/// A node's private key, clamped (RFC 7748 5).
struct PrivateKey {
  Secret<32> scalar;

  static PrivateKey generate();
  static std::optional<PrivateKey> parse(std::string_view base64);
  [[nodiscard]] PublicKey public_key() const;
  /// The secret in base64: only for the file or screen that it is meant for.
  [[nodiscard]] std::string reveal_text() const;
  friend bool operator==(const PrivateKey&, const PrivateKey&) = default;
};

/// Mixed into every handshake with one peer.
struct PresharedKey {
  Secret<32> bytes;

  static PresharedKey generate();
  static std::optional<PresharedKey> parse(std::string_view base64);
  [[nodiscard]] std::string reveal_text() const;
  friend bool operator==(const PresharedKey&, const PresharedKey&) = default;
};

}  // namespace sallyport
