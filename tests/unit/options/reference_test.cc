// SPDX-License-Identifier: BSD-3-Clause
#include "agent/options/reference.h"

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "agent/options/table.h"
#include "tests/unit/options/reader.h"

namespace sallyport::options {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(reference, page) {
  const std::string path = SALLYPORT_SOURCE_DIR "/config/reference.md";
  if (std::getenv("SALLYPORT_REGENERATE") != nullptr) std::ofstream(path) << reference_page();
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), reference_page()) << "run this test with SALLYPORT_REGENERATE=1";
}

TEST(reference, names_every_key) {
  const std::string page = reference_page();
  for (const Option& option : kOptions) EXPECT_THAT(page, HasSubstr(std::string(option.name())));
}

TEST(table, paths_are_unique_and_have_parents) {
  std::set<std::string_view> seen{""};
  for (const Option& option : kOptions) {
    EXPECT_TRUE(seen.insert(option.path).second) << option.path;
    EXPECT_TRUE(seen.contains(option.parent())) << option.path << " stands before its parent";
  }
}

TEST(table, every_key_says_what_it_is_for) {
  for (const Option& option : kOptions) {
    EXPECT_FALSE(option.help.empty()) << option.path;
    const bool leaf = option.kind != Kind::kMap && option.kind != Kind::kNamedLists;
    EXPECT_EQ(leaf, !option.example.empty()) << option.path;
    EXPECT_EQ(option.kind == Kind::kChoice, !option.choices.empty()) << option.path;
  }
}

TEST(help, of_nothing_lists_the_sections) {
  const auto text = help_for("");
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("\n  peers        Plain WireGuard clients"));
  EXPECT_THAT(*text, HasSubstr("\n  relay        Be a DERP relay and STUN server. Not in this"));
}

TEST(help, of_a_key) {
  const auto text = help_for("peers.keepalive");
  ASSERT_TRUE(text);
  EXPECT_EQ(*text,
            "peers[].keepalive: duration, default 0s\n"
            "A packet that often, so that a NAT in between stays open; 0 sends none.\n"
            "Example:  keepalive: 25s\n");
  EXPECT_EQ(*help_for("peers[].keepalive"), *text);
}

TEST(help, of_a_section_lists_its_keys) {
  const auto text = help_for("dataplane.timeouts");
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("Keys:\n  tcp          An open TCP connection"));
}

TEST(help, of_the_ceiling_is_that_of_rules) {
  EXPECT_EQ(*help_for("ceiling.from"), *help_for("rules[].from"));
  EXPECT_THAT(*help_for("ceiling"), HasSubstr("  from "));
}

TEST(help, names_the_nearest_key) {
  EXPECT_EQ(help_for("peers.keepalves").error(),
            "there is no key \"peers.keepalves\", did you mean \"peers.keepalive\"?");
}

}  // namespace
}  // namespace sallyport::options
