// SPDX-License-Identifier: BSD-3-Clause
// Each word of `from` and `to`, and each complaint about one.
#include "agent/policy/resolve.h"

#include <gmock/gmock.h>

#include "agent/policy/special_ranges.h"
#include "tests/unit/policy/example.h"

namespace sallyport::policy_tests {
namespace {

using ::testing::HasSubstr;

std::string text_of(const std::vector<IpRange>& ranges) {
  std::string out;
  for (const IpRange& range : ranges) out += (out.empty() ? "" : " ") + range.text();
  return out;
}

struct Row {
  const char* word;
  const char* from;
  const char* to;
};
const Row kWords[] = {
    {"ann", "10.8.0.2 fd00:8::2", "10.8.0.2 fd00:8::2"},
    {"group:staff", "10.8.0.2/31 fd00:8::2/127", "10.8.0.2/31 fd00:8::2/127"},
    {"hub", "10.8.0.4 10.20.0.0/16", "10.8.0.4 10.20.0.0/16"},  // its /0 is nobody's
    {"office", "192.168.1.0/24", "192.168.1.0/24"},
    {"lan", "192.168.1.0/24 fd00:1::/64", "192.168.1.0/24 fd00:1::/64"},
    {"self", "10.8.0.1 192.168.1.1 203.0.113.5 fd00:8::1",
     "10.8.0.1 192.168.1.1 203.0.113.5 fd00:8::1"},
    {"*", "0.0.0.0/0 ::/0", nullptr},
    {"192.0.2.7", "192.0.2.7", "192.0.2.7"},
    {"192.0.2.0/24", "192.0.2.0/24", "192.0.2.0/24"},
    {"192.0.2.5-192.0.2.9", "192.0.2.5-192.0.2.9", "192.0.2.5-192.0.2.9"},
    {"fd00:9::/48", "fd00:9::/48", "fd00:9::/48"},
    {"169.254.169.254", "169.254.169.254", "169.254.169.254"},
    {"169.254.169.254/31", "169.254.169.254/31", "169.254.169.255"},
};

TEST(resolve, knows_each_word) {
  for (const Row& row : kWords) {
    SCOPED_TRACE(row.word);
    Config config = office();
    config.rules = {rule("r", {row.word}, {row.word})};
    const ResolvedPolicy out = resolve(config, surroundings()).value();
    ASSERT_EQ(out.rules.size(), 2U);
    EXPECT_EQ(text_of(out.rules[0].from), row.from);
    if (row.to == nullptr) continue;
    EXPECT_EQ(text_of(out.rules[0].to), row.to);
  }
}

bool reaches(const Config& config, const char* word, const char* to) {
  Config ruled = config;
  ruled.rules = {rule("r", {"*"}, {word})};
  return contains(resolve(ruled, surroundings()).value().rules[0].to, address(to));
}

TEST(resolve, exit_is_the_internet) {
  Config config = office();
  config.exit->ipv6 = ExitV6::kNat;
  for (const char* inside :
       {"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "169.253.255.255",
        "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
        "203.0.112.255", "203.0.114.0", "223.255.255.255", "2001:db8::1", "fbff::1", "fec0::1"}) {
    EXPECT_TRUE(reaches(config, "exit", inside)) << inside;
  }
  for (const char* outside : {"0.0.0.1",         "10.0.0.1",    "10.8.0.1",
                              "10.8.0.2",        "100.64.0.1",  "127.0.0.1",
                              "169.254.169.254", "169.254.1.1", "172.16.0.1",
                              "172.31.255.255",  "192.168.1.7", "203.0.113.1",
                              "203.0.113.5",     "224.0.0.1",   "240.0.0.1",
                              "255.255.255.255", "::",          "::1",
                              "fc00::1",         "fdff::1",     "fe80::1",
                              "febf::1",         "ff02::1",     "fd00:8::3"}) {
    EXPECT_FALSE(reaches(config, "exit", outside)) << outside;
  }
}

TEST(resolve, exit_serves_its_families_only) {
  Config config = office();
  EXPECT_FALSE(reaches(config, "exit", "2001:db8::1")) << "ipv6: off is the default";
  config.exit->ipv6 = ExitV6::kDelegated;
  config.exit->ipv4 = false;
  EXPECT_TRUE(reaches(config, "exit", "2001:db8::1"));
  EXPECT_FALSE(reaches(config, "exit", "1.1.1.1"));
}

TEST(resolve, star_in_to_is_what_is_ours_and_the_exit) {
  const Config config = office();
  for (const char* inside :
       {"192.168.1.7", "fd00:1::7", "10.8.0.3", "10.20.3.4", "10.8.0.1", "1.1.1.1"}) {
    EXPECT_TRUE(reaches(config, "*", inside)) << inside;
  }
  for (const char* outside : {"172.16.0.1", "203.0.113.1", "169.254.169.254", "10.21.0.1"}) {
    EXPECT_FALSE(reaches(config, "*", outside)) << outside;
  }
  Config without = config;
  without.exit.reset();
  EXPECT_FALSE(reaches(without, "*", "1.1.1.1"));
  EXPECT_TRUE(reaches(without, "*", "10.8.0.3"));
}

TEST(resolve, a_lan_does_not_name_the_metadata_service) {
  Config config = office();
  config.lans[0].prefix = prefix("169.254.0.0/16");
  EXPECT_FALSE(reaches(config, "lan", "169.254.169.254"));
  EXPECT_TRUE(reaches(config, "lan", "169.254.169.253"));
  config.rules = {rule("r", {"ann"}, {"lan", "169.254.169.254"})};
  EXPECT_TRUE(contains(resolve(config, surroundings()).value().rules[0].to, metadata_address()));
}

TEST(resolve, the_box_itself_comes_last) {
  Config config = office();
  config.rules = {rule("r", {"ann"}, {"lan"})};
  const ResolvedPolicy out = resolve(config, surroundings()).value();
  const Rule& own = out.rules.back();
  EXPECT_EQ(own.id, kOwnRuleId);
  EXPECT_EQ(own.counter, kOwnRuleCounter);
  EXPECT_EQ(text_of(own.from), "10.8.0.1 192.168.1.1 203.0.113.5 fd00:8::1");
  EXPECT_EQ(text_of(own.to), "10.8.0.2-10.8.0.4 10.20.0.0/16 fd00:8::2/127");
  EXPECT_EQ(own.protos.size(), 256U);
  EXPECT_FALSE(out.ceiling);
}

TEST(resolve, sorts_protocols_and_joins_ports) {
  Config config = office();
  config.rules = {rule("r", {"ann"}, {"lan"}, {IpProto::kUdp, IpProto::kTcp, IpProto::kUdp},
                       {{90, 99}, {80, 89}, {7, 7}, {65535, 65535}, {65000, 65535}})};
  const Rule out = resolve(config, surroundings()).value().rules[0];
  EXPECT_EQ(out.protos, (std::vector{IpProto::kTcp, IpProto::kUdp}));
  EXPECT_EQ(out.ports, (std::vector<PortRange>{{7, 7}, {80, 99}, {65000, 65535}}));
}

struct Bad {
  const char* title;
  std::vector<std::string> from;
  std::vector<std::string> to;
  const char* message;
  const char* hint;
};
const Bad kBad[] = {
    {"unknown name", {"anne"}, {"lan"}, "\"anne\" is no peer", "did you mean \"ann\"?"},
    {"unknown LAN", {"ann"}, {"ofice"}, "\"ofice\" is no peer", "did you mean \"office\"?"},
    {"nothing near", {"zebra"}, {"lan"}, "\"zebra\" is no peer", ""},
    {"unknown group",
     {"group:stuff"},
     {"lan"},
     "no group \"stuff\"",
     "did you mean \"group:staff\"?"},
    {"tag", {"tag:ci"}, {"lan"}, "\"tag:ci\": tags are not in this version", ""},
    {"exit in from", {"exit"}, {"lan"}, "it can only be in 'to'", ""},
    {"host bits",
     {"192.0.2.7/24"},
     {"lan"},
     "has host bits set",
     "write 192.0.2.0/24 or 192.0.2.7"},
    {"backwards", {"192.0.2.9-192.0.2.7"}, {"lan"}, "is no peer", ""},
    {"no from", {}, {"lan"}, "a rule needs 'from'", ""},
    {"no to", {"ann"}, {}, "a rule needs 'to'", ""},
};

TEST(resolve, complains_with_place_and_remedy) {
  for (const Bad& row : kBad) {
    SCOPED_TRACE(row.title);
    Config config = office();
    config.rules = {rule("r", row.from, row.to)};
    const auto out = resolve(config, surroundings());
    ASSERT_FALSE(out);
    ASSERT_EQ(out.error().size(), 1U);
    EXPECT_THAT(out.error()[0].message, HasSubstr(row.message));
    EXPECT_THAT(out.error()[0].hint, HasSubstr(row.hint));
    EXPECT_THAT(out.error()[0].where.text(), HasSubstr("config.yaml:"));
  }
}

TEST(resolve, complains_about_everything_at_once) {
  Config config = office();
  config.lans.clear();
  config.exit.reset();
  config.groups["odd"] = names({"ann", "bbo"});
  config.rules = {rule("own", {"group:odd"}, {"lan", "exit"})};
  config.rules[0].when = {{0x7f, 0, 60, "Europe/Berlinn", ""}};
  config.ceiling = {rule("", {"tag:ci"}, {"*"})};
  const auto out = resolve(config, surroundings());
  ASSERT_FALSE(out);
  std::string all;
  for (const InputError& error : out.error()) all += error.text() + "\n";
  EXPECT_EQ(out.error().size(), 6U) << all;
  EXPECT_THAT(all, HasSubstr("\"bbo\" in group \"odd\" is no peer (did you mean \"bob\"?)"));
  EXPECT_THAT(all, HasSubstr("'lan': there is no LAN"));
  EXPECT_THAT(all, HasSubstr("'exit': this configuration has no exit (add a section 'exit:')"));
  EXPECT_THAT(all, HasSubstr("\"own\" is a reserved id"));
  EXPECT_THAT(all,
              HasSubstr("\"Europe/Berlinn\" is no time zone that this system knows (did you mean "
                        "\"Europe/Berlin\"?)"));
  EXPECT_THAT(all, HasSubstr("\"tag:ci\": tags are the control server's own claims"));
}

}  // namespace
}  // namespace sallyport::policy_tests
