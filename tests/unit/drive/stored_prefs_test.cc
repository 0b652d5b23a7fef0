// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/stored_prefs.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

const std::map<std::string, Position> kNothingStated;

TEST(stored_prefs, keep_what_is_not_named) {
  const auto first = changed_prefs(
      "", {{"url", "https://a"}, {"advertise_routes", {"10.0.0.0/16"}}, {"hostname", "gate"}},
      false, kNothingStated);
  ASSERT_TRUE(first);
  const auto second = changed_prefs(*first, {{"accept_routes", true}}, false, kNothingStated);
  ASSERT_TRUE(second);
  EXPECT_EQ(Json::parse(*second), Json::parse(R"({"version": 1,
              "join": {"url": "https://a", "advertise_routes": ["10.0.0.0/16"],
                       "accept_routes": true},
              "node": {"hostname": "gate"}})"));
}

TEST(stored_prefs, reset_returns_the_rest_to_its_defaults_and_the_server_stays) {
  const std::string before = R"({"version": 1, "node": {"hostname": "gate"},
      "join": {"url": "https://a", "auth_key": "file:/k", "accept_routes": true}})";
  const auto after = changed_prefs(before, {{"advertise_exit_node", true}}, true, kNothingStated);
  ASSERT_TRUE(after);
  EXPECT_EQ(Json::parse(*after), Json::parse(R"({"version": 1,
      "join": {"url": "https://a", "auth_key": "file:/k", "advertise_exit_node": true}})"));
}

TEST(stored_prefs, what_the_configuration_says_is_not_changed_here) {
  const std::map<std::string, Position> stated{{"join.url", {"/etc/c.yaml", 3, 5}}};
  const auto refused = changed_prefs("", {{"url", "https://b"}}, false, stated);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ExitCode::kRefused);
  EXPECT_EQ(refused.error().what.where.line, 3U);
  EXPECT_TRUE(changed_prefs("", {{"accept_routes", true}}, false, stated));
}

TEST(stored_prefs, an_unknown_word_is_refused_and_a_damaged_file_is_none) {
  EXPECT_FALSE(changed_prefs("", {{"shoe_size", 43}}, false, kNothingStated));
  const auto healed = changed_prefs("{", {{"hostname", "gate"}}, false, kNothingStated);
  ASSERT_TRUE(healed);
  EXPECT_EQ(Json::parse(*healed), Json::parse(R"({"version": 1, "node": {"hostname": "gate"}})"));
}

}  // namespace
}  // namespace sallyport
