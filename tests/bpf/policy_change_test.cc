// SPDX-License-Identifier: BSD-3-Clause
/// Rules that go and come while flows run, slots that end by themselves, and the share of a peer.
#include <gtest/gtest.h>
#include <sched.h>
#include <time.h>

#include <array>
#include <memory>
#include <string>

#include "tests/bpf/gateway.h"
#include "tests/bpf/judged.h"
#include "tests/bpf/packets.h"

namespace sallyport::test {
namespace {

using namespace std::chrono_literals;

Instant boot_now() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

PolicyBuilder without_rules() { return addresses_of_gateway(); }

// The thread stays where it is until the end of this object.
class OneCpu {
 public:
  OneCpu() {
    sched_getaffinity(0, sizeof(before_), &before_);
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<size_t>(sched_getcpu()), &here);
    sched_setaffinity(0, sizeof(here), &here);
  }
  OneCpu(const OneCpu&) = delete;
  OneCpu& operator=(const OneCpu&) = delete;
  ~OneCpu() { sched_setaffinity(0, sizeof(before_), &before_); }

 private:
  cpu_set_t before_{};
};

class policy_change : public testing::TestWithParam<bool> {
 protected:
  // Loading takes long, by waiting for grace periods: one gateway for all, which forgets.
  static void SetUpTestSuite() { shared_ = std::make_unique<Judged>(); }
  static void TearDownTestSuite() { shared_.reset(); }

  void SetUp() override {
    ASSERT_TRUE(gateway_.ready()) << gateway_.why_not();
    gateway_.forget();
    gateway_.plane().settings().flows_per_peer = 8192;
    gateway_.plane().peers()[3].flags = SP_PEER_OUTBOUND_OPEN;
    for (uint32_t rule = 0; rule < 10; rule++) {
      ASSERT_TRUE(gateway_.plane().clear_rule_hits(rule));
    }
    ASSERT_NE(gateway_.load(rules_of_gateway().blob()), 0U);
  }
  std::string in(const Bytes& packet) { return gateway_.judge(Way::kIn, packet).verdict; }
  std::string out(const Bytes& packet) { return gateway_.judge(Way::kOut, packet).verdict; }
  uint32_t flows_of(uint32_t peer) { return gateway_.plane().peers()[peer].flows; }

  // A connection, an exchange by UDP, and one from the LAN.
  const std::string laptop_ = GetParam() ? "fd99::2" : "10.99.0.2";
  const std::string laptop2_ = GetParam() ? "fd99::3" : "10.99.0.3";
  const std::string member_ = GetParam() ? "fd99::4" : "10.99.0.4";
  const std::string lan_ = GetParam() ? "fd07::9" : "192.168.7.9";
  const Bytes syn_ = tcp(laptop_, 5000, lan_, 22, kSyn);
  const Bytes syn_ack_ = tcp(lan_, 22, laptop_, 5000, kSyn | kAck);
  const Bytes up_ = tcp(laptop_, 5000, lan_, 22, kAck, 10);
  const Bytes down_ = tcp(lan_, 22, laptop_, 5000, kAck, 10);
  const Bytes query_ = udp(laptop_, 6000, lan_, 53);
  const Bytes answer_ = udp(lan_, 53, laptop_, 6000);
  Judged& gateway_ = *shared_;

 private:
  inline static std::unique_ptr<Judged> shared_;
};
INSTANTIATE_TEST_SUITE_P(families, policy_change, testing::Values(false, true),
                         [](const auto& info) { return info.param ? "v6" : "v4"; });

TEST_P(policy_change, revoked_at_the_next_packet_of_either_direction) {
  ASSERT_EQ(in(syn_), "rule");
  ASSERT_EQ(out(syn_ack_), "flow");
  ASSERT_EQ(in(query_), "rule");
  const uint64_t word = gateway_.load(without_rules().blob());
  EXPECT_EQ(out(down_), "revoked");
  EXPECT_EQ(in(up_), "revoked");
  EXPECT_EQ(in(query_), "revoked");
  EXPECT_EQ(out(answer_), "revoked");
  EXPECT_EQ(in(syn_), "revoked");
  const auto flow = gateway_.flow_of(5000);
  ASSERT_TRUE(flow);
  EXPECT_EQ(flow->word, word | SP_WORD_DENIED);
  EXPECT_EQ(flow->packets, 2U);  // denied packets are not the flow's
  EXPECT_EQ(flow->rule, 1U);     // which allowed it once: for the drop event

  ASSERT_NE(gateway_.load(rules_of_gateway().blob()), 0U);
  EXPECT_EQ(out(down_), "flow");
  EXPECT_EQ(in(query_), "flow");
}

TEST_P(policy_change, a_reload_that_keeps_the_rule_keeps_the_flow) {
  ASSERT_EQ(in(syn_), "rule");
  ASSERT_EQ(out(syn_ack_), "flow");
  PolicyBuilder other = addresses_of_gateway();
  other.allow(kLaptop1, kLan, 6, 22, 22, 9);
  const uint64_t word = gateway_.load(other.blob());
  EXPECT_EQ(out(down_), "flow");
  const auto flow = gateway_.flow_of(5000);
  ASSERT_TRUE(flow);
  EXPECT_EQ(flow->word, word);
  EXPECT_EQ(flow->rule, 9U);
  EXPECT_EQ(flow->state, SP_FLOW_OPEN);
}

TEST_P(policy_change, judged_again_as_the_packet_of_who_began) {
  // The LAN began; a rule that lets the laptop begin is none for this flow.
  const Bytes from_lan = udp(lan_, 4000, laptop2_, 53);
  const Bytes back = udp(laptop2_, 53, lan_, 4000);
  ASSERT_EQ(out(from_lan), "rule");
  ASSERT_EQ(in(back), "flow");
  PolicyBuilder turned = addresses_of_gateway();
  turned.allow(kLaptop2, kLan, 17, 0, 0xffff, 1);
  ASSERT_NE(gateway_.load(turned.blob()), 0U);
  EXPECT_EQ(in(back), "revoked");
  EXPECT_EQ(out(from_lan), "revoked");
}

TEST_P(policy_change, a_tombstone_does_not_rise) {
  ASSERT_EQ(in(query_), "rule");
  ASSERT_NE(gateway_.load(without_rules().blob()), 0U);
  for (int i = 0; i < 4; i++) {  // the server keeps sending, for twice the timeout
    gateway_.age(90s);
    EXPECT_EQ(out(answer_), "revoked");
  }
  EXPECT_EQ(in(query_), "revoked");
  gateway_.age(181s);
  EXPECT_EQ(out(answer_), "flow_expired");
  EXPECT_EQ(in(query_), "flow_expired");
}

TEST_P(policy_change, a_tombstone_of_an_open_peer_grants_no_way_back) {
  ASSERT_NE(gateway_.load(addresses_of_gateway().allow(kMember, kLan, 17, 53, 53, 1).blob()), 0U);
  const Bytes query = udp(member_, 6000, lan_, 53);
  const Bytes answer = udp(lan_, 53, member_, 6000);
  ASSERT_EQ(in(query), "rule");
  ASSERT_NE(gateway_.load(without_rules().blob()), 0U);
  EXPECT_EQ(out(answer), "revoked");
  EXPECT_EQ(in(query), "revoked");
  EXPECT_EQ(out(answer), "revoked");
}

TEST_P(policy_change, an_outbound_flow_of_an_open_peer_ends_when_it_is_open_no_more) {
  const Bytes there = udp(lan_, 4000, member_, 9);
  const Bytes back = udp(member_, 9, lan_, 4000);
  ASSERT_EQ(out(there), "outbound");
  ASSERT_NE(gateway_.load(rules_of_gateway().blob()), 0U);
  EXPECT_EQ(in(back), "flow");
  gateway_.plane().peers()[3].flags = 0;
  ASSERT_NE(gateway_.load(rules_of_gateway().blob()), 0U);
  EXPECT_EQ(in(back), "revoked");
}

TEST_P(policy_change, an_icmp_error_about_a_revoked_flow_is_about_none) {
  ASSERT_EQ(in(query_), "rule");
  const Bytes error = icmp_error(lan_, laptop_, GetParam() ? 1 : 3, query_);
  ASSERT_EQ(out(error), "related");
  ASSERT_NE(gateway_.load(without_rules().blob()), 0U);
  EXPECT_EQ(out(error), "icmp_no_flow");
}

TEST_P(policy_change, a_later_fragment_is_judged_by_the_new_policy) {
  const Bytes big = udp(laptop_, 6000, lan_, 53, 3000);
  ASSERT_EQ(in(fragment(big, 0, 1000, 7)), "rule");
  ASSERT_EQ(in(fragment(big, 1000, 1000, 7)), "fragment");
  ASSERT_NE(gateway_.load(rules_of_gateway().blob()), 0U);
  EXPECT_EQ(in(fragment(big, 1000, 1000, 7)), "fragment");
  ASSERT_NE(gateway_.load(without_rules().blob()), 0U);
  EXPECT_EQ(in(fragment(big, 1000, 1000, 7)), "revoked");
  EXPECT_EQ(in(fragment(big, 2000, 1008, 7)), "fragment_denied");
}

TEST_P(policy_change, an_address_that_moves_takes_its_flows_along) {
  ASSERT_EQ(in(query_), "rule");
  ASSERT_EQ(flows_of(1), 1U);
  PolicyBuilder moved = rules_of_gateway();
  moved.addresses(laptop_, 2, kLaptop1);
  ASSERT_NE(gateway_.load(moved.blob()), 0U);
  EXPECT_EQ(in(query_), "flow");
  EXPECT_EQ(flows_of(1), 0U);
  EXPECT_EQ(flows_of(2), 1U);
  PolicyBuilder gone = rules_of_gateway();
  gone.addresses(laptop_, 0, kLaptop1);
  ASSERT_NE(gateway_.load(gone.blob()), 0U);
  EXPECT_EQ(in(query_), "revoked");
  EXPECT_EQ(flows_of(2), 1U);  // the tombstone is still its
}

TEST_P(policy_change, nothing_passes_without_a_policy) {
  ASSERT_EQ(in(query_), "rule");
  ASSERT_TRUE(gateway_.plane().policy().set_chain({}));
  EXPECT_EQ(in(query_), "no_policy");
  EXPECT_EQ(out(answer_), "no_policy");
  EXPECT_EQ(gateway_.plane().policy().bytes(), 0U);
}

TEST_P(policy_change, a_slot_ends_by_itself) {
  auto& policy = gateway_.plane().policy();
  const auto open = policy.load(rules_of_gateway().blob());
  const auto closed = policy.load(without_rules().blob());
  ASSERT_TRUE(open && closed);
  const uint64_t generation = policy.next_generation();
  const uint64_t first = SP_WORD(generation, *open);
  const uint64_t second = SP_WORD(generation + 1, *closed);
  const Instant now = boot_now();
  ASSERT_TRUE(policy.set_chain(std::array{PolicyLink{first, now + 1h}, PolicyLink{second, {}}}));
  EXPECT_EQ(in(syn_), "rule");
  EXPECT_EQ(out(syn_ack_), "flow");
  // The same chain, an hour later.
  const std::array over{PolicyLink{first, now}, PolicyLink{second, {}}};
  ASSERT_TRUE(policy.set_chain(over));
  EXPECT_EQ(out(down_), "revoked");
  EXPECT_EQ(in(query_), "no_rule");
  EXPECT_EQ(gateway_.flow_of(5000)->word, second | SP_WORD_DENIED);
  const auto seen = policy.chain();
  EXPECT_EQ(seen, std::vector<PolicyLink>(over.begin(), over.end()));
  EXPECT_EQ(policy.next_generation(), generation + 2);
}

TEST_P(policy_change, a_chain_that_ends_closes) {
  auto& policy = gateway_.plane().policy();
  const auto slot = policy.load(rules_of_gateway().blob());
  ASSERT_TRUE(slot);
  const uint64_t word = SP_WORD(policy.next_generation(), *slot);
  ASSERT_TRUE(policy.set_chain(std::array{PolicyLink{word, boot_now()}}));
  EXPECT_EQ(in(query_), "no_policy");
}

TEST_P(policy_change, a_peer_at_its_share) {
  gateway_.plane().settings().flows_per_peer = 2;
  ASSERT_EQ(in(syn_), "rule");
  ASSERT_EQ(in(query_), "rule");
  ASSERT_EQ(flows_of(1), 2U);
  const Bytes query = udp(laptop_, 6001, lan_, 53);
  EXPECT_EQ(in(query), "unrecorded");
  EXPECT_EQ(out(udp(lan_, 53, laptop_, 6001)), "flow_share");
  EXPECT_EQ(out(udp(lan_, 54, laptop_, 6001)), "no_rule");  // answers nothing that may have passed
  EXPECT_EQ(in(tcp(laptop_, 5001, lan_, 22, kSyn)), "unrecorded");
  EXPECT_EQ(out(tcp(lan_, 22, laptop_, 5001, kSyn | kAck)), "flow_share");
  const uint8_t echo = GetParam() ? 128 : 8;
  EXPECT_EQ(in(icmp(laptop_, lan_, echo, 0, 7)), "unrecorded");
  EXPECT_EQ(out(icmp(lan_, laptop_, GetParam() ? 129 : 0, 0, 7)), "flow_share");
  // What is recorded lives, and so do the others.
  EXPECT_EQ(out(syn_ack_), "flow");
  EXPECT_EQ(out(answer_), "flow");
  EXPECT_EQ(out(udp(lan_, 4000, laptop2_, 53)), "rule");
  EXPECT_EQ(flows_of(1), 2U);
  EXPECT_EQ(flows_of(2), 1U);
}

TEST_P(policy_change, an_ended_flow_that_begins_anew_counts_once) {
  ASSERT_EQ(in(query_), "rule");
  gateway_.age(200s);
  EXPECT_EQ(in(query_), "rule");
  EXPECT_EQ(flows_of(1), 1U);
  EXPECT_EQ(gateway_.flow_count(), 1U);
  EXPECT_EQ(gateway_.flow_of(6000)->packets, 1U);
}

TEST_P(policy_change, counters) {
  const auto before = gateway_.plane().verdicts();
  ASSERT_TRUE(before);
  ASSERT_EQ(in(query_), "rule");
  ASSERT_EQ(out(answer_), "flow");
  ASSERT_EQ(in(udp(laptop_, 6000, lan_, 54)), "no_rule");
  const auto hits = gateway_.plane().rule_hits(4);
  ASSERT_TRUE(hits);
  EXPECT_EQ(hits->at(2).packets, 2U);
  EXPECT_EQ(hits->at(2).bytes, query_.size() + answer_.size());
  EXPECT_NE(hits->at(2).last_ns, 0U);
  EXPECT_EQ(hits->at(1).packets, 0U);
  const sp_peer& peer = gateway_.plane().peers()[1];
  EXPECT_EQ(peer.rx_bytes, query_.size());
  EXPECT_EQ(peer.tx_bytes, answer_.size());
  EXPECT_NE(peer.last_rx_ns, 0U);
  EXPECT_NE(peer.last_tx_ns, 0U);
  const auto after = gateway_.plane().verdicts();
  ASSERT_TRUE(after);
  const auto bytes = [](const VerdictCounts& counts) {
    return counts.at(SP_HOOK_TAILNET_IN).at(SP_DROP_NO_RULE).bytes;
  };
  EXPECT_EQ(bytes(*after) - bytes(*before), query_.size());
}

TEST_P(policy_change, a_gso_packet_counts_its_segments) {
  const Bytes train = tcp(laptop_, 5000, lan_, 22, kSyn, 3000);
  const Given gso{.gso_size = 1000, .gso_segs = 3};
  EXPECT_EQ(gateway_.judge(Way::kIn, train, gso).verdict, "rule");  // three of it
  EXPECT_EQ(gateway_.flow_of(5000)->packets, 3U);
  EXPECT_EQ(gateway_.judge(Way::kIn, train, gso).verdict, "flow");
  EXPECT_EQ(gateway_.flow_of(5000)->packets, 6U);
  EXPECT_EQ(gateway_.flow_of(5000)->bytes, 2 * train.size());
  EXPECT_EQ(gateway_.plane().rule_hits(2)->at(1).packets, 6U);
}

TEST_P(policy_change, our_own_answer_passes_once_and_loses_its_mark) {
  const Bytes denied = tcp(lan_, 23, laptop_, 5000, kRst | kAck);
  const Seen seen = gateway_.judge(Way::kOut, denied, {.mark = 0x010b0007});
  EXPECT_EQ(seen.verdict, "answer");
  EXPECT_TRUE(seen.passed);
  EXPECT_EQ(seen.packet, denied);
  EXPECT_EQ(seen.mark, 0x000b0007U);
  EXPECT_EQ(gateway_.judge(Way::kIn, denied, {.mark = 0x01000000}).verdict, "answer");
  EXPECT_EQ(gateway_.judge(Way::kOut, denied, {.mark = 0x000b0007}).verdict, "tcp_no_flow");
}

TEST_P(policy_change, drop_events_are_bounded_and_say_how_many_were_not_told) {
  const OneCpu stay;  // buckets are per CPU
  gateway_.plane().drain_drop_events([](const sp_drop_event&) {});
  sp_settings& settings = gateway_.plane().settings();
  const sp_settings usual = settings;
  settings.event_interval_ns = 3'600'000'000'000;
  settings.event_burst_ns = 3'600'000'000'000;
  const Bytes denied = udp(laptop_, 6000, lan_, 54);
  for (int i = 0; i < 20; i++) ASSERT_EQ(in(denied), "no_rule");
  settings.event_burst_ns = UINT64_MAX;
  ASSERT_EQ(in(denied), "no_rule");
  settings = usual;
  std::vector<sp_drop_event> events;
  gateway_.plane().drain_drop_events([&](const sp_drop_event& e) { events.push_back(e); });
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events.at(1).suppressed, 0U);
  EXPECT_EQ(events.at(2).suppressed, 18U);
  const sp_drop_event& last = events.back();
  EXPECT_EQ(last.verdict, SP_DROP_NO_RULE);
  EXPECT_EQ(last.hook, SP_HOOK_TAILNET_IN);
  EXPECT_EQ(last.proto, 17);
  EXPECT_EQ(__builtin_bswap16(last.src_port_be), 6000);
  EXPECT_EQ(__builtin_bswap16(last.dst_port_be), 54);
  EXPECT_EQ(last.peer, 1U);
  EXPECT_EQ(last.length, denied.size());
}

}  // namespace
}  // namespace sallyport::test
