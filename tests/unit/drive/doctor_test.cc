// SPDX-License-Identifier: BSD-3-Clause
// What is wrong, a row each: nothing without its cause, and with it the command that mends it.
#include "agent/drive/agent/doctor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace sallyport {
namespace {

struct State {
  Config config;
  std::vector<Device> devices;
  std::vector<Missing> missing;
  std::vector<ForeignForwardChain> chains;
  std::vector<std::string> failures;
  std::vector<Description> pending;
  std::map<Prefix, std::string> lan_devices;
  ClockTrust clock = ClockTrust::kCredible;
  bool node_alive = true;
  bool down = false;

  [[nodiscard]] std::vector<Finding> findings() const {
    return diagnose({config, devices, missing, chains, failures, pending, lan_devices, clock,
                     node_alive, down});
  }
};

Device port(const char* name, const char* address, bool default_route = false) {
  Device out;
  out.index = default_route ? 3 : 2;
  out.name = name;
  out.ethernet = out.up = true;
  out.default_route = default_route;
  out.addresses.push_back(*Prefix::parse(address));
  return out;
}

/// A gateway with a LAN, an exit, a peer and a timed rule, in good health.
State healthy() {
  State out;
  out.config.node.device = "wg9";
  out.devices = {port("lan0", "192.168.7.1/24"), port("wan0", "203.0.113.2/24", true)};
  LanConfig lan;
  lan.name = "office";
  lan.prefix = *Prefix::parse("192.168.7.0/24");
  lan.where = {"config.yaml", 9, 5};
  out.config.lans.push_back(lan);
  out.config.exit.emplace();
  out.config.peers.emplace_back();
  RuleConfig rule;
  rule.not_after.emplace();
  out.config.rules.push_back(rule);
  return out;
}

struct Row {
  const char* name;
  std::function<void(State&)> harm;
  const char* id;
  Severity severity;
  const char* fix;  // part of it
};

class doctor : public testing::TestWithParam<Row> {};

TEST_P(doctor, finds_it_and_says_what_mends_it) {
  State state = healthy();
  for (const Finding& finding : state.findings()) ADD_FAILURE() << "healthy, but " << finding.text;
  GetParam().harm(state);
  const std::vector<Finding> found = state.findings();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].id, GetParam().id);
  EXPECT_EQ(found[0].severity, GetParam().severity);
  EXPECT_FALSE(found[0].text.empty());
  EXPECT_NE(found[0].fix.find(GetParam().fix), std::string::npos) << found[0].fix;
}

const Row kRows[] = {
    {"down", [](State& s) { s.down = true; }, "down", Severity::kWarning, "sallyport reload"},
    {"kernel_without",
     [](State& s) {
       s.missing.push_back({"BTF", "nothing runs", "apt install linux-image", true});
     },
     "kernel", Severity::kError, "apt install linux-image"},
    {"kernel_worse_without",
     [](State& s) { s.missing.push_back({"tcx", "clsact is used", "a newer kernel", false}); },
     "kernel", Severity::kWarning, "a newer kernel"},
    {"refused_step", [](State& s) { s.failures.push_back("add route: EEXIST"); }, "kernel_refused",
     Severity::kError, "sallyport plan"},
    {"dead_node", [](State& s) { s.node_alive = false; }, "node", Severity::kError, "journalctl"},
    {"dropping_firewall",
     [](State& s) { s.chains.push_back({"ip", "filter", "FORWARD", true, 3, {}}); },
     "foreign_forward", Severity::kWarning, "nft insert rule ip filter FORWARD iifname wg9 accept"},
    {"firewall_that_lets_answers_fall",
     [](State& s) {
       s.chains.push_back(
           {"ip", "filter", "FORWARD", true, 1, {{{{"wg9"}}, {}, ForwardVerdict::kAccept}}});
     },
     "foreign_forward", Severity::kWarning, "oifname wg9 accept"},
    {"firewall_that_rejects_at_its_end",
     [](State& s) {
       s.chains.push_back({"inet", "fw", "f", false, 1, {{{}, {}, ForwardVerdict::kDrop}}});
     },
     "foreign_forward", Severity::kWarning, "nft insert rule inet fw f iifname wg9 accept"},
    {"sysctl_turned_off",
     [](State& s) { s.pending.push_back({"set-sysctl", "net/ipv4/ip_forward", "1"}); }, "drift",
     Severity::kWarning, "sallyport doctor --fix"},
    {"lan_port_down", [](State& s) { s.devices[0].up = false; }, "lan_device", Severity::kWarning,
     "ip link set lan0 up"},
    {"lan_nowhere", [](State& s) { s.config.lans[0].prefix = *Prefix::parse("10.1.0.0/16"); },
     "lan_device", Severity::kWarning, "config.yaml:9"},
    {"exit_without_a_way", [](State& s) { s.devices[1].default_route = false; }, "no_wan",
     Severity::kWarning, "device: [NAME]"},
    {"no_rule", [](State& s) { s.config.rules.clear(); }, "no_rules", Severity::kWarning, "rules:"},
    {"doubtful_clock", [](State& s) { s.clock = ClockTrust::kUnknown; }, "clock",
     Severity::kWarning, "timedatectl set-ntp true"},
};
INSTANTIATE_TEST_SUITE_P(rows, doctor, testing::ValuesIn(kRows),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(doctor_order, a_firewall_that_drops_nothing_is_none_of_our_business) {
  State state = healthy();
  state.chains.push_back({"ip", "filter", "FORWARD", false, 3, {}});
  EXPECT_TRUE(state.findings().empty());
}

TEST(doctor_order, the_rules_that_it_prints_are_enough) {
  State state = healthy();
  const ForwardRule in{{{"wg9"}}, {}, ForwardVerdict::kAccept};
  const ForwardRule out{{}, {{"wg9"}}, ForwardVerdict::kAccept};
  state.chains.push_back({"ip", "filter", "FORWARD", true, 2, {in, out}});
  EXPECT_TRUE(state.findings().empty());
  // A drop in front of them wins, one of another device's does not matter.
  state.chains[0].by_device.insert(state.chains[0].by_device.begin(),
                                   {{{"docker0"}}, {}, ForwardVerdict::kDrop});
  EXPECT_TRUE(state.findings().empty());
  state.chains[0].by_device.insert(state.chains[0].by_device.begin(),
                                   {{}, {{"lan*"}}, ForwardVerdict::kDrop});
  EXPECT_EQ(state.findings().size(), 1U);
}

TEST(doctor_order, accepting_each_way_by_itself_is_enough_too) {
  State state = healthy();
  state.chains.push_back({"ip", "filter", "FORWARD", true, 4, {}});
  for (const char* end : {"lan0", "wan0"}) {
    EXPECT_EQ(state.findings().size(), 1U);
    state.chains[0].by_device.push_back({{{"wg9"}}, {{end}}, ForwardVerdict::kAccept});
    state.chains[0].by_device.push_back({{{end}}, {{"wg9"}}, ForwardVerdict::kAccept});
  }
  EXPECT_TRUE(state.findings().empty());
}

TEST(doctor_order, a_lan_behind_a_router_is_on_the_port_that_leads_there) {
  State state = healthy();
  state.config.lans[0].prefix = *Prefix::parse("10.1.0.0/16");
  EXPECT_EQ(state.findings().size(), 1U);
  state.lan_devices[state.config.lans[0].prefix] = "lan0";
  EXPECT_TRUE(state.findings().empty());
}

TEST(doctor_order, rules_without_a_time_need_no_clock) {
  State state = healthy();
  state.clock = ClockTrust::kUnknown;
  state.config.rules[0].not_after.reset();
  EXPECT_TRUE(state.findings().empty());
}

TEST(doctor_order, the_worst_comes_first) {
  State state = healthy();
  for (const Row& row : kRows) {
    if (std::string_view(row.name) != "lan_nowhere") row.harm(state);
  }
  const std::vector<Finding> found = state.findings();
  EXPECT_GE(found.size(), 8U);
  EXPECT_TRUE(std::ranges::is_sorted(found, std::ranges::greater{}, &Finding::severity));
  EXPECT_EQ(found.front().severity, Severity::kError);
}

}  // namespace
}  // namespace sallyport
