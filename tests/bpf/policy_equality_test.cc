// SPDX-License-Identifier: BSD-3-Clause
/// A million packets at the edges of random policies: the shipped programs, the tables as explain
/// walks them, and a walk over the rules give one answer, for first packets and for those of flows
/// that were there before. The same check must find bugs that are put into the kernel's tables.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <time.h>

#include <cstdlib>
#include <iostream>
#include <random>

#include "agent/policy/naive.h"
#include "tests/bpf/naive_gateway.h"
#include "tests/support/policy_gen.h"

namespace sallyport::test {
namespace {

constexpr uint64_t kSeed = 20'260'101;
constexpr size_t kPolicies = 16;
constexpr size_t kPackets = 62'000;        // under each
constexpr size_t kPacketsUnruled = 8'000;  // before there is a policy
constexpr size_t kPoliciesKept = 4;        // then the flows are forgotten
constexpr uint32_t kShare = 4'096;
constexpr uint32_t kOpenPeer = 3;
constexpr uint64_t kTimeoutNs = 3'600'000'000'000;

uint64_t seed_of_run() {
  const char* given = std::getenv("SALLYPORT_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : kSeed;
}

// What the programs look at, without checksums, which nobody looks at here. A test run takes the
// first 14 bytes for a link header and wants a whole IP header behind it if they look like IP's.
class Wire {
 public:
  ByteView write(const Sent& sent) {
    const PacketKey& p = sent.key;
    const bool v4 = p.src.is_v4();
    bytes_ = {};
    const size_t header = v4 ? 20 : 40;
    // An IPv4 source may look like the ethertype of IPv6.
    const size_t size = header + (v4 ? 40 : 24);
    const auto proto = static_cast<uint8_t>(p.proto);
    if (v4) {
      bytes_[0] = 0x45;
      bytes_[3] = static_cast<uint8_t>(size);
      bytes_[8] = 64;
      bytes_[9] = proto;
      std::copy_n(p.src.bytes.begin() + 12, 4, bytes_.begin() + 12);
      std::copy_n(p.dst.bytes.begin() + 12, 4, bytes_.begin() + 16);
    } else {
      bytes_[0] = 0x60;
      bytes_[5] = 24;
      bytes_[6] = proto;
      bytes_[7] = 64;
      std::ranges::copy(p.src.bytes, bytes_.begin() + 8);
      std::ranges::copy(p.dst.bytes, bytes_.begin() + 24);
    }
    write_transport(sent, header);
    return ByteView(bytes_).first(size);
  }

 private:
  void put16(size_t at, uint16_t value) {
    bytes_.at(at) = static_cast<uint8_t>(value >> 8);
    bytes_.at(at + 1) = static_cast<uint8_t>(value);
  }
  void write_transport(const Sent& sent, size_t at) {
    if (is_icmp(sent)) {
      const bool v4 = sent.key.src.is_v4();
      bytes_.at(at) = static_cast<uint8_t>(sent.reply ? (v4 ? 0 : 129) : (v4 ? 8 : 128));
      put16(at + 4, sent.key.src_port);
    } else if (sent.key.src_port != 0 || sent.key.dst_port != 0) {
      put16(at, sent.key.src_port);
      put16(at + 2, sent.key.dst_port);
    }
    if (sent.key.proto == IpProto::kTcp) {
      bytes_.at(at + 12) = 0x50;
      bytes_.at(at + 13) = sent.syn ? 2 : 16;
    }
  }
  std::array<uint8_t, 64> bytes_{};
};

std::string text_of(const Sent& sent) {
  return fmt::format("{}: {} {} -> {} {}, {}{}{}", sent.way == Way::kIn ? "in" : "out",
                     sent.key.src.text(), sent.key.src_port, sent.key.dst.text(), sent.key.dst_port,
                     name_of(sent.key.proto), sent.syn ? "" : ", no SYN",
                     sent.reply ? ", a reply" : "");
}

struct Counted {
  size_t packets = 0;
  size_t allowed = 0;
  size_t continued = 0;
  size_t answered = 0;      // continued, from the side that did not begin
  size_t judged_again = 0;  // continued, under another policy
  std::array<size_t, SP_VERDICT_COUNT> verdicts{};
};

/// The kernel's gateway and the naive one side by side.
class Pair {
 public:
  explicit Pair(uint64_t seed)
      : random_(seed), kernel_({.pin_dir = {}, .flows = 131'072}), naive_(kShare) {
    if (!kernel_.ready()) return;
    sp_settings& settings = kernel_.plane().settings();
    settings.flags = 0;  // a denied packet is dropped, not answered
    settings.flows_per_peer = kShare;
    std::ranges::fill(settings.timeout_ns, kTimeoutNs);
    kernel_.plane().peers()[kOpenPeer].flags = SP_PEER_OUTBOUND_OPEN;
    naive_.set_open(kOpenPeer);
    flows_fd_ = kernel_.plane().map_fd("flows");
    verdicts_fd_ = kernel_.plane().map_fd("verdicts");
    hits_fd_ = kernel_.plane().map_fd("rule_hits");
    const auto cpus = static_cast<size_t>(libbpf_num_possible_cpus());
    counts_.resize(cpus);
    hits_.resize(cpus);
  }
  Judged& kernel() { return kernel_; }
  const Counted& counted() const { return counted_; }

  /// `tables` go into the kernel; of `policy` without a mistake or not. `policy` is borrowed.
  bool load(const PolicyInput& policy, const std::vector<uint8_t>& tables) {
    naive_.set_policy(&policy);
    tables_ = tables;
    policy_ = &policy;
    return kernel_.load(tables) != 0;
  }
  void forget() {
    kernel_.forget();
    naive_.forget();
  }

  /// The first packet about which they differ, in words.
  std::optional<std::string> find_difference(testing::PolicyGen& gen, const PolicyInput& aim,
                                             size_t packets) {
    for (size_t i = 0; i < packets;) {
      const auto sent = next(gen, aim);
      if (!sent) continue;
      const auto tried = try_one(*sent);
      if (tried.difference) return text_of(*sent) + ": " + *tried.difference;
      i += tried.counts ? 1 : 0;
    }
    return {};
  }

  /// As many flows for each peer, in the kernel's own count too.
  std::optional<std::string> find_uncounted() {
    for (uint32_t peer = 1; peer <= 12; peer++) {
      const uint32_t seen = kernel_.plane().peers()[peer].flows;
      if (seen == naive_.flows_of(peer)) continue;
      return fmt::format("peer {}: {} flows, not {}", peer, seen, naive_.flows_of(peer));
    }
    if (kernel_.flow_count() != naive_.keys().size()) return "another number of flows";
    return {};
  }

 private:
  struct Tried {
    std::optional<std::string> difference;
    bool counts = true;  // else not judged at all
  };
  bool chance(uint64_t percent) { return random_() % 100 < percent; }

  /// One of a flow that there is, or a new one. Nothing: two families.
  std::optional<Sent> next(testing::PolicyGen& gen, const PolicyInput& aim) {
    if (!naive_.keys().empty() && chance(30)) return next_of_flow();
    Sent out{.key = gen.packet(aim)};
    PacketKey& key = out.key;
    if (key.src.is_v4() != key.dst.is_v4()) return {};
    const bool ports =
        key.proto == IpProto::kTcp || key.proto == IpProto::kUdp || key.proto == IpProto::kSctp;
    if (is_icmp(out)) key.dst_port = key.src_port;
    if (!ports && !is_icmp(out)) key.src_port = key.dst_port = 0;
    out.reply = is_icmp(out) && chance(20);
    out.syn = key.proto != IpProto::kTcp || chance(85);
    const NewFlow owners = judge_naively(aim, key);
    const bool from_peer = owners.src_peer != 0 && owners.src_peer != SP_PEER_SELF;
    const bool to_peer = owners.dst_peer != 0 && owners.dst_peer != SP_PEER_SELF;
    out.way = from_peer && !(to_peer && chance(50)) ? Way::kIn : Way::kOut;
    if (chance(4)) out.way = out.way == Way::kIn ? Way::kOut : Way::kIn;
    return out;
  }
  Sent next_of_flow() {
    const sp_flow_key key = naive_.keys()[random_() % naive_.keys().size()];
    NaiveGateway::Flow& flow = *naive_.find(key);
    if (chance(3)) expire(key, flow);
    Sent out = chance(50) ? flow.began : answer_to(flow.began);
    if (out.key.proto == IpProto::kTcp && !flow.expired) out.syn = out.syn && chance(50);
    return out;
  }

  /// Now: the reaper takes what has been expired for two seconds.
  void expire(const sp_flow_key& key, NaiveGateway::Flow& flow) {
    sp_flow entry{};
    if (bpf_map_lookup_elem(flows_fd_, &key, &entry) != 0) return;
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    entry.last_ns = static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 +
                    static_cast<uint64_t>(now.tv_nsec) - kTimeoutNs;
    flow.expired = bpf_map_update_elem(flows_fd_, &key, &entry, BPF_EXIST) == 0;
  }

  Tried try_one(const Sent& sent) {
    const sp_flow_key key = key_of(sent);
    const auto expected = naive_.judge(sent);
    if (!expected) return {.difference = {}, .counts = false};
    Tried out{.difference = ask_kernel(sent, *expected)};
    // Nothing may be left for the reaper, which would come at its own time.
    if (const auto* flow = naive_.find(key); flow != nullptr && flow->expired) {
      kernel_.plane().peers()[flow->peer].flows--;
      bpf_map_delete_elem(flows_fd_, &key);
      naive_.remove(key);
    }
    if (!out.difference && !expected->continues) out.difference = ask_tables(sent, *expected);
    count(sent, *expected);
    return out;
  }

  std::optional<std::string> ask_kernel(const Sent& sent, const Expected& expected) {
    const ByteView packet = wire_.write(sent);
    bpf_test_run_opts run{};
    run.sz = sizeof(run);
    run.data_in = packet.data();
    run.data_size_in = static_cast<uint32_t>(packet.size());
    const bool in = sent.way == Way::kIn;
    const int program =
        kernel_.plane().program_fd(in ? Hook::kTailnetIn : Hook::kTailnetOut).value_or(-1);
    if (const int fault = bpf_prog_test_run_opts(program, &run); fault != 0) {
      return fmt::format("test run failed: {}", fault);
    }
    const bool passed = run.retval == 0xffffffff;  // TCX_NEXT
    const auto said =
        fmt::format("by the rules {} {}", test::name_of(expected.verdict), expected.rule);
    if (passed != (expected.verdict <= SP_LAST_ALLOW)) {
      return fmt::format("{}, in the kernel it {}", said, passed ? "passed" : "did not pass");
    }
    const uint32_t hook = in ? SP_HOOK_TAILNET_IN : SP_HOOK_TAILNET_OUT;
    const uint32_t index = hook * SP_VERDICT_SLOTS + expected.verdict;
    uint64_t& judged = judged_.at(hook).at(expected.verdict);
    if (sum_of(verdicts_fd_, index, counts_) != ++judged) {
      return fmt::format("{}, in the kernel it is another verdict", said);
    }
    if (expected.rule == 0) return {};
    if (sum_of(hits_fd_, expected.rule, hits_) != ++hit_.at(expected.rule)) {
      return fmt::format("{}, in the kernel it is another rule", said);
    }
    return {};
  }
  template <class Value>
  static uint64_t sum_of(int fd, uint32_t index, std::vector<Value>& of_cpus) {
    if (bpf_map_lookup_elem(fd, &index, of_cpus.data()) != 0) return UINT64_MAX;
    uint64_t out = 0;
    for (const Value& value : of_cpus) out += value.packets;
    return out;
  }

  /// explain's walk through the same tables, for what depends on no flow.
  std::optional<std::string> ask_tables(const Sent& sent, const Expected& expected) {
    if (policy_ == nullptr) return {};
    const NewFlow naive = judge_naively(*policy_, sent.key);
    const NewFlow walked = judge_new_flow(tables_, sent.key);
    if (walked != naive) {
      return fmt::format("by the rules {} {}, by the tables {} {}", test::name_of(naive.verdict),
                         naive.counter, test::name_of(walked.verdict), walked.counter);
    }
    if (counted_.packets % 16 != 0) return {};
    const Explanation told = explain(tables_, policy_->rules, {}, sent.key);
    const uint16_t rule = told.rule ? told.rule->counter : uint16_t{0};
    if (told.verdict != naive.verdict || rule != naive.counter) return "explained otherwise";
    if (expected.verdict == SP_ALLOW_RULE && !told.allowed) return "explained as denied";
    return {};
  }

  void count(const Sent& sent, const Expected& expected) {
    counted_.packets++;
    counted_.allowed += expected.verdict <= SP_LAST_ALLOW ? 1U : 0U;
    counted_.verdicts.at(expected.verdict)++;
    if (!expected.continues) return;
    counted_.continued++;
    counted_.judged_again += expected.judged_again ? 1U : 0U;
    const auto* flow = naive_.find(key_of(sent));
    counted_.answered += flow != nullptr && flow->began.way != sent.way ? 1U : 0U;
  }

  std::mt19937_64 random_;
  Judged kernel_;
  NaiveGateway naive_;
  std::vector<uint8_t> tables_;
  const PolicyInput* policy_ = nullptr;
  Wire wire_;
  int flows_fd_ = -1;
  int verdicts_fd_ = -1;
  int hits_fd_ = -1;
  std::vector<sp_count> counts_;
  std::vector<sp_rule_hits> hits_;
  std::array<std::array<uint64_t, SP_VERDICT_COUNT>, SP_HOOK_COUNT> judged_{};
  std::array<uint64_t, SP_MAX_RULES> hit_{};
  Counted counted_;
};

std::vector<uint8_t> tables_of(const PolicyInput& input) { return compile(input).value().blob; }

TEST(policy_equality, kernel_tables_and_rules_agree) {
  const uint64_t seed = seed_of_run();
  SCOPED_TRACE(fmt::format("SALLYPORT_SEED={}", seed));
  std::cout << "SALLYPORT_SEED=" << seed << "\n";
  const auto gateways = std::make_unique<Pair>(seed);
  Pair& both = *gateways;
  ASSERT_TRUE(both.kernel().ready()) << both.kernel().why_not();
  std::vector<std::unique_ptr<PolicyInput>> policies;  // borrowed by `both`
  for (size_t i = 0; i < kPolicies; i++) {
    SCOPED_TRACE(fmt::format("policy {}", i));
    testing::PolicyGen gen(seed + i);
    policies.push_back(std::make_unique<PolicyInput>(gen.policy()));
    const PolicyInput& input = *policies.back();
    if (i == 0) {
      const auto difference = both.find_difference(gen, input, kPacketsUnruled);
      ASSERT_FALSE(difference) << *difference;
    }
    if (i % kPoliciesKept == 0) both.forget();
    ASSERT_TRUE(both.load(input, tables_of(input)));
    const auto difference = both.find_difference(gen, input, kPackets);
    ASSERT_FALSE(difference) << *difference;
    const auto uncounted = both.find_uncounted();
    ASSERT_FALSE(uncounted) << *uncounted;
  }
  const Counted& seen = both.counted();
  ASSERT_EQ(seen.packets, kPacketsUnruled + kPolicies * kPackets);
  ASSERT_GE(seen.packets, 1'000'000U);
  std::cout << fmt::format("allowed {}, continued {} ({} answers, {} judged again)\n", seen.allowed,
                           seen.continued, seen.answered, seen.judged_again);
  EXPECT_GE(seen.allowed * 100, seen.packets * 30);
  EXPECT_LE(seen.allowed * 100, seen.packets * 70);
  EXPECT_GE(seen.continued * 100, seen.packets * 20);
  EXPECT_GE(seen.answered * 100, seen.packets * 8);
  EXPECT_GE(seen.judged_again * 100, seen.packets * 2);
  for (const sp_verdict verdict :
       {SP_ALLOW_RULE,       SP_ALLOW_FLOW,        SP_ALLOW_OUTBOUND,    SP_ALLOW_UNRECORDED,
        SP_DROP_NO_RULE,     SP_DROP_REVOKED,      SP_DROP_FLOW_EXPIRED, SP_DROP_FLOW_SHARE,
        SP_DROP_TCP_NO_FLOW, SP_DROP_ICMP_NO_FLOW, SP_DROP_METADATA,     SP_DROP_EXIT_LOCAL,
        SP_DROP_CEILING,     SP_DROP_MULTICAST,    SP_DROP_LINK_LOCAL,   SP_DROP_TOO_SHORT,
        SP_DROP_MALFORMED,   SP_DROP_SPOOFED,      SP_DROP_NO_POLICY,    SP_DROP_NO_PEER}) {
    const size_t count = seen.verdicts.at(verdict);
    std::cout << fmt::format("{} {}\n", test::name_of(verdict), count);
    EXPECT_GE(count, 1'000U) << test::name_of(verdict);
  }
}

/// What a mistaken compiler would have made of `input`.
using Bug = std::vector<uint8_t> (*)(const PolicyInput& input);

std::vector<uint8_t> intervals_end_late(const PolicyInput& input) {
  std::vector<uint8_t> blob = tables_of(input);
  sp_policy_header header{};
  std::memcpy(&header, blob.data(), sizeof(header));
  for (size_t i = 1; i < header.v4_count; i++) {
    uint8_t* const at = &blob.at(header.v4_keys + i * sizeof(uint32_t));
    uint32_t start = 0;
    std::memcpy(&start, at, sizeof(start));
    start++;
    std::memcpy(at, &start, sizeof(start));
  }
  return blob;
}

std::vector<uint8_t> last_rule_wins(const PolicyInput& input) {
  PolicyInput wrong = input;
  std::ranges::reverse(wrong.rules);
  return tables_of(wrong);
}

std::vector<uint8_t> ceiling_lost(const PolicyInput& input) {
  PolicyInput wrong = input;
  wrong.ceiling.reset();
  return tables_of(wrong);
}

struct BugRow {
  const char* name;
  Bug bug;
};
class policy_equality_bug : public ::testing::TestWithParam<BugRow> {};

TEST_P(policy_equality_bug, is_found_in_the_kernel) {
  for (uint64_t seed = seed_of_run();; seed++) {
    testing::PolicyGen gen(seed);
    const PolicyInput input = gen.policy();
    if (!input.ceiling) continue;
    SCOPED_TRACE(fmt::format("SALLYPORT_SEED={}", seed));
    const auto both = std::make_unique<Pair>(seed);
    ASSERT_TRUE(both->kernel().ready()) << both->kernel().why_not();
    ASSERT_TRUE(both->load(input, tables_of(input)));
    const auto before = both->find_difference(gen, input, 2'000);
    ASSERT_FALSE(before) << "not mutated, but " << *before;
    ASSERT_TRUE(both->load(input, GetParam().bug(input)));
    const auto difference = both->find_difference(gen, input, kPackets);
    ASSERT_TRUE(difference);
    EXPECT_NE(difference->find("in the kernel"), std::string::npos) << *difference;
    std::cout << *difference << "\n";
    return;
  }
}

INSTANTIATE_TEST_SUITE_P(seeded, policy_equality_bug,
                         ::testing::Values(BugRow{"intervals_end_late", intervals_end_late},
                                           BugRow{"last_rule_wins", last_rule_wins},
                                           BugRow{"ceiling_lost", ceiling_lost}),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace sallyport::test
