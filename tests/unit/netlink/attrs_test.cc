// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/netlink/attrs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kmod-glue/netlink/answer.h"
#include "kmod-glue/netlink/message.h"

namespace sallyport {
namespace {

constexpr AttrPolicy<6> kPolicy{{{},
                                 {Shape::kExact, 4},
                                 {Shape::kAtLeast, 2},
                                 {Shape::kString},
                                 {Shape::kNest},
                                 {Shape::kUnknown}}};
std::optional<Attrs<6>> parse(const Bytes& list) { return Attrs<6>::parse(list, kPolicy); }

TEST(attrs, reads_what_the_policy_names) {
  const Bytes list{8,  0, 1,  0,    1,   2,   3, 4,              // u32
                   7,  0, 2,  0,    5,   6,   7, 0,              // at least 2, padded
                   7,  0, 3,  0,    'w', 'g', 0, 0,              // string
                   12, 0, 4,  0x80, 8,   0,   1, 0, 9, 0, 0, 0,  // nest with a flag bit
                   5,  0, 5,  0,    1,   0,   0, 0,              // not looked at
                   5,  0, 99, 0,    1,   0,   0, 0};             // of a newer kernel
  const auto attrs = parse(list);
  ASSERT_TRUE(attrs);
  EXPECT_EQ(attrs->value<uint32_t>(1), 0x04030201U);
  EXPECT_EQ(attrs->raw(2)->size(), 3U);
  EXPECT_EQ(attrs->string(3), "wg");
  const auto inner = Attrs<6>::parse(attrs->nest(4), kPolicy);
  ASSERT_TRUE(inner);
  EXPECT_EQ(inner->value<uint32_t>(1), 9U);
  EXPECT_FALSE(attrs->has(5));
  EXPECT_FALSE(inner->value<uint16_t>(2)) << "absent";
  EXPECT_EQ(inner->string(3), "");
  EXPECT_TRUE(inner->nest(4).empty());
}

TEST(attrs, last_of_a_type_wins_and_its_padding_may_be_missing) {
  const Bytes list{8, 0, 1, 0, 1, 0, 0, 0, 8, 0, 1, 0, 2, 0, 0, 0, 6, 0, 3, 0, 'a', 'b'};
  const auto attrs = parse(list);
  ASSERT_TRUE(attrs);
  EXPECT_EQ(attrs->value<uint32_t>(1), 2U);
  EXPECT_EQ(attrs->string(3), "ab") << "the kernel's NUL is not relied on";
}

TEST(attrs, refuses) {
  const std::vector<std::pair<const char*, Bytes>> rows{
      {"half a header", {8, 0, 1}},
      {"length below the header", {3, 0, 1, 0}},
      {"length zero, which would never end", {0, 0, 0, 0}},
      {"longer than the list", {9, 0, 1, 0, 1, 2, 3, 4}},
      {"good one, then rubbish", {8, 0, 1, 0, 1, 2, 3, 4, 1}},
      {"exact, too short", {7, 0, 1, 0, 1, 2, 3, 0}},
      {"exact, too long", {9, 0, 1, 0, 1, 2, 3, 4, 5, 0, 0, 0}},
      {"at least, too short", {5, 0, 2, 0, 1, 0, 0, 0}},
      {"string without a byte", {4, 0, 3, 0}},
      {"the longest length", {0xff, 0xff, 1, 0, 1, 2, 3, 4}},
  };
  for (const auto& [why, list] : rows) EXPECT_FALSE(parse(list)) << why;
  EXPECT_TRUE(parse({})) << "an empty list is a list";
}

TEST(attrs, every_truncation_of_a_good_list_is_refused_or_shorter) {
  Message message(256);
  message.begin(1);
  ASSERT_TRUE(message.put_u32(1, 1) && message.put_string(3, "abc") &&
              message.put_nested(4, [&] { return message.put_u32(1, 2); }));
  const ByteView whole = message.bytes().subspan(16);
  for (size_t n = 0; n < whole.size(); ++n) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n));  // for ASan
    const auto attrs = parse(cut);
    const bool at_border = n == 0 || n == 8 || n == 16;
    EXPECT_EQ(attrs.has_value(), at_border) << n;
  }
}

TEST(attrs, random_bytes_never_read_outside) {
  std::mt19937 random(1);
  size_t good = 0;
  for (int i = 0; i < 200'000; ++i) {
    Bytes list(random() % 40);
    for (auto& byte : list)
      byte = static_cast<uint8_t>(random() % 3 == 0 ? random() : random() % 9);
    if (const auto attrs = parse(list)) {
      ++good;
      for (size_t type = 0; type < 6; ++type) {
        for (const uint8_t& byte : attrs->nest(type)) {
          ASSERT_TRUE(&byte >= list.data() && &byte < list.data() + list.size());
        }
      }
    }
  }
  EXPECT_GT(good, 100U) << "the generator must reach the good side too";
}

// --- answers ----------------------------------------------------------------------------------

/// NLMSG_ERROR with extack in the form in which the kernel refuses a private key of 31 bytes: our
/// header quoted, then a text and the offset of the attribute (20 + 8 of the name before it = 28).
const Bytes kExtack{88,   0,    0,    0,    2,    0,   0x00, 0x03, 5,   0,   0,   0,
                    1,    2,    0,    0,     // flags CAPPED | ACK_TLVS, sequence 5
                    0xde, 0xff, 0xff, 0xff,  // -34
                    64,   0,    0,    0,    0x1c, 0,   5,    0,    5,   0,   0,   0,
                    1,    2,    0,    0,  // the header we sent
                    37,   0,    1,    0,    'b',  'i', 'n',  'a',  'r', 'y', ' ', 'a',
                    't',  't',  'r',  'i',  'b',  'u', 't',  'e',  ' ', 's', 'i', 'z',
                    'e',  ' ',  'i',  's',  ' ',  'w', 'r',  'o',  'n', 'g', '.', '.',
                    0,    0,    0,    0,    8,    0,   2,    0,    28,  0,   0,   0};

Bytes short_key_request() {
  Message message(128);
  message.begin_generic(0x1c, 1, 1);
  EXPECT_TRUE(message.put_string(2, "wg0"));
  EXPECT_TRUE(message.put_value(3, std::array<uint8_t, 31>{}));
  return {message.bytes().begin(), message.bytes().end()};
}

TEST(answer, extack_text_and_attribute) {
  Bytes datagram = kExtack;
  datagram[0] = static_cast<uint8_t>(datagram.size());
  AnswerWalk walk(datagram);
  const auto answer = walk.next();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->type, 2);
  EXPECT_EQ(answer->sequence, 5U);
  const auto ack = parse_acknowledgement(*answer, short_key_request());
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->error, 34);
  EXPECT_EQ(ack->words, "binary attribute size is wrong.. (attribute 3)");
  EXPECT_FALSE(walk.next());
  EXPECT_FALSE(walk.malformed());
}

TEST(answer, every_truncation_of_an_extack_is_survived) {
  Bytes whole = kExtack;
  whole[0] = static_cast<uint8_t>(whole.size());
  for (size_t n = 1; n < whole.size(); ++n) {
    Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n));
    AnswerWalk cut_walk(cut);
    EXPECT_FALSE(cut_walk.next()) << n;
    EXPECT_TRUE(cut_walk.malformed()) << n;
    // The same with a header that claims no more than there is.
    if (n < 16) continue;
    cut[0] = static_cast<uint8_t>(n);
    AnswerWalk walk(cut);
    const auto answer = walk.next();
    ASSERT_TRUE(answer) << n;
    const auto ack = parse_acknowledgement(*answer, short_key_request());
    EXPECT_EQ(ack.has_value(), n >= 20) << n;
    if (ack) {
      EXPECT_EQ(ack->error, 34) << n;
    }
  }
}

TEST(answer, done_with_an_error_number) {
  const Answer done{.type = 3, .flags = 2, .sequence = 1, .payload = {}};
  EXPECT_FALSE(parse_acknowledgement(done, {})) << "no number at all";
  for (const auto& [number, error] : std::vector<std::pair<int32_t, std::optional<int>>>{
           {0, 0}, {-19, 19}, {1, std::nullopt}, {INT32_MIN, std::nullopt}}) {
    Answer answer = done;
    answer.payload = {reinterpret_cast<const uint8_t*>(&number), sizeof(number)};
    const auto ack = parse_acknowledgement(answer, {});
    EXPECT_EQ(ack ? std::optional(ack->error) : std::nullopt, error) << number;
  }
}

TEST(answer, two_messages_in_a_datagram) {
  const Bytes datagram{17, 0, 0,  0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0,
                       0,  0, 16, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,    0};
  AnswerWalk walk(datagram);
  const auto first = walk.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->payload.size(), 1U);
  EXPECT_TRUE(first->generic_attrs().empty());
  const auto second = walk.next();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->type, 3);
  EXPECT_FALSE(walk.next());
  EXPECT_FALSE(walk.malformed());
}

}  // namespace
}  // namespace sallyport
