// SPDX-License-Identifier: BSD-3-Clause
#include "agent/cli/terminal.h"

#include <gtest/gtest.h>

namespace sallyport::cli {
namespace {

TEST(cli_terminal, bytes_have_units) {
  struct Row {
    uint64_t in;
    std::string_view out;
  };
  const Row rows[] = {{0, "0 B"},
                      {1023, "1023 B"},
                      {1024, "1.0 KiB"},
                      {1536, "1.5 KiB"},
                      {3 << 20, "3.0 MiB"},
                      {uint64_t{5} << 40, "5.0 TiB"},
                      {uint64_t{5000} << 40, "5000.0 TiB"}};
  for (const Row& row : rows) EXPECT_EQ(bytes_text(row.in), row.out);
}

TEST(cli_terminal, durations_have_two_units) {
  struct Row {
    double in;
    std::string_view out;
  };
  const Row rows[] = {{-1, "never"}, {0.9, "0s"},     {59.9, "59s"},     {60, "1m00s"},
                      {75, "1m15s"}, {3600, "1h00m"}, {86399, "23h59m"}, {90000, "1d01h"}};
  for (const Row& row : rows) EXPECT_EQ(duration_text(row.in), row.out);
}

TEST(cli_terminal, columns_are_as_wide_as_their_widest_cell) {
  Table table({"A", "LONG HEAD", "C"});
  EXPECT_TRUE(table.empty());
  table.add({"wider", "x", "1"});
  table.add({"→", "y", "2"});  // three bytes, one column
  EXPECT_FALSE(table.empty());
  EXPECT_EQ(table.text(false),
            "A      LONG HEAD  C\n"
            "wider  x          1\n"
            "→      y          2\n");
}

TEST(cli_terminal, colour_only_where_it_is_wanted) {
  EXPECT_EQ(paint(Colour::kBad, "no", false), "no");
  EXPECT_EQ(paint(Colour::kBad, "no", true), "\x1b[31mno\x1b[0m");
  EXPECT_EQ(paint(Colour::kPlain, "no", true), "no");
}

}  // namespace
}  // namespace sallyport::cli
