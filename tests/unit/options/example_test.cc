// SPDX-License-Identifier: BSD-3-Clause
#include <fstream>
#include <sstream>

#include "tests/unit/options/reader.h"

namespace sallyport::options {
namespace {

class Example : public testing::TestWithParam<const char*> {};

TEST_P(Example, is_read_without_a_word) {
  const std::string path = std::string(SALLYPORT_SOURCE_DIR "/config/") + GetParam();
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  const auto reading = read_one(text.str());
  ASSERT_THAT(complaints(reading), testing::IsEmpty());
  EXPECT_THAT(reading->warnings, testing::IsEmpty());
  EXPECT_THAT(reading->config.rules, testing::Not(testing::IsEmpty()));
  EXPECT_THAT(reading->config.peers, testing::Not(testing::IsEmpty()));
}

INSTANTIATE_TEST_SUITE_P(config, Example,
                         testing::Values("example.yaml", "examples/minimal.yaml",
                                         "examples/office.yaml", "examples/two-sites.yaml"));

}  // namespace
}  // namespace sallyport::options
