// SPDX-License-Identifier: BSD-3-Clause
/// BLAKE2s-256, and HMAC and HKDF over it as Noise uses them. OpenSSL's, since libsodium has none.
/// Source: RFC 7693; RFC 2104; Noise revision 34, 4.3.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

#include "agent/base/bytes.h"
#include "agent/base/secret.h"

namespace sallyport::noise {

/// Of the parts one after the other.
std::array<uint8_t, 32> blake2s(std::initializer_list<ByteView> parts);

/// Two keys out of a chaining key and more key material, which may be empty.
std::array<Secret<32>, 2> hkdf2(const Secret<32>& chain, ByteView material);

}  // namespace sallyport::noise
