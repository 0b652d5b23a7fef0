// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/map_frame/map_frame.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include "tests/support/vectors.h"

namespace sallyport::map_frame {
namespace {

const Vectors& vectors() {
  static const Vectors kVectors(SALLYPORT_SOURCE_DIR "/tests/vectors/map_frame.txt");
  return kVectors;
}
const std::string kRepeats = [] {
  std::string text = R"({"Domain":")";
  for (int i = 0; i < 512; ++i) text += "abcdefgh";
  return text + R"("})";
}();

Result<std::string, MapFrameError> text_in(ByteView payload, size_t max = kMaxJson) {
  Decompressor decompressor(max);
  Bytes json;
  const auto done = decompressor.decompress(payload, json);
  if (!done) {
    EXPECT_TRUE(json.empty());
    return Fail{done.error()};
  }
  return text_of(json);
}

TEST(map_frame, the_references_frames_are_read) {
  const std::map<std::string, std::string> cases{
      {"keep_alive", R"({"KeepAlive":true})"}, {"empty", ""}, {"repeats", kRepeats}};
  for (const auto& [name, text] : cases) {
    const Bytes frame = vectors().bytes(name);
    const auto payload = next(frame);
    ASSERT_TRUE(payload && *payload) << name;
    EXPECT_EQ((*payload)->size() + kHead, frame.size()) << name;
    EXPECT_EQ(text_in(**payload).value(), text) << name;
  }
}

TEST(map_frame, goes_both_ways) {
  Compressor compressor;
  Decompressor decompressor;
  Bytes stream;
  const std::array<std::string, 3> texts{"{}", kRepeats, R"({"KeepAlive":true})"};
  for (const std::string& text : texts) ASSERT_TRUE(compressor.append(view_of(text), stream));
  ByteView rest = stream;
  Bytes json;
  for (const std::string& text : texts) {
    const auto payload = next(rest);
    ASSERT_TRUE(payload && *payload);
    ASSERT_TRUE(decompressor.decompress(**payload, json));
    EXPECT_EQ(text_of(json), text);
    rest = rest.subspan(kHead + (*payload)->size());
  }
  EXPECT_TRUE(rest.empty());
  EXPECT_LT(stream.size(), 200U);
}

TEST(map_frame, plain_json_for_who_asks_for_no_zstd) {
  Bytes out;
  ASSERT_TRUE(append_plain(view_of("{}"), out));
  EXPECT_EQ(out, from_hex("02000000 7b7d"));
}

TEST(map_frame, length_is_little_endian_and_bounded) {
  const Bytes frame = vectors().bytes("keep_alive");
  for (size_t i = 0; i < frame.size(); ++i) {
    const auto partial = next(ByteView(frame).first(i));
    ASSERT_TRUE(partial);
    EXPECT_FALSE(*partial) << i;
  }
  EXPECT_EQ(next(from_hex("00000000")).error(), MapFrameError::kEmpty);
  EXPECT_EQ(next(from_hex("01004000")).error(), MapFrameError::kTooLong);
  EXPECT_EQ(next(from_hex("00004000")).value(), std::nullopt);
  EXPECT_EQ(next(from_hex("03000000"), 2).error(), MapFrameError::kTooLong);
}

TEST(map_frame, the_text_is_bounded_by_the_frames_own_word) {
  Compressor compressor;
  Bytes frame;
  ASSERT_TRUE(compressor.append(view_of(kRepeats), frame));
  const ByteView payload = ByteView(frame).subspan(kHead);
  EXPECT_EQ(text_in(payload, kRepeats.size()).value(), kRepeats);
  EXPECT_EQ(text_in(payload, kRepeats.size() - 1).error(), MapFrameError::kTooLong);
}

/// A frame whose head does not say how long the text is, as a streaming compressor makes it.
Bytes without_length(std::string_view text, int window_log = 0) {
  Bytes out(ZSTD_compressBound(text.size()));
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  ZSTD_inBuffer from{text.data(), text.size(), 0};
  ZSTD_compressStream2(context, &to, &from, ZSTD_e_flush);  // so that the end comes unannounced
  EXPECT_EQ(ZSTD_compressStream2(context, &to, &from, ZSTD_e_end), 0U);
  ZSTD_freeCCtx(context);
  out.resize(to.pos);
  return out;
}

TEST(map_frame, a_text_of_unknown_length_is_bounded_too) {
  const std::string big(300'000, 'x');
  const Bytes payload = without_length(big);
  EXPECT_EQ(ZSTD_getFrameContentSize(payload.data(), payload.size()), ZSTD_CONTENTSIZE_UNKNOWN);
  EXPECT_EQ(text_in(payload).value(), big);
  EXPECT_EQ(text_in(payload, big.size()).value(), big);
  EXPECT_EQ(text_in(payload, big.size() - 1).error(), MapFrameError::kTooLong);
  EXPECT_EQ(text_in(payload, 10).error(), MapFrameError::kTooLong);
}

TEST(map_frame, a_window_past_the_bound_is_refused) {
  const std::string big(100'000, 'x');
  EXPECT_TRUE(text_in(without_length(big, 23)));
  EXPECT_EQ(text_in(without_length(big, 27)).error(), MapFrameError::kNotZstd);
}

TEST(map_frame, broken_frames_are_refused) {
  const Bytes frame = vectors().bytes("repeats");
  const ByteView payload = ByteView(frame).subspan(kHead);
  for (size_t i = 0; i < payload.size(); ++i) {
    EXPECT_FALSE(text_in(payload.first(i))) << i;
  }
  EXPECT_EQ(text_in(view_of("{}")).error(), MapFrameError::kNotZstd);
  Bytes twice = bytes_of(payload);
  twice.insert(twice.end(), payload.begin(), payload.end());
  EXPECT_EQ(text_in(twice).error(), MapFrameError::kNotZstd);
  Bytes checksum = bytes_of(payload);
  checksum.back() ^= 1;
  EXPECT_EQ(text_in(checksum).error(), MapFrameError::kNotZstd);
}

TEST(map_frame, a_broken_frame_spoils_no_later_one) {
  Decompressor decompressor;
  const Bytes frame = vectors().bytes("repeats");
  const ByteView payload = ByteView(frame).subspan(kHead);
  Bytes json;
  for (const size_t cut : {size_t{1}, payload.size() / 2, payload.size() - 1}) {
    EXPECT_FALSE(decompressor.decompress(payload.first(cut), json));
    EXPECT_TRUE(decompressor.decompress(payload, json));
    EXPECT_EQ(text_of(json), kRepeats);
  }
}

}  // namespace
}  // namespace sallyport::map_frame
