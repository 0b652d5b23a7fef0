// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/noise/transport.h"

#include <sodium.h>

#include <limits>

#include "agent/base/span_writer.h"
#include "agent/wire/noise/message_type.h"

namespace sallyport::noise {

Result<std::optional<ByteView>, RecordError> next_record(ByteView stream) {
  ByteReader in(stream);
  const uint8_t type = in.u8();
  const size_t length = in.u16();
  if (!in.ok()) return std::optional<ByteView>();
  if (type != static_cast<uint8_t>(MessageType::kRecord)) return Fail{RecordError::kType};
  if (length < kTag || length > kMaxRecord - kRecordHead) return Fail{RecordError::kLength};
  if (length > in.left()) return std::optional<ByteView>();
  return std::optional(stream.first(kRecordHead + length));
}

std::optional<RecordKey::Nonce> RecordKey::next_nonce() {
  if (counter_ == std::numeric_limits<uint64_t>::max()) return {};
  Nonce nonce{};
  SpanWriter out(nonce);
  out.u32(0);
  out.u64(counter_++);
  return nonce;
}

ByteView RecordKey::seal(ByteView plain, std::span<uint8_t> out) {
  const size_t sealed = plain.size() + kTag;
  if (plain.size() > kMaxPlain || out.size() < kRecordHead + sealed) return {};
  const auto nonce = next_nonce();
  if (!nonce) return {};
  crypto_aead_chacha20poly1305_ietf_encrypt(out.data() + kRecordHead, nullptr, plain.data(),
                                            plain.size(), nullptr, 0, nullptr, nonce->data(),
                                            key_.reveal().data());
  SpanWriter head(out);
  head.u8(static_cast<uint8_t>(MessageType::kRecord));
  head.u16(static_cast<uint16_t>(sealed));
  return out.first(kRecordHead + sealed);
}

Result<ByteView, RecordError> RecordKey::open(ByteView record, std::span<uint8_t> plain) {
  const auto whole = TRY(next_record(record));
  if (!whole || whole->size() != record.size()) return Fail{RecordError::kLength};
  const ByteView sealed = record.subspan(kRecordHead);
  if (plain.size() < sealed.size() - kTag) return Fail{RecordError::kLength};
  const auto nonce = next_nonce();
  if (!nonce) return Fail{RecordError::kExhausted};
  if (crypto_aead_chacha20poly1305_ietf_decrypt(plain.data(), nullptr, nullptr, sealed.data(),
                                                sealed.size(), nullptr, 0, nonce->data(),
                                                key_.reveal().data()) != 0) {
    counter_ = std::numeric_limits<uint64_t>::max();
    return Fail{RecordError::kForged};
  }
  return ByteView(plain.first(sealed.size() - kTag));
}

}  // namespace sallyport::noise
