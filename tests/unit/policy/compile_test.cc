// SPDX-License-Identifier: BSD-3-Clause
// The form of the block and its bounds; what it says is held against the rules in property_test.
#include "agent/policy/compile.h"

#include <gmock/gmock.h>

#include <cstring>

#include "agent/policy/naive.h"
#include "tests/unit/policy/example.h"

namespace sallyport::policy_tests {
namespace {

Rule plain(uint16_t counter, const char* from, const char* to, std::vector<PortRange> ports = {}) {
  Rule out;
  out.id = "r" + std::to_string(counter);
  out.counter = counter;
  out.from = {range(from)};
  out.to = {range(to)};
  out.ports = std::move(ports);
  return out;
}

PolicyInput one_peer() {
  PolicyInput out;
  out.peers = {{1, {prefix("10.8.0.2/32")}}};
  return out;
}

uint16_t tcp_rule(const std::vector<uint8_t>& blob, const char* src, const char* dst,
                  uint16_t port) {
  return judge_new_flow(blob, {address(src), address(dst), IpProto::kTcp, 1, port}).counter;
}

TEST(compile, nothing_is_denied_politely) {
  const CompiledPolicy out = compile({}).value();
  EXPECT_EQ(out.blob.size() % 16, 0U);
  EXPECT_EQ(out.stats.src_classes, 1U);
  EXPECT_EQ(out.stats.rows, 2U) << "NO_RULE and METADATA";
  sp_policy_header header{};
  std::memcpy(&header, out.blob.data(), sizeof(header));
  EXPECT_EQ(header.magic, SP_POLICY_MAGIC);
  EXPECT_EQ(header.bytes, out.blob.size());
}

TEST(compile, addresses_that_no_rule_tells_apart_are_one_class) {
  PolicyInput input = one_peer();
  for (uint16_t i = 0; i < 50; ++i) {
    const std::string lan = "10." + std::to_string(i) + ".0.0/16";
    input.rules.push_back(plain(static_cast<uint16_t>(2 + i), "10.8.0.2", "192.168.0.0/16"));
    input.rules.back().to.push_back(range(lan));
  }
  const PolicyStats all = compile(input).value().stats;
  EXPECT_EQ(all.src_classes, 2U);
  EXPECT_EQ(all.dst_classes, 1U + 1 + 50 + 1) << "nobody's, common, one for each, metadata";
  for (Rule& rule : input.rules) rule.to = {range("192.168.0.0/16")};
  EXPECT_EQ(compile(input).value().stats.dst_classes, 3U);
}

TEST(compile, equal_rows_are_kept_once) {
  PolicyInput input = one_peer();
  for (uint16_t i = 0; i < 20; ++i) {
    const std::string host = "192.168.0." + std::to_string(2 * i);
    input.rules.push_back(plain(2, "10.8.0.2", host.c_str(), {{80, 80}}));
  }
  const PolicyStats stats = compile(input).value().stats;
  EXPECT_EQ(stats.dst_classes, 22U);
  EXPECT_EQ(stats.rows, 3U);
}

TEST(compile, all_ports_in_turn_fit_or_are_refused) {
  PolicyInput input = one_peer();
  std::vector<PortRange> odd;
  for (unsigned port = 1; port < 65536; port += 2) {
    odd.push_back({static_cast<uint16_t>(port), static_cast<uint16_t>(port)});
  }
  input.rules = {plain(2, "10.8.0.2", "192.168.0.1", odd)};
  input.rules[0].protos = {IpProto::kTcp};
  const CompiledPolicy out = compile(input).value();
  EXPECT_EQ(tcp_rule(out.blob, "10.8.0.2", "192.168.0.1", 65535), 2);
  EXPECT_EQ(tcp_rule(out.blob, "10.8.0.2", "192.168.0.1", 65534), 0);
  EXPECT_EQ(tcp_rule(out.blob, "10.8.0.2", "192.168.0.1", 1), 2);
  // With 0 and the even ones of another rule it is 65536 steps: more than a count can hold.
  std::vector<PortRange> even;
  for (unsigned port = 0; port < 65536; port += 2) {
    even.push_back({static_cast<uint16_t>(port), static_cast<uint16_t>(port)});
  }
  input.rules.push_back(plain(3, "10.8.0.2", "192.168.0.1", even));
  EXPECT_FALSE(compile(input));
}

TEST(compile, refuses_what_does_not_fit_and_names_the_worst) {
  PolicyInput input = one_peer();
  for (uint16_t i = 0; i < 100; ++i) {
    const std::string host = "192.168." + std::to_string(i) + ".1";
    input.rules.push_back(plain(static_cast<uint16_t>(2 + i), "10.8.0.2", host.c_str(), {{i, i}}));
  }
  for (unsigned i = 0; i < 40; i += 2) {
    input.rules[70].ports.push_back(
        {static_cast<uint16_t>(1000 + i), static_cast<uint16_t>(1000 + i)});
  }
  const size_t needed = compile(input).value().blob.size();
  EXPECT_TRUE(compile(input, needed)) << "the limit itself is allowed";
  for (const size_t limit : {needed - 16, size_t{1000}, size_t{0}}) {
    const auto refused = compile(input, limit);
    ASSERT_FALSE(refused) << limit;
    EXPECT_EQ(refused.error().limit, limit);
    EXPECT_GT(refused.error().needed, limit);
    EXPECT_LE(refused.error().needed, needed);
    EXPECT_EQ(refused.error().blame.front(), "r72");
    EXPECT_THAT(refused.error().text(), ::testing::HasSubstr("most of it for r72"));
  }
}

TEST(compile, refuses_too_many_pairs_of_classes) {
  PolicyInput input = one_peer();
  for (uint16_t i = 0; i < 1500; ++i) {
    const std::string host = "10.9." + std::to_string(i / 200) + "." + std::to_string(i % 200);
    input.rules.push_back(plain(static_cast<uint16_t>(2 + i), host.c_str(), host.c_str()));
  }
  const auto out = compile(input);
  ASSERT_FALSE(out) << "1501 x 1502 x 4 bytes";
  EXPECT_GE(out.error().needed, 1501U * 1502 * 4);
}

/// A lookup must follow the block only: IPv6 behind the mapped block, and the family's last
/// address.
TEST(compile, finds_the_ends_of_the_families) {
  PolicyInput input = one_peer();
  input.peers.push_back({2, {prefix("ffff::/16"), prefix("255.255.255.254/31")}});
  input.rules = {plain(2, "ffff::/16", "::-::1"), plain(3, "255.255.255.254/31", "0.0.0.0/32"),
                 plain(4, "ffff::/16", "::1:0:0:0/128")};
  const CompiledPolicy out = compile(input).value();
  EXPECT_EQ(tcp_rule(out.blob, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::", 1), 2);
  EXPECT_EQ(tcp_rule(out.blob, "ffff::", "::1", 1), 2);
  EXPECT_EQ(tcp_rule(out.blob, "ffff::", "::2", 1), 0);
  EXPECT_EQ(tcp_rule(out.blob, "fffe:ffff::", "::1", 1), 0);
  EXPECT_EQ(tcp_rule(out.blob, "ffff::", "::1:0:0:0", 1), 4);
  EXPECT_EQ(tcp_rule(out.blob, "255.255.255.255", "0.0.0.0", 1), 3);
  EXPECT_EQ(tcp_rule(out.blob, "255.255.255.253", "0.0.0.0", 1), 0);
}

TEST(policy_at, takes_what_is_active) {
  const WallTime t0{std::chrono::hours{1000}};
  ResolvedPolicy policy;
  policy.rules = {plain(2, "10.8.0.2", "10.9.0.1"), plain(3, "10.8.0.2", "10.9.0.2")};
  policy.rules[1].not_after = t0;
  policy.ceiling = policy.rules;
  const auto count = [&](WallTime at, ClockTrust trust) {
    const PolicyInput out = policy_at(policy, {}, at, trust);
    EXPECT_EQ(out.rules.size(), out.ceiling->size());
    return out.rules.size();
  };
  EXPECT_EQ(count(t0 - Duration{1}, ClockTrust::kCredible), 2U);
  EXPECT_EQ(count(t0, ClockTrust::kCredible), 1U);
  EXPECT_EQ(count(t0 - Duration{1}, ClockTrust::kUnknown), 1U);
}

}  // namespace
}  // namespace sallyport::policy_tests
