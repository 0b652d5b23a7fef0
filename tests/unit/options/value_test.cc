// SPDX-License-Identifier: BSD-3-Clause
/// What is accepted, and what becomes of it.
#include "agent/options/scalar.h"
#include "tests/unit/options/reader.h"

namespace sallyport::options {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

Prefix prefix(const char* text) { return *Prefix::parse(text); }

Config accepted(const std::string& text) {
  const auto reading = read_one(text);
  EXPECT_THAT(complaints(reading), IsEmpty());
  return reading ? reading->config : Config{};
}

TEST(value, defaults) {
  const Config config = accepted("version: 1\n");
  const Config fresh;
  EXPECT_EQ(config.node.device, "sallyport0");
  EXPECT_EQ(config.node.wg_port, 0);
  EXPECT_EQ(config.node.deny, Deny::kReject);
  EXPECT_EQ(config.dataplane.timeouts, fresh.dataplane.timeouts);
  EXPECT_FALSE(config.exit.has_value());
  EXPECT_FALSE(config.ceiling.has_value());
}

// What the reference page calls the default is the default.
TEST(value, written_defaults_are_those_of_the_model) {
  std::string nested;
  const Config fresh;
  for (const Option& option : kOptions) {
    if (option.parent() != "dataplane.timeouts") continue;
    nested += (nested.empty() ? "" : ", ") + std::string(option.name()) + ": " +
              std::string(option.fallback);
  }
  const auto fallback = [](const char* path) { return std::string(find_option(path)->fallback); };
  const Config config = accepted(
      "version: 1\nnode: {device: " + fallback("node.device") +
      ", wg_port: " + fallback("node.wg_port") + ", deny: " + fallback("node.deny") +
      "}\ndataplane: {flows: " + fallback("dataplane.flows") +
      ", flows_per_peer: " + fallback("dataplane.flows_per_peer") +
      ", table: " + fallback("dataplane.table") + ", priority: " + fallback("dataplane.priority") +
      ", fwmark: " + fallback("dataplane.fwmark") + ", timeouts: {" + nested +
      "}}\nexit: {ipv4: " + fallback("exit.ipv4") + ", ipv6: " + fallback("exit.ipv6") +
      "}\nlan: [{name: o, prefix: " + "10.1.0.0/16, snat: " + fallback("lan[].snat") + "}]\n");
  EXPECT_EQ(config.node.device, fresh.node.device);
  EXPECT_EQ(config.node.wg_port, fresh.node.wg_port);
  EXPECT_EQ(config.node.deny, fresh.node.deny);
  EXPECT_EQ(config.dataplane.flows, fresh.dataplane.flows);
  EXPECT_EQ(config.dataplane.flows_per_peer, fresh.dataplane.flows_per_peer);
  EXPECT_EQ(config.dataplane.table, fresh.dataplane.table);
  EXPECT_EQ(config.dataplane.priority, fresh.dataplane.priority);
  EXPECT_EQ(config.dataplane.fwmark, fresh.dataplane.fwmark);
  EXPECT_EQ(config.dataplane.timeouts, fresh.dataplane.timeouts);
  EXPECT_EQ(config.exit->ipv4, ExitConfig{}.ipv4);
  EXPECT_EQ(config.exit->ipv6, ExitConfig{}.ipv6);
  EXPECT_EQ(config.lans.at(0).snat, LanConfig{}.snat);
}

// Every example of the reference page is what its key takes.
TEST(value, examples_are_accepted) {
  for (const Option& option : kOptions) {
    const bool leaf = option.kind != Kind::kMap && option.kind != Kind::kNamedLists;
    if (!leaf || option.kind == Kind::kSize || option.since == Since::kLater) continue;
    EXPECT_TRUE(parse_scalar(option, option.example)) << option.path;
  }
}

TEST(value, node) {
  const Config config = accepted(
      "version: 1\nnode:\n  hostname: gate-1\n  device: wg.sally_0\n  wg_port: 65535\n"
      "  addresses: [10.90.0.1/24, 'fd90::1/64', 10.91.0.1, 10.92.0.0/31]\n"
      "  public_endpoint: '[2001:db8::1]:51820'\n  dns: [1.1.1.1, '2606:4700::1111']\n"
      "  deny: drop\nmetrics: unix:/run/m.sock\n");
  EXPECT_EQ(config.node.hostname, "gate-1");
  EXPECT_EQ(config.node.device, "wg.sally_0");
  EXPECT_EQ(config.node.wg_port, 65535);
  EXPECT_THAT(config.node.addresses, ElementsAre(prefix("10.90.0.1/24"), prefix("fd90::1/64"),
                                                 prefix("10.91.0.1/32"), prefix("10.92.0.0/31")));
  EXPECT_EQ(config.node.public_endpoint, "[2001:db8::1]:51820");
  EXPECT_EQ(config.node.dns.size(), 2U);
  EXPECT_EQ(config.node.deny, Deny::kDrop);
  EXPECT_EQ(config.metrics, "unix:/run/m.sock");
  EXPECT_EQ(config.node.where, (Position{"/etc/sallyport/config.yaml", 3, 3}));
}

TEST(value, dataplane) {
  const Config config = accepted(
      "version: 1\ndataplane: {flows: 1000, flows_per_peer: 1000, table: 4294967295, priority: 1,\n"
      "  fwmark: 0x100/0xf00, timeouts: {tcp: 8h, udp: 2s, other: 90, icmp: 1m30s}}\n");
  EXPECT_EQ(config.dataplane.flows, 1000U);
  EXPECT_EQ(config.dataplane.flows_per_peer, 1000U);
  EXPECT_EQ(config.dataplane.table, 4294967295U);
  EXPECT_EQ(config.dataplane.priority, 1U);
  EXPECT_EQ(config.dataplane.fwmark, (Fwmark{0x100, 0xf00}));
  EXPECT_EQ(config.dataplane.timeouts.tcp, 8h);
  EXPECT_EQ(config.dataplane.timeouts.udp, 2s);
  EXPECT_EQ(config.dataplane.timeouts.other, 90s);
  EXPECT_EQ(config.dataplane.timeouts.icmp, 90s);
  EXPECT_EQ(config.dataplane.timeouts.tcp_closing, 60s);
}

TEST(value, join) {
  const Config config = accepted(
      "version: 1\njoin:\n  url: https://control.example.org:8443\n  auth_key: tskey-auth-x\n"
      "  advertise_routes: [10.1.0.0/16, 10.2.0.0/16]\n  advertise_exit_node: on\n"
      "  accept_routes: on\n  snat: {10.2.0.0/16: on}\n  snat_subnet_routes: off\n"
      "  ca: /etc/ca.pem\n  max_netmap_age: 1d\n");
  ASSERT_TRUE(config.join);
  const JoinConfig& join = *config.join;
  EXPECT_EQ(join.url, "https://control.example.org:8443");
  EXPECT_EQ(join.auth_key, "tskey-auth-x");
  EXPECT_THAT(join.prefs.advertise_routes, ElementsAre(prefix("10.1.0.0/16"), prefix("10.2.0.0/16"),
                                                       prefix("0.0.0.0/0"), prefix("::/0")));
  EXPECT_TRUE(join.prefs.accept_routes);
  EXPECT_FALSE(join.prefs.snat.at(prefix("10.1.0.0/16")));
  EXPECT_TRUE(join.prefs.snat.at(prefix("10.2.0.0/16")));
  EXPECT_EQ(join.ca_file, "/etc/ca.pem");
  EXPECT_EQ(join.max_netmap_age, 24h);
  EXPECT_FALSE(accepted("version: 1\n").join);
}

TEST(value, preferences_fill_what_the_configuration_leaves_open) {
  const std::array files{SourceFile{"c.yaml", "version: 1\njoin: {url: 'https://a'}\n"}};
  const SourceFile prefs{"prefs.json",
                         R"({"version": 1, "node": {"hostname": "gate"},
                             "join": {"url": "https://b", "accept_routes": true}})"};
  const auto reading = parse_config(files, Outside{}, &prefs);
  ASSERT_TRUE(reading);
  EXPECT_EQ(reading->config.join->url, "https://a");
  EXPECT_TRUE(reading->config.join->prefs.accept_routes);
  EXPECT_EQ(reading->config.node.hostname, "gate");
  EXPECT_EQ(reading->stated, (std::map<std::string, Position>{{"join.url", {"c.yaml", 2, 8}}}));

  const SourceFile wrong{"prefs.json", R"({"version": 1, "join": {"advertise_routes": ["x"]}})"};
  const auto refused = parse_config(files, Outside{}, &wrong);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().front().where.file, "prefs.json");
}

TEST(value, peer) {
  const Config config = accepted(
      std::string("version: 1\npeers:\n  - name: a\n    public_key: ") + kKeyA +
      "\n    allowed_ips: [10.0.0.2, 0.0.0.0/0, 10.0.0.0/24]\n    endpoint: 'a.example.org.:1'\n"
      "    keepalive: 25s\ngroups: {staff: [a, 'group:none'], none: [], also: }\n");
  ASSERT_EQ(config.peers.size(), 1U);
  const PeerConfig& peer = config.peers[0];
  EXPECT_EQ(peer.name, "a");
  EXPECT_EQ(peer.public_key.text(), kKeyA);
  EXPECT_THAT(peer.allowed_ips,
              ElementsAre(prefix("10.0.0.2/32"), prefix("0.0.0.0/0"), prefix("10.0.0.0/24")));
  EXPECT_EQ(peer.endpoint, "a.example.org.:1");
  EXPECT_EQ(peer.keepalive_s, 25);
  EXPECT_FALSE(peer.preshared_key.has_value());
  EXPECT_EQ(peer.where, (Position{"/etc/sallyport/config.yaml", 3, 5}));
  ASSERT_EQ(config.groups.size(), 3U);
  ASSERT_EQ(config.groups.at("staff").size(), 1U);
  EXPECT_EQ(config.groups.at("staff")[0].where.line, 8U);
}

TEST(value, groups_in_groups_become_their_peers) {
  std::string text = "version: 1\npeers:\n";
  const char* keys[] = {kKeyA, kKeyB, kKeyC};
  for (int i = 0; i < 3; ++i) {
    text += std::string("  - {name: ") + "abc"[i] + ", public_key: " + keys[i] +
            ", allowed_ips: [10.0.0." + std::to_string(i) + "]}\n";
  }
  const Config config = accepted(
      text + "groups: {x: ['group:y', b, 'group:z'], y: [c, 'group:z'], z: [a], none: []}\n");
  const auto names = [&](const char* group) {
    std::string out;
    for (const Name& name : config.groups.at(group)) out += name.text;
    return out;
  };
  EXPECT_EQ(names("x"), "cab");
  EXPECT_EQ(names("y"), "ca");
  EXPECT_EQ(names("z"), "a");
  EXPECT_EQ(names("none"), "");
}

TEST(value, lan_and_exit) {
  const Config config = accepted(
      "version: 1\nlan:\n  - {name: o, prefix: 10.1.0.0/16, device: br-lan, snat: off}\n"
      "  - {name: p, prefix: 'fd10::/64'}\nexit: {ipv4: no, ipv6: nat, device: [eth0, ppp0]}\n");
  ASSERT_EQ(config.lans.size(), 2U);
  EXPECT_EQ(config.lans[0].prefix, prefix("10.1.0.0/16"));
  EXPECT_EQ(config.lans[0].device, "br-lan");
  EXPECT_FALSE(config.lans[0].snat);
  EXPECT_TRUE(config.lans[1].snat);
  ASSERT_TRUE(config.exit);
  EXPECT_FALSE(config.exit->ipv4);
  EXPECT_EQ(config.exit->ipv6, ExitV6::kNat);
  EXPECT_THAT(config.exit->devices, ElementsAre("eth0", "ppp0"));
}

TEST(value, rules) {
  const Config config = accepted(
      "version: 1\nrules:\n"
      "  - from: ['*', a-b, 'group:s', 10.0.0.1, 10.0.0.0/8, 10.0.0.1-10.0.0.9, 'fd00::/8', lan]\n"
      "    to: [exit, self]\n    proto: [tcp, 6, sctp]\n    ports: [80, 1-65535]\n"
      "    when: [Fri-Mon 22:00-06:00 Europe/Berlin, 00:00-24:00 UTC]\n"
      "    not_before: 2026-01-31T08:00:00Z\n    not_after: 2026-01-31T09:00:01+00:30\n"
      "  - {id: x.y_z-1, from: [lan], to: [lan], proto: [icmp, esp, 99]}\n");
  ASSERT_EQ(config.rules.size(), 2U);
  const RuleConfig& rule = config.rules[0];
  EXPECT_EQ(rule.id, "rule-1");
  EXPECT_EQ(rule.from.size(), 8U);
  EXPECT_EQ(rule.from[5].text, "10.0.0.1-10.0.0.9");
  EXPECT_EQ(rule.from[1].where.column, 17U);
  EXPECT_EQ(rule.to.size(), 2U);
  EXPECT_THAT(rule.protos, ElementsAre(IpProto::kTcp, IpProto::kTcp, IpProto::kSctp));
  EXPECT_THAT(rule.ports, ElementsAre(PortRange{80, 80}, PortRange{1, 65535}));
  ASSERT_EQ(rule.when.size(), 2U);
  EXPECT_EQ(rule.when[0].days, 0b1110001);
  EXPECT_EQ(rule.when[0].start_minute, 22 * 60);
  EXPECT_EQ(rule.when[0].zone, "Europe/Berlin");
  EXPECT_EQ(*rule.not_before, WallTime(1769846400s));
  EXPECT_EQ(*rule.not_after, WallTime(1769848201s));
  EXPECT_EQ(config.rules[1].id, "x.y_z-1");
}

TEST(value, ceiling_empty_and_absent_differ) {
  EXPECT_FALSE(accepted("version: 1\nrules:\n").ceiling.has_value());
  ASSERT_TRUE(accepted("version: 1\nceiling: []\n").ceiling.has_value());
  EXPECT_THAT(*accepted("version: 1\nceiling: []\n").ceiling, IsEmpty());
  const Config config = accepted("version: 1\nceiling: [{from: ['*'], to: [lan], ports: [22]}]\n");
  ASSERT_EQ(config.ceiling->size(), 1U);
  EXPECT_EQ(config.ceiling->at(0).id, "ceiling-1");
  EXPECT_EQ(config.ceiling->at(0).ports.at(0), (PortRange{22, 22}));
  EXPECT_THAT(config.rules, IsEmpty());
}

TEST(value, alias_is_followed) {
  const Config config = accepted(
      "version: 1\nrules:\n  - {from: &all ['*'], to: [lan]}\n  - {from: *all, to: *all}\n");
  EXPECT_EQ(config.rules.at(1).to.at(0).text, "*");
}

TEST(value, windows_line_ends) {
  EXPECT_EQ(accepted("version: 1\r\nnode:\r\n  hostname: gate\r\n").node.hostname, "gate");
}

struct DurationRow {
  const char* text;
  std::optional<std::chrono::seconds> expected;
};
TEST(value, durations) {
  const DurationRow rows[] = {
      {"0", 0s},
      {"90", 90s},
      {"90s", 90s},
      {"2h4m", 7440s},
      {"7d", 168h},
      {"1d1s", 86401s},
      {"", {}},
      {"s", {}},
      {"1", 1s},
      {"1m1h", {}},
      {"1m1m", {}},
      {"1.5h", {}},
      {"-1s", {}},
      {"1h30", {}},
      {"1 h", {}},
      {"010s", {}},
      {"99999999999999999999s", {}},
      {"36600d", 36600 * 24h},
      {"36601d", {}},
  };
  for (const auto& row : rows) EXPECT_EQ(parse_duration(row.text), row.expected) << row.text;
}

struct TimeRow {
  const char* text;
  std::optional<int64_t> unix_s;
};
TEST(value, times) {
  // Source: date -u -d TEXT +%s
  const TimeRow rows[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"2026-12-31T23:59:59+01:00", 1798757999},
      {"2028-02-29T12:00:00-05:30", 1835458200},
      {"2027-02-29T12:00:00Z", {}},
      {"2026-01-01T24:00:00Z", {}},
      {"2026-01-01T00:60:00Z", {}},
      {"2026-01-01T00:00:60Z", {}},
      {"2026-01-01T00:00:00", {}},
      {"2026-01-01T00:00:00z", {}},
      {"2026-01-01 00:00:00Z", {}},
      {"2026-01-01T00:00:00.5Z", {}},
      {"2026-01-01T00:00:00+1:00", {}},
      {"2026-01-01T00:00:00+24:00", {}},
      {"1969-01-01T00:00:00Z", {}},
      {"9999-01-01T00:00:00Z", {}},
      {"", {}},
  };
  for (const auto& row : rows) {
    const auto parsed = parse_time(row.text);
    ASSERT_EQ(parsed.has_value(), row.unix_s.has_value()) << row.text;
    if (!parsed) continue;
    EXPECT_EQ(*parsed, WallTime(std::chrono::seconds(*row.unix_s))) << row.text;
  }
}

}  // namespace
}  // namespace sallyport::options
