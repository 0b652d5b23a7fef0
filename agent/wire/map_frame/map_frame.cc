// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/map_frame/map_frame.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace sallyport::map_frame {
namespace {

// The reference's level is its library's fastest.
constexpr int kLevel = 1;
/// Of a text whose length is not in its head, so that a window is kept beside it: 8 MiB, what
/// RFC 8878 3.1.1.1.2 recommends to support.
constexpr int kMaxWindowLog = 23;
constexpr size_t kFirstGuess = size_t{64} * 1024;

std::array<uint8_t, kHead> head_of(size_t length) {
  std::array<uint8_t, kHead> head{};
  for (size_t i = 0; i < kHead; ++i) head[i] = static_cast<uint8_t>(length >> (8 * i));
  return head;
}

/// The text of a frame that says how long it is: straight into its place, without a window.
bool decompress_known(ZSTD_DCtx* context, ByteView payload, Bytes& json, size_t length) {
  json.resize(length);
  const size_t got =
      ZSTD_decompressDCtx(context, json.data(), json.size(), payload.data(), payload.size());
  return ZSTD_isError(got) == 0 && got == length;
}

Result<void, MapFrameError> decompress_growing(ZSTD_DCtx* context, ByteView payload, Bytes& json,
                                               size_t max) {
  ZSTD_inBuffer in{payload.data(), payload.size(), 0};
  json.resize(std::min(max, kFirstGuess));
  ZSTD_outBuffer out{json.data(), json.size(), 0};
  for (;;) {
    const size_t left = ZSTD_decompressStream(context, &out, &in);
    if (ZSTD_isError(left) != 0) return Fail{MapFrameError::kNotZstd};
    if (left == 0) break;
    if (out.pos < out.size) return Fail{MapFrameError::kNotZstd};  // it wants more input
    if (json.size() == max) return Fail{MapFrameError::kTooLong};
    json.resize(std::min(max, json.size() * 2));
    out.dst = json.data();
    out.size = json.size();
  }
  json.resize(out.pos);
  return {};
}

}  // namespace

Result<std::optional<ByteView>, MapFrameError> next(ByteView stream, size_t max) {
  if (stream.size() < kHead) return std::optional<ByteView>();
  size_t length = 0;
  for (size_t i = 0; i < kHead; ++i) length |= size_t{stream[i]} << (8 * i);
  if (length == 0) return Fail{MapFrameError::kEmpty};
  if (length > max) return Fail{MapFrameError::kTooLong};
  if (stream.size() - kHead < length) return std::optional<ByteView>();
  return std::optional(stream.subspan(kHead, length));
}

void Decompressor::Free::operator()(ZSTD_DCtx_s* context) const { ZSTD_freeDCtx(context); }

Decompressor::Decompressor(size_t max_json) : max_json_(max_json), context_(ZSTD_createDCtx()) {
  if (!context_) std::abort();  // no memory
  ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
}

Result<void, MapFrameError> Decompressor::decompress(ByteView payload, Bytes& json) {
  json.clear();
  // One frame and no more: two texts in a row would be read as one.
  if (ZSTD_findFrameCompressedSize(payload.data(), payload.size()) != payload.size()) {
    return Fail{MapFrameError::kNotZstd};
  }
  const unsigned long long length =  // NOLINT(google-runtime-int): zstd's type
      ZSTD_getFrameContentSize(payload.data(), payload.size());
  if (length == ZSTD_CONTENTSIZE_ERROR) return Fail{MapFrameError::kNotZstd};
  ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
  if (length == ZSTD_CONTENTSIZE_UNKNOWN) {
    const auto done = decompress_growing(context_.get(), payload, json, max_json_);
    if (!done) json.clear();
    return done;
  }
  if (length > max_json_) return Fail{MapFrameError::kTooLong};
  if (decompress_known(context_.get(), payload, json, static_cast<size_t>(length))) return {};
  json.clear();
  return Fail{MapFrameError::kNotZstd};
}

void Compressor::Free::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }

Compressor::Compressor() : context_(ZSTD_createCCtx()) {
  if (!context_) std::abort();  // no memory
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
}

bool Compressor::append(ByteView json, Bytes& out) {
  if (json.size() > kMaxJson) return false;
  const size_t before = out.size();
  out.resize(before + kHead + ZSTD_compressBound(json.size()));
  uint8_t* const payload = out.data() + before + kHead;
  const size_t length = ZSTD_compress2(context_.get(), payload, out.size() - before - kHead,
                                       json.data(), json.size());
  if (ZSTD_isError(length) != 0) std::abort();  // the room is enough: no memory
  std::ranges::copy(head_of(length), payload - kHead);
  out.resize(before + kHead + length);
  return true;
}

bool append_plain(ByteView json, Bytes& out) {
  if (json.size() > kMaxJson) return false;
  const auto head = head_of(json.size());
  out.insert(out.end(), head.begin(), head.end());
  out.insert(out.end(), json.begin(), json.end());
  return true;
}

}  // namespace sallyport::map_frame
