// SPDX-License-Identifier: BSD-3-Clause
/// Records of the control protocol, after the handshake.
///
///   record   04 + u16 length (big-endian) + ciphertext, its tag of 16 bytes included
///
/// ChaCha20-Poly1305 without associated data; the nonce is 4 zero bytes and a 64-bit counter that
/// is BIG-endian (Noise's own is little-endian) and starts at 0. There is no rekeying. Records are
/// a byte stream cut anywhere; an empty one is allowed. Any error ends the connection.
/// Source: tailscale control/controlbase/conn.go.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "agent/base/secret.h"

namespace sallyport::noise {

constexpr size_t kTag = 16;
constexpr size_t kRecordHead = 3;
/// A whole record.
constexpr size_t kMaxRecord = 4096;
constexpr size_t kMaxPlain = kMaxRecord - kRecordHead - kTag;

enum class RecordError : uint8_t {
  kType,       // no record
  kLength,     // over kMaxRecord, or no room for a tag
  kForged,     // altered, reordered or lost on its way
  kExhausted,  // 2^64 - 1 records, or an earlier error
};

/// A record at the start of a stream that may hold more.
/// Nothing: more bytes are needed. Borrows from the stream.
Result<std::optional<ByteView>, RecordError> next_record(ByteView stream);

/// One direction's key and counter. Seals or opens, never both.
class RecordKey {
 public:
  explicit RecordKey(const Secret<32>& key) : key_(key) {}

  /// A record into `out`, plain.size() + 19 bytes. Empty: no room there, over kMaxPlain, or
  /// exhausted. `plain` may lie at out + kRecordHead, but not elsewhere in `out`.
  ByteView seal(ByteView plain, std::span<uint8_t> out);
  /// The text of a whole record, into `plain`, which has record.size() - 19 bytes at least. It may
  /// be the record's own ciphertext (record + kRecordHead). After an error nothing opens any more.
  Result<ByteView, RecordError> open(ByteView record, std::span<uint8_t> plain);

 private:
  using Nonce = std::array<uint8_t, 12>;
  /// Nothing: used up.
  std::optional<Nonce> next_nonce();

  Secret<32> key_;
  uint64_t counter_ = 0;
};

/// Both directions of one end.
struct Transport {
  RecordKey to_peer;
  RecordKey from_peer;
  /// The same on both ends and on no other connection.
  std::array<uint8_t, 32> handshake_hash{};
};

}  // namespace sallyport::noise
