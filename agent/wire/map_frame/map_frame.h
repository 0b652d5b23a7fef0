// SPDX-License-Identifier: BSD-3-Clause
/// How map responses lie in the body of a long poll.
///
///   frame   u32 length, LITTLE-endian + one whole zstd frame of one JSON text
///
/// A client that asks for zstd (all of today's do, and accept nothing else) gets every frame so, a
/// keepalive too. To one that does not, the JSON goes as it is.
/// Source: tailscale control/controlclient/direct.go, util/zstdframe; RFC 8878.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "agent/base/bytes.h"
#include "agent/base/result.h"

// zstd's own, kept out of this header.
struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace sallyport::map_frame {

constexpr size_t kHead = 4;
/// What the reference's command-line client takes at most of one compressed frame.
constexpr size_t kMaxCompressed = size_t{4} * 1024 * 1024;
/// Of one JSON text: about 10,000 peers come to 20 MB.
constexpr size_t kMaxJson = size_t{64} * 1024 * 1024;

enum class MapFrameError : uint8_t {
  kEmpty,    // a frame of no bytes
  kTooLong,  // over the caller's bound, compressed or not
  kNotZstd,  // no frame of zstd, more than one, or a broken one
};

/// The payload of the frame at the start of `stream`, borrowed. Nothing: more bytes are needed.
/// A length over `max` is refused as soon as it is there. The frame is kHead bytes longer.
Result<std::optional<ByteView>, MapFrameError> next(ByteView stream, size_t max = kMaxCompressed);

/// Keeps zstd's tables (about 130 KB) from one frame to the next.
class Decompressor {
 public:
  /// No text longer than this.
  explicit Decompressor(size_t max_json = kMaxJson);

  /// The JSON of a payload into `json`, whose memory is reused; it gets as long as the text is and
  /// the frame's head says, never longer than the bound. On an error it is empty.
  Result<void, MapFrameError> decompress(ByteView payload, Bytes& json);

 private:
  struct Free {
    void operator()(ZSTD_DCtx_s* context) const;
  };

  size_t max_json_;
  std::unique_ptr<ZSTD_DCtx_s, Free> context_;
};

/// The server's side.
class Compressor {
 public:
  Compressor();

  /// Appends a whole frame to `out`. False: the text is over kMaxJson; nothing is appended.
  [[nodiscard]] bool append(ByteView json, Bytes& out);

 private:
  struct Free {
    void operator()(ZSTD_CCtx_s* context) const;
  };

  std::unique_ptr<ZSTD_CCtx_s, Free> context_;
};

/// A frame for a client that did not ask for zstd, appended to `out`. False: as above.
[[nodiscard]] bool append_plain(ByteView json, Bytes& out);

}  // namespace sallyport::map_frame
