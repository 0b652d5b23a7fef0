// SPDX-License-Identifier: BSD-3-Clause
#include "agent/model/keys.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

TEST(keys, base64_goes_both_ways) {
  const std::string text = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";
  EXPECT_EQ(PublicKey::parse(text).value().text(), text);
}

TEST(keys, only_the_44_characters_of_a_key_are_one) {
  const std::string good = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";
  EXPECT_FALSE(PublicKey::parse(""));
  EXPECT_FALSE(PublicKey::parse(good.substr(0, 43)));
  EXPECT_FALSE(PublicKey::parse(good + "="));
  EXPECT_FALSE(PublicKey::parse("HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykx=")) << "spare bits";
  for (int c = 0; c < 256; ++c) {
    std::string other = good;
    other[0] = static_cast<char>(c);
    const auto parsed = PublicKey::parse(other);
    EXPECT_EQ(parsed.has_value(), std::isalnum(c) != 0 || c == '+' || c == '/') << c;
    if (parsed) {
      EXPECT_EQ(parsed->text(), other);
    }
  }
}

// RFC 7748 6.1.
TEST(keys, alice_has_her_public_key) {
  const auto alice = PrivateKey::parse("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=");
  ASSERT_TRUE(alice);
  EXPECT_EQ(alice->public_key().text(), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
}

}  // namespace
}  // namespace sallyport
