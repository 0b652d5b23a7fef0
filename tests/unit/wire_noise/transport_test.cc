// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/noise/transport.h"

#include <gtest/gtest.h>

#include "tests/support/vectors.h"

namespace sallyport::noise {
namespace {

Secret<32> secret() {
  std::array<uint8_t, 32> raw{};
  raw.fill(9);
  return Secret<32>(raw);
}

struct Ends {
  RecordKey sealing{secret()};
  RecordKey opening{secret()};
  std::array<uint8_t, kMaxRecord> buffer{};

  Bytes sealed(std::string_view text) { return bytes_of(sealing.seal(view_of(text), buffer)); }
  Result<ByteView, RecordError> opened(const Bytes& record) { return opening.open(record, buffer); }
};

TEST(record, any_length_up_to_the_longest_goes_through) {
  Ends ends;
  for (const size_t length : {size_t{0}, size_t{1}, kMaxPlain - 1, kMaxPlain}) {
    const std::string text(length, 'x');
    const Bytes record = ends.sealed(text);
    EXPECT_EQ(record.size(), length + 19);
    const auto plain = ends.opened(record);
    ASSERT_TRUE(plain) << length;
    EXPECT_EQ(text_of(*plain), text);
  }
  EXPECT_EQ(kMaxPlain, 4077U);
  EXPECT_TRUE(ends.sealed(std::string(kMaxPlain + 1, 'x')).empty());
}

TEST(record, is_sealed_and_opened_in_place) {
  Ends ends;
  std::array<uint8_t, 64> buffer{};
  std::ranges::copy(view_of("hello"), buffer.begin() + kRecordHead);
  const ByteView record = ends.sealing.seal(ByteView(buffer).subspan(kRecordHead, 5), buffer);
  EXPECT_EQ(bytes_of(record), Ends().sealed("hello"));
  const auto plain = ends.opening.open(record, std::span(buffer).subspan(kRecordHead));
  ASSERT_TRUE(plain);
  EXPECT_EQ(text_of(*plain), "hello");
}

TEST(record, replayed_lost_or_reordered_ones_end_the_connection) {
  Ends replayed;
  const Bytes first = replayed.sealed("one");
  EXPECT_TRUE(replayed.opened(first));
  EXPECT_EQ(replayed.opened(first).error(), RecordError::kForged);
  EXPECT_EQ(replayed.opened(replayed.sealed("two")).error(), RecordError::kExhausted);

  Ends lost;
  (void)lost.sealed("one");
  EXPECT_EQ(lost.opened(lost.sealed("two")).error(), RecordError::kForged);
}

TEST(record, altered_ones_open_nothing) {
  const Bytes good = Ends().sealed("text");
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= 1;
    EXPECT_FALSE(Ends().opened(bad)) << i;
    EXPECT_FALSE(Ends().opened(bytes_of(ByteView(good).first(i)))) << i;
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_EQ(Ends().opened(longer).error(), RecordError::kLength);
}

TEST(record, room_is_needed) {
  Ends ends;
  std::array<uint8_t, 23> buffer{};
  EXPECT_TRUE(ends.sealing.seal(view_of("text"), std::span(buffer).first(22)).empty());
  const Bytes record = bytes_of(ends.sealing.seal(view_of("text"), buffer));
  EXPECT_EQ(record, Ends().sealed("text")) << "the failed one took no nonce";
  EXPECT_EQ(ends.opening.open(record, std::span(buffer).first(3)).error(), RecordError::kLength);
  EXPECT_TRUE(ends.opening.open(record, std::span(buffer).first(4)));
}

TEST(record, a_stream_is_cut_into_records) {
  Ends ends;
  Bytes stream = ends.sealed("one");
  const size_t first = stream.size();
  const Bytes second = ends.sealed("two");
  stream.insert(stream.end(), second.begin(), second.end());
  for (size_t i = 0; i < first; ++i) {
    EXPECT_FALSE(next_record(ByteView(stream).first(i)).value()) << i;
  }
  EXPECT_EQ(next_record(stream).value()->size(), first);
  EXPECT_EQ(bytes_of(next_record(ByteView(stream).subspan(first)).value().value()), second);
}

TEST(record, heads_that_are_none) {
  EXPECT_EQ(next_record(from_hex("03 0010")).error(), RecordError::kType);
  EXPECT_EQ(next_record(from_hex("04 000f")).error(), RecordError::kLength);
  EXPECT_EQ(next_record(from_hex("04 0ffe")).error(), RecordError::kLength);
  EXPECT_EQ(next_record(from_hex("04 0ffd")).value(), std::nullopt);
}

}  // namespace
}  // namespace sallyport::noise
