// SPDX-License-Identifier: BSD-3-Clause
/// The body of a long poll: no text is longer than the bound, and each survives our own compressor.
#include <cstdlib>

#include "agent/wire/map_frame/map_frame.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport;
  constexpr size_t kMost = 65536;
  static map_frame::Decompressor decompressor(kMost);
  static map_frame::Compressor compressor;
  ByteView stream(data, size);
  Bytes json;
  for (;;) {
    const auto payload = map_frame::next(stream);
    if (!payload || !*payload) return 0;
    stream = stream.subspan(map_frame::kHead + (*payload)->size());
    if (!decompressor.decompress(**payload, json)) {
      if (!json.empty()) std::abort();
      continue;
    }
    if (json.size() > kMost) std::abort();
    Bytes frame;
    if (!compressor.append(json, frame)) std::abort();
    Bytes again;
    const auto done = decompressor.decompress(map_frame::next(frame).value().value(), again);
    if (!done || again != json) std::abort();
  }
}
