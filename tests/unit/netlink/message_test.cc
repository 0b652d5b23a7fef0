// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/netlink/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>

#include <bit>

namespace sallyport {
namespace {

static_assert(std::endian::native == std::endian::little, "the vectors below are little-endian");

Bytes bytes_of(const Message& message) { return {message.bytes().begin(), message.bytes().end()}; }

TEST(message, bytes_of_every_kind_of_attribute) {
  Message message;
  message.begin_generic(0x1c, 1, 2, NLM_F_EXCL);
  ASSERT_TRUE(message.put_string(2, "wg0"));
  ASSERT_TRUE(message.put_u16(6, 0x1234));
  ASSERT_TRUE(message.put_nested(
      8, [&] { return message.put_u8(1, 0xab) && message.put_u32(3, 7) && message.put_flag(4); }));
  ASSERT_TRUE(message.put_u64(9, 0x0102030405060708));
  // clang-format off
  const Bytes expected{
      // nlmsghdr: length 72, type, flags, sequence, port
      72, 0, 0, 0,  0x1c, 0, 0x00, 0x02,  0, 0, 0, 0,  0, 0, 0, 0,
      1, 2, 0, 0,                                          // genlmsghdr
      8, 0, 2, 0, 'w', 'g', '0', 0,
      6, 0, 6, 0, 0x34, 0x12, 0, 0,                        // padded to 4
      24, 0, 8, 0x80,                                      // NLA_F_NESTED
        5, 0, 1, 0, 0xab, 0, 0, 0,
        8, 0, 3, 0, 7, 0, 0, 0,
        4, 0, 4, 0,
      12, 0, 9, 0, 8, 7, 6, 5, 4, 3, 2, 1,
  };
  // clang-format on
  EXPECT_EQ(bytes_of(message), expected);
}

TEST(message, what_does_not_fit_leaves_no_trace) {
  // Header 16, then room for exactly 12.
  Message message(28);
  message.begin(1);
  ASSERT_TRUE(message.put_u32(1, 1));
  const Bytes before = bytes_of(message);
  EXPECT_FALSE(message.put_u8(2, 1));
  EXPECT_FALSE(message.put_string(2, ""));
  EXPECT_FALSE(message.put_header(uint64_t{1}));
  EXPECT_EQ(bytes_of(message), before);
  EXPECT_TRUE(message.put_flag(2)) << "four bytes are left, and an empty attribute has four";
  EXPECT_FALSE(message.put_flag(2));
  EXPECT_FALSE(message.put_nested(3, [] { return true; }));
  EXPECT_EQ(message.size(), 28U);
}

TEST(message, nest_is_whole_or_absent) {
  Message message(60);
  message.begin(1);
  ASSERT_TRUE(message.put_u32(1, 1));
  const Bytes before = bytes_of(message);
  EXPECT_FALSE(message.put_nested(2, [&] {
    return message.put_u32(1, 1) && message.put_nested(2, [&] {
      return message.put_u64(3, 1) && message.put_u64(3, 2);  // the second is too much
    });
  }));
  EXPECT_EQ(bytes_of(message), before);

  size_t put = 0;
  EXPECT_TRUE(message.put_nested(2, [&] {
    while (message.put_u32(1, 1)) ++put;
    return put > 0;
  }));
  EXPECT_EQ(put, 4U);  // 60 - 24 - 4 of the nest, 8 each
  EXPECT_EQ(message.size(), 60U);
}

TEST(message, full_nest_of_the_largest_message_keeps_its_length) {
  Message message(Message::kMostBytes);
  message.begin(1);
  ASSERT_TRUE(message.put_nested(1, [&] {
    while (message.put_u32(1, 0)) {
    }
    return true;
  }));
  uint16_t length = 0;
  std::memcpy(&length, message.bytes().data() + 16, sizeof(length));
  EXPECT_EQ(length, message.size() - 16);
  EXPECT_GT(length, 65000);
}

TEST(message, string_ends_with_nul_and_clean_padding) {
  Message message(64);
  message.begin(1);
  ASSERT_TRUE(message.put_u64(1, UINT64_MAX));
  message.begin(1);
  ASSERT_TRUE(message.put_string(5, std::string_view("abcdXXXX").substr(0, 4)));
  const ByteView tail = message.bytes().subspan(16);
  EXPECT_THAT(Bytes(tail.begin(), tail.end()),
              testing::ElementsAre(9, 0, 5, 0, 'a', 'b', 'c', 'd', 0, 0, 0, 0));
}

TEST(message, what_was_in_it_is_wiped) {
  Message message(256);
  const auto in_buffer = [&](uint8_t byte) {
    // All of the buffer, not only what is in use now.
    const ByteView all(message.bytes().data(), message.capacity());
    return std::ranges::count(all, byte);
  };
  const std::array<uint8_t, 32> key = [] {
    std::array<uint8_t, 32> bytes{};
    bytes.fill(0xee);
    return bytes;
  }();
  message.begin(1);
  ASSERT_TRUE(message.put_value(3, key));
  EXPECT_EQ(in_buffer(0xee), 32);
  message.begin(1);
  EXPECT_EQ(in_buffer(0xee), 0);
  EXPECT_FALSE(message.put_nested(1, [&] { return message.put_value(3, key) && false; }));
  EXPECT_EQ(in_buffer(0xee), 0);
}

TEST(message, copy_of_a_whole_message) {
  Message built(64);
  built.begin(7, 3);
  ASSERT_TRUE(built.put_u32(1, 9));
  Message copy(64);
  ASSERT_TRUE(copy.begin_with(built.bytes()));
  EXPECT_EQ(bytes_of(copy), bytes_of(built));
  Message small(20);
  EXPECT_FALSE(small.begin_with(built.bytes()));
  EXPECT_FALSE(copy.begin_with(built.bytes().first(20))) << "its header says more";
  EXPECT_FALSE(copy.begin_with(built.bytes().first(3)));
}

}  // namespace
}  // namespace sallyport
