// SPDX-License-Identifier: BSD-3-Clause
/// NaCl's box as DERP and disco use it: X25519, XSalsa20, Poly1305. The 16 bytes of the tag stand
/// before the ciphertext. Source: https://nacl.cr.yp.to/box.html
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "agent/base/bytes.h"
#include "agent/base/secret.h"
#include "agent/model/keys.h"

namespace sallyport {

constexpr size_t kBoxTag = 16;
/// Drawn at random by the caller for each message: 24 bytes do not meet twice.
using BoxNonce = std::array<uint8_t, 24>;

/// The key that two private keys' owners share. Making one costs a multiplication on the curve
/// (tens of microseconds): make it once a peer. Sealing and opening cost what the cipher does.
class BoxKey {
 public:
  /// Nothing: `peer` is one of the few points that give every private key the same secret.
  static std::optional<BoxKey> between(const PrivateKey& own, std::span<const uint8_t, 32> peer);

  /// Fills `sealed`, plain.size() + kBoxTag bytes; the two may overlap.
  void seal(const BoxNonce& nonce, ByteView plain, std::span<uint8_t> sealed) const;
  /// Fills `plain`, sealed.size() - kBoxTag bytes; the two may overlap. False: sealed.size() is
  /// under kBoxTag, or it was not sealed with this key and nonce; `plain` is as it was.
  [[nodiscard]] bool open(const BoxNonce& nonce, ByteView sealed, std::span<uint8_t> plain) const;

  /// For whoever must open boxes elsewhere.
  [[nodiscard]] const Secret<32>& secret() const { return key_; }

 private:
  explicit BoxKey(std::span<const uint8_t, 32> key) : key_(key) {}

  Secret<32> key_;
};

}  // namespace sallyport
