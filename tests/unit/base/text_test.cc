// SPDX-License-Identifier: BSD-3-Clause
#include "agent/base/text.h"

#include <gtest/gtest.h>

#include <string>

namespace sallyport {
namespace {

TEST(text, a_sequence_is_as_long_as_rfc_3629_says) {
  EXPECT_EQ(utf8_length("a"), 1U);
  EXPECT_EQ(utf8_length("\xc3\xa4x"), 2U);
  EXPECT_EQ(utf8_length("\xe2\x82\xac"), 3U);
  EXPECT_EQ(utf8_length("\xf0\x9f\x98\x80"), 4U);
  for (const char* bad : {"\x80", "\xc0\xaf", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xff"}) {
    EXPECT_EQ(utf8_length(bad), 0U) << quote(bad);
  }
}

TEST(text, nothing_that_steers_a_terminal_is_shown) {
  struct Row {
    std::string_view in, out;
  };
  const Row rows[] = {
      {"laptop", "laptop"},
      {"", ""},
      {"a\x1b[2Jb", "a\\x1b[2Jb"},
      {"two\nlines\t", "two\\x0alines\\x09"},
      {"\x7f", "\\x7f"},
      {std::string_view("\0", 1), "\\x00"},
      {"\xc2\x9b[31m", "\\xc2\\x9b[31m"},  // CSI of C1
      {"\x9b[31m", "\\x9b[31m"},           // the same on an 8-bit terminal
      {"a\xe2\x82", "a\\xe2\\x82"},        // cut short
      {"\xff", "\\xff"},
      {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
      {"Zoë→東京", "Zoë→東京"},
  };
  for (const Row& row : rows) EXPECT_EQ(printable(row.in), row.out);
}

TEST(text, a_quotation_ends_and_does_not_fill_the_screen) {
  EXPECT_EQ(quote(""), "\"\"");
  EXPECT_EQ(quote("say \"hi\" \\"), "\"say \\\"hi\\\" \\\\\"");
  EXPECT_EQ(quote(std::string(60, 'x')), '"' + std::string(60, 'x') + '"');
  EXPECT_EQ(quote(std::string(61, 'x')), '"' + std::string(60, 'x') + "\"...");
  // A sequence is not cut in its middle.
  EXPECT_EQ(quote(std::string(59, 'x') + "\xe2\x82\xac!"),
            '"' + std::string(59, 'x') + "\xe2\x82\xac\"...");
}

}  // namespace
}  // namespace sallyport
