// SPDX-License-Identifier: BSD-3-Clause
// A million packets at the edges of random policies: the tables, explain and a walk over the rules
// give one answer. The same check must find bugs that are put into the tables on purpose.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <iostream>
#include <map>
#include <optional>

#include "agent/policy/naive.h"
#include "agent/policy/verdict.h"
#include "tests/support/policy_gen.h"

namespace sallyport {
namespace {

constexpr size_t kPolicies = 16;
constexpr size_t kPackets = 62'500;  // for each
constexpr uint64_t kSeed = 20'260'101;

struct Counted {
  size_t packets = 0;
  size_t allowed = 0;
  std::map<sp_verdict, size_t> verdicts;
};

/// The kernel's walk, written out: what a BPF program does with the block.
uint16_t rule_in_tables(const std::vector<uint8_t>& blob, const PacketKey& packet) {
  const Halves src = halves_of(packet.src);
  const Halves dst = halves_of(packet.dst);
  return sp_policy_match(blob.data(), sp_policy_address_of(blob.data(), src.high, src.low),
                         sp_policy_address_of(blob.data(), dst.high, dst.low),
                         static_cast<uint8_t>(packet.proto), packet.dst_port)
      .rule;
}

/// The first packet about which they differ, in words.
std::optional<std::string> find_difference(testing::PolicyGen& gen, const PolicyInput& input,
                                           const std::vector<uint8_t>& blob, size_t packets,
                                           Counted* counted = nullptr) {
  for (size_t i = 0; i < packets; ++i) {
    const PacketKey packet = gen.packet(input);
    const NewFlow naive = judge_naively(input, packet);
    const Explanation told = explain(blob, input.rules, {}, packet);
    const uint16_t told_rule = told.rule ? told.rule->counter : uint16_t{0};
    const bool same_rule = naive.counter == 0 || rule_in_tables(blob, packet) == naive.counter;
    const NewFlow walked = judge_new_flow(blob, packet);
    if (walked != naive || told.verdict != naive.verdict || told_rule != naive.counter ||
        !same_rule) {
      return packet.src.text() + " -> " + packet.dst.text() + " " + name_of(packet.proto) + " " +
             std::to_string(packet.dst_port) + ": by the rules " +
             std::string(name_of(naive.verdict)) + " " + std::to_string(naive.counter) +
             ", by the tables " + std::string(name_of(told.verdict)) + " " +
             std::to_string(told_rule);
    }
    if (counted == nullptr) continue;
    ++counted->packets;
    counted->allowed += naive.verdict <= SP_LAST_ALLOW ? 1 : 0;
    ++counted->verdicts[naive.verdict];
  }
  return {};
}

TEST(policy_property, tables_explain_and_rules_agree) {
  Counted counted;
  for (size_t i = 0; i < kPolicies; ++i) {
    SCOPED_TRACE("seed " + std::to_string(kSeed + i));
    testing::PolicyGen gen(kSeed + i);
    const PolicyInput input = gen.policy();
    const CompiledPolicy compiled = compile(input).value();
    const auto difference = find_difference(gen, input, compiled.blob, kPackets, &counted);
    ASSERT_FALSE(difference) << *difference;
  }
  ASSERT_EQ(counted.packets, 1'000'000U);
  std::cout << "seeds " << kSeed << "-" << kSeed + kPolicies - 1 << ", allowed " << counted.allowed
            << "\n";
  EXPECT_GE(counted.allowed * 100, counted.packets * 30);
  EXPECT_LE(counted.allowed * 100, counted.packets * 70);
  for (const sp_verdict verdict :
       {SP_ALLOW_RULE, SP_DROP_NO_RULE, SP_DROP_METADATA, SP_DROP_EXIT_LOCAL, SP_DROP_CEILING,
        SP_DROP_MULTICAST, SP_DROP_LINK_LOCAL, SP_DROP_NO_PEER}) {
    std::cout << name_of(verdict) << " " << counted.verdicts[verdict] << "\n";
    EXPECT_GE(counted.verdicts[verdict], 1'000U) << name_of(verdict);
    counted.verdicts.erase(verdict);
  }
  EXPECT_TRUE(counted.verdicts.empty()) << "one that no first packet can have";
}

/// Each bug of a compiler, seen in what it would have made of `input`.
using Bug = std::vector<uint8_t> (*)(const PolicyInput& input);

std::vector<uint8_t> tables_of(const PolicyInput& input) { return compile(input).value().blob; }

sp_policy_header header_of(const std::vector<uint8_t>& blob) {
  sp_policy_header header{};
  std::memcpy(&header, blob.data(), sizeof(header));
  return header;
}

/// Moves the start of one IPv4 interval by one address.
void shift_key(std::vector<uint8_t>& blob, size_t key) {
  uint32_t start = 0;
  uint8_t* const at = &blob[header_of(blob).v4_keys + key * sizeof(start)];
  std::memcpy(&start, at, sizeof(start));
  ++start;
  std::memcpy(at, &start, sizeof(start));
}

std::vector<uint8_t> intervals_end_late(const PolicyInput& input) {
  std::vector<uint8_t> blob = tables_of(input);
  for (size_t i = 1; i < header_of(blob).v4_count; ++i) shift_key(blob, i);
  return blob;
}

std::vector<uint8_t> port_ranges_end_early(const PolicyInput& input) {
  PolicyInput wrong = input;
  for (Rule& rule : wrong.rules) {
    for (PortRange& range : rule.ports) {
      if (range.first < range.last) --range.last;
    }
  }
  return tables_of(wrong);
}

std::vector<uint8_t> last_rule_wins(const PolicyInput& input) {
  PolicyInput wrong = input;
  std::reverse(wrong.rules.begin(), wrong.rules.end());
  return tables_of(wrong);
}

std::vector<uint8_t> ceiling_lost(const PolicyInput& input) {
  PolicyInput wrong = input;
  wrong.ceiling.reset();
  return tables_of(wrong);
}

std::vector<uint8_t> ceiling_serves_all_protocols(const PolicyInput& input) {
  PolicyInput wrong = input;
  for (Rule& rule : *wrong.ceiling) {
    rule.protos = wrong.rules.back().protos;
    rule.ports.clear();
  }
  return tables_of(wrong);
}

std::vector<uint8_t> wide_peer_swallows(const PolicyInput& input) {
  PolicyInput wrong = input;
  for (PeerAddresses& peer : wrong.peers) {
    const auto is_wide = [](const Prefix& prefix) { return prefix.length == 16; };
    if (std::ranges::any_of(peer.addresses, is_wide)) {
      peer.addresses.push_back(*Prefix::parse("10.20.7.128/26"));
    }
  }
  return tables_of(wrong);
}

struct BugRow {
  const char* name;
  Bug bug;
};
class PolicyBug : public ::testing::TestWithParam<BugRow> {};

TEST_P(PolicyBug, is_found) {
  // The first seed whose policy has a ceiling.
  for (uint64_t seed = kSeed;; ++seed) {
    testing::PolicyGen gen(seed);
    const PolicyInput input = gen.policy();
    if (!input.ceiling) continue;
    ASSERT_FALSE(find_difference(gen, input, tables_of(input), 2'000)) << "not mutated";
    const auto difference = find_difference(gen, input, GetParam().bug(input), kPackets);
    ASSERT_TRUE(difference) << "seed " << seed;
    std::cout << "seed " << seed << ": " << *difference << "\n";
    return;
  }
}

INSTANTIATE_TEST_SUITE_P(seeded, PolicyBug,
                         ::testing::Values(BugRow{"intervals_end_late", intervals_end_late},
                                           BugRow{"port_ranges_end_early", port_ranges_end_early},
                                           BugRow{"last_rule_wins", last_rule_wins},
                                           BugRow{"ceiling_lost", ceiling_lost},
                                           BugRow{"ceiling_serves_all_protocols",
                                                  ceiling_serves_all_protocols},
                                           BugRow{"wide_peer_swallows", wide_peer_swallows}),
                         [](const auto& row) { return std::string(row.param.name); });

/// One edge of one set, wrong by one address: the packets must lie close enough to see most of
/// them.
TEST(policy_property, sees_single_edges_move) {
  testing::PolicyGen gen(kSeed);
  const PolicyInput input = gen.policy();
  const std::vector<uint8_t> right = tables_of(input);
  const size_t keys = header_of(right).v4_count;
  size_t found = 0;
  for (size_t key = 1; key < keys; ++key) {
    std::vector<uint8_t> wrong = right;
    shift_key(wrong, key);
    found += find_difference(gen, input, wrong, 4'000) ? 1 : 0;
  }
  std::cout << found << " of " << keys - 1 << " edges\n";
  EXPECT_GE(found * 10, (keys - 1) * 6);
}

}  // namespace
}  // namespace sallyport
