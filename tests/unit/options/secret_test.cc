// SPDX-License-Identifier: BSD-3-Clause
/// Secrets, files beside config.yaml, and the bounds of what is read.
#include "agent/options/document.h"
#include "tests/unit/options/reader.h"

namespace sallyport::options {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kSecret = "AFxkRkGxJgoMqnsjsbKXVPmTrdxbmpLVTRZd2RoiHGc=";

std::string with_preshared(const std::string& value) {
  return std::string("version: 1\npeers:\n  - name: a\n    public_key: ") + kKeyA +
         "\n    allowed_ips: [10.0.0.2]\n    preshared_key: " + value + "\n";
}
std::string with_private(const std::string& value) {
  return "version: 1\nnode:\n  private_key: " + value + "\n";
}

TEST(secret, is_read_from_a_file) {
  const std::string text = std::string(kSecret) + "\n";
  const auto reading = read_one(with_preshared("file:/k/psk"), pretend({{"/k/psk", text}}));
  ASSERT_THAT(complaints(reading), IsEmpty());
  EXPECT_EQ(reading->config.peers[0].preshared_key->reveal_text(), kSecret);
  EXPECT_THAT(reading->warnings, IsEmpty());
}

TEST(secret, path_is_beside_the_file_that_names_it) {
  const auto reading =
      read_one(with_preshared("file:psk"), pretend({{"/etc/sallyport/psk", kSecret}}));
  ASSERT_THAT(complaints(reading), IsEmpty());
  EXPECT_TRUE(reading->config.peers[0].preshared_key.has_value());
}

TEST(secret, literal_works_with_a_warning_that_does_not_repeat_it) {
  const auto reading = read_one(with_preshared(kSecret));
  ASSERT_THAT(complaints(reading), IsEmpty());
  EXPECT_EQ(reading->config.peers[0].preshared_key->reveal_text(), kSecret);
  ASSERT_THAT(reading->warnings, SizeIs(1));
  EXPECT_EQ(
      reading->warnings[0].text(),
      "/etc/sallyport/config.yaml:6:20: preshared_key is written out in the file (put it into "
      "a file of its own, mode 600, and write file:PATH)");
}

TEST(secret, absent_file_of_a_peer_is_a_mistake) {
  EXPECT_THAT(complaints(read_one(with_preshared("file:/k/psk"))),
              ElementsAre("c.yaml:6:20: preshared_key: there is no file \"/k/psk\""));
}

TEST(secret, own_key_that_does_not_exist_is_made_later) {
  const auto reading = read_one(with_private("file:/k/own"));
  ASSERT_THAT(complaints(reading), IsEmpty());
  EXPECT_EQ(reading->config.node.private_key_file, "/k/own");
  EXPECT_FALSE(reading->config.node.private_key.has_value());
}

TEST(secret, own_key_is_read) {
  const auto reading = read_one(with_private("file:/k/own"), pretend({{"/k/own", kSecret}}));
  ASSERT_THAT(complaints(reading), IsEmpty());
  ASSERT_TRUE(reading->config.node.private_key.has_value());
  EXPECT_EQ(reading->config.node.private_key->public_key(),
            PrivateKey::parse(kSecret)->public_key());
}

TEST(secret, unreadable_file_says_why_and_what_helps) {
  const auto outside = pretend({{"/k/psk", "!cannot read it\nchmod 600 /k/psk"}});
  EXPECT_THAT(complaints(read_one(with_preshared("file:/k/psk"), outside)),
              ElementsAre("c.yaml:6:20: preshared_key: cannot read it (chmod 600 /k/psk)"));
}

TEST(secret, file_without_a_key) {
  const auto outside = pretend({{"/k/psk", "hunter2"}});
  EXPECT_THAT(complaints(read_one(with_preshared("file:/k/psk"), outside)),
              ElementsAre("c.yaml:6:20: preshared_key: the file \"/k/psk\" holds no WireGuard key, "
                          "expected 44 characters of base64"));
}

TEST(secret, mistyped_one_is_not_repeated) {
  const std::string almost = std::string(kSecret).substr(1);
  for (const auto& said : complaints(read_one(with_preshared(almost))))
    EXPECT_THAT(said, Not(HasSubstr(almost.substr(5, 10))));
}

TEST(secret, peer_with_our_own_key) {
  const std::string own = PrivateKey::parse(kSecret)->public_key().text();
  const auto reading = read_one(std::string("version: 1\nnode: {private_key: ") + kSecret +
                                "}\npeers:\n  - name: a\n    public_key: " + own +
                                "\n    allowed_ips: [10.0.0.2]\n");
  EXPECT_THAT(complaints(reading),
              ElementsAre("c.yaml:5:17: public_key \"" + own + "\" is this gateway's own"));
}

Result<Reading, std::vector<InputError>> with_peer_file(const std::string& text,
                                                        const Outside& outside = pretend()) {
  const std::vector<SourceFile> files{
      {"/etc/sallyport/config.yaml",
       std::string("version: 1\npeers:\n  - name: a\n    public_key: ") + kKeyA +
           "\n    allowed_ips: [10.0.0.2]\n"},
      {"/etc/sallyport/peers.d/b.yaml", text}};
  return parse_config(files, outside);
}

TEST(peer_file, of_one_peer) {
  const auto reading = with_peer_file(std::string("name: b\npublic_key: ") + kKeyB +
                                          "\nallowed_ips: [10.0.0.3]\npreshared_key: file:b.psk\n",
                                      pretend({{"/etc/sallyport/peers.d/b.psk", kSecret}}));
  ASSERT_THAT(complaints(reading), IsEmpty());
  ASSERT_THAT(reading->config.peers, SizeIs(2));
  EXPECT_EQ(reading->config.peers[1].name, "b");
  EXPECT_EQ(reading->config.peers[1].where, (Position{"/etc/sallyport/peers.d/b.yaml", 1, 1}));
  EXPECT_TRUE(reading->config.peers[1].preshared_key.has_value());
}

TEST(peer_file, of_several_peers) {
  const auto reading =
      with_peer_file(std::string("version: 1\npeers:\n- {name: b, public_key: ") + kKeyB +
                     ", allowed_ips: [10.0.0.3]}\n- {name: c, public_key: " + kKeyC +
                     ", allowed_ips: [10.0.0.4]}\n");
  ASSERT_THAT(complaints(reading), IsEmpty());
  EXPECT_THAT(reading->config.peers, SizeIs(3));
}

TEST(peer_file, duplicate_names_the_other_file) {
  const auto reading =
      with_peer_file(std::string("name: b\npublic_key: ") + kKeyA + "\nallowed_ips: [10.0.0.2]\n");
  EXPECT_THAT(complaints(reading),
              ElementsAre(std::string("/etc/sallyport/peers.d/b.yaml:2:13: public_key \"") + kKeyA +
                              "\" is already another peer's (first in c.yaml:4)",
                          "/etc/sallyport/peers.d/b.yaml:3:15: address \"10.0.0.2/32\" is already "
                          "that of peer \"a\" (first in c.yaml:5)"));
}

TEST(peer_file, holds_nothing_else) {
  EXPECT_THAT(
      complaints(with_peer_file("peers: []\nrules: []\n")),
      ElementsAre("/etc/sallyport/peers.d/b.yaml:2:1: key \"rules\" is not read here (a file "
                  "in peers.d holds one peer, or peers: [...])"));
  EXPECT_THAT(
      complaints(with_peer_file("- b\n")),
      ElementsAre("/etc/sallyport/peers.d/b.yaml:1:1: the file is a list, expected one peer, "
                  "or peers: [...]"));
  EXPECT_THAT(complaints(with_peer_file("")), SizeIs(1));
}

TEST(bound, of_a_file) {
  const auto reading = read_one("version: 1\n#" + std::string(kMaxFileBytes, 'x'));
  EXPECT_THAT(complaints(reading), ElementsAre("c.yaml: the file is larger than 8 MiB"));
}

TEST(bound, of_depth) {
  EXPECT_THAT(
      complaints(read_one("version: 1\nnode: " + std::string(16, '[') + std::string(16, ']'))),
      ElementsAre("c.yaml:2:22: nested more than 16 deep"));
  // As deep as the parser itself would overflow on.
  const auto deep = complaints(read_one("a: " + std::string(100000, '[')));
  ASSERT_THAT(deep, SizeIs(1));
}

// Nine lines that say 10^9 values.
TEST(bound, of_aliases) {
  std::string text = "version: 1\ngroups:\n  l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string below = "*l" + std::to_string(i - 1);
    text += "  l" + std::to_string(i) + ": &l" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) text += (j == 0 ? "" : ", ") + below;
    text += "]\n";
  }
  EXPECT_THAT(complaints(read_one(text)),
              ElementsAre(HasSubstr("more than 1048576 values in one file")));
}

TEST(bound, of_complaints) {
  std::string text = "version: 1\nrules:\n";
  for (int i = 0; i < 1000; ++i) text += "  - {from: [a_b], to: ['*']}\n";
  const auto said = complaints(read_one(text));
  ASSERT_THAT(said, SizeIs(21));
  EXPECT_THAT(said[19], HasSubstr("c.yaml:22:13: from is \"a_b\""));
  EXPECT_EQ(said[20], "980 more errors are not shown");
}

TEST(bound, ten_thousand_peers_fit) {
  std::string text = "version: 1\npeers:\n";
  for (unsigned i = 0; i < 10000; ++i) {
    PublicKey key;
    key.bytes = {1, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
    text += "  - {name: p" + std::to_string(i) + ", public_key: " + key.text() +
            ", allowed_ips: [" + IpAddress::v4(0x0a000000 + i).text() + "/32]}\n";
  }
  const auto reading = read_one(text);
  ASSERT_THAT(complaints(reading), IsEmpty());
  EXPECT_THAT(reading->config.peers, SizeIs(10000));
}

}  // namespace
}  // namespace sallyport::options
