// SPDX-License-Identifier: BSD-3-Clause
#include "agent/model/tailnet_keys.h"

#include <gtest/gtest.h>

#include "tests/support/vectors.h"

namespace sallyport {
namespace {

const Vectors& vectors() {
  static const Vectors kVectors(SALLYPORT_SOURCE_DIR "/tests/vectors/keys.txt");
  return kVectors;
}

TEST(tailnet_keys, private_keys_give_the_references_public_ones) {
  const auto node = parse_private_key(vectors().text("node.private"));
  ASSERT_TRUE(node);
  EXPECT_EQ(node_key_text(node->public_key()), vectors().text("node.public"));
  EXPECT_EQ(reveal_private_key_text(*node), vectors().text("node.private"));
  const auto machine = parse_private_key(vectors().text("machine.private"));
  ASSERT_TRUE(machine);
  EXPECT_EQ(MachineKey{machine->public_key().bytes}.text(), vectors().text("machine.public"));
}

template <class Key>
void expect_round_trip(const std::string& name) {
  const std::string text = vectors().text(name);
  const auto key = Key::parse(text);
  ASSERT_TRUE(key) << text;
  EXPECT_EQ(key->text(), text);
  EXPECT_FALSE(key->is_zero());
}

TEST(tailnet_keys, texts_go_both_ways) {
  expect_round_trip<MachineKey>("machine.public");
  expect_round_trip<DiscoKey>("disco.public");
  expect_round_trip<ChallengeKey>("challenge.public");
  expect_round_trip<LockKey>("lock.public");
  EXPECT_EQ(node_key_text(parse_node_key(vectors().text("node.public")).value()),
            vectors().text("node.public"));
}

TEST(tailnet_keys, the_kind_is_part_of_the_text) {
  EXPECT_FALSE(MachineKey::parse(vectors().text("disco.public")));
  EXPECT_FALSE(DiscoKey::parse(vectors().text("machine.public")));
  EXPECT_FALSE(parse_node_key(vectors().text("machine.public")));
  EXPECT_FALSE(parse_private_key(vectors().text("node.public")));
  EXPECT_FALSE(MachineKey::parse(vectors().text("lock.shown")));
}

TEST(tailnet_keys, nothing_but_the_digits_is_a_key) {
  const std::string good = vectors().text("machine.public");
  EXPECT_FALSE(MachineKey::parse(""));
  EXPECT_FALSE(MachineKey::parse("mkey:"));
  EXPECT_FALSE(MachineKey::parse(good.substr(0, good.size() - 1)));
  EXPECT_FALSE(MachineKey::parse(good + "0"));
  EXPECT_FALSE(MachineKey::parse(good + " "));
  EXPECT_FALSE(MachineKey::parse(" " + good));
  for (const char c : {'g', 'z', ':', ' ', '\0', '\x80'}) {
    std::string bad = good;
    bad[10] = c;
    EXPECT_FALSE(MachineKey::parse(bad)) << int{c};
  }
}

TEST(tailnet_keys, digits_are_read_in_either_case_and_written_in_lower) {
  EXPECT_EQ(MachineKey::parse("mkey:" + std::string(64, 'A')).value().text(),
            "mkey:" + std::string(64, 'a'));
}

TEST(tailnet_keys, a_zero_key_is_a_value_that_says_so) {
  const auto zero = parse_node_key(vectors().text("node.zero"));
  ASSERT_TRUE(zero);
  EXPECT_TRUE(zero->is_zero());
  EXPECT_EQ(node_key_text({}), vectors().text("node.zero"));
  EXPECT_EQ(short_text(NodeKey{}), "");
  EXPECT_EQ(short_text(DiscoKey{}), "");
}

TEST(tailnet_keys, short_forms) {
  EXPECT_EQ(short_text(parse_node_key(vectors().text("node.public")).value()),
            vectors().text("node.short"));
  EXPECT_EQ(short_text(DiscoKey::parse(vectors().text("disco.public")).value()),
            vectors().text("disco.short"));
}

TEST(tailnet_keys, private_keys_are_clamped) {
  const auto key = parse_private_key("privkey:" + std::string(64, 'f'));
  ASSERT_TRUE(key);
  EXPECT_EQ(reveal_private_key_text(*key), "privkey:f8" + std::string(60, 'f') + "7f");
}

TEST(tailnet_keys, lock_keys) {
  const auto lock = LockPrivateKey::parse(vectors().text("lock.private"));
  ASSERT_TRUE(lock);
  EXPECT_EQ(lock->public_key().text(), vectors().text("lock.public"));
  EXPECT_EQ(lock->reveal_text(), vectors().text("lock.private"));
  EXPECT_EQ(LockKey::parse(vectors().text("lock.shown")), lock->public_key());

  std::string halves_differ = vectors().text("lock.private");
  halves_differ.back() = halves_differ.back() == '0' ? '1' : '0';
  EXPECT_FALSE(LockPrivateKey::parse(halves_differ));

  const LockPrivateKey made = LockPrivateKey::generate();
  EXPECT_EQ(LockPrivateKey::parse(made.reveal_text()), made);
  EXPECT_NE(made, LockPrivateKey::generate());
}

}  // namespace
}  // namespace sallyport
