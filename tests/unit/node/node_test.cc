// SPDX-License-Identifier: BSD-3-Clause
// A node's decisions: names, their refresh and their retries, whether time is credible, and epochs.
#include "agent/node/node.h"

#include <gtest/gtest.h>

#include <string_view>
#include <utility>

namespace sallyport {
namespace {

using namespace std::chrono_literals;
using channel::Begin;
using channel::Commit;
using channel::Delete;
using channel::NodeRecord;
using channel::Put;

constexpr WallTime kSaved{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};
const IpAddress kFirst = *IpAddress::parse("192.0.2.1");
const IpAddress kSecond = *IpAddress::parse("2001:db8::2");

PublicKey key(uint8_t last) {
  PublicKey out;
  out.bytes[31] = last;
  return out;
}
NodeObject at(uint8_t peer, const IpAddress& address, uint16_t port = 51820) {
  return PeerEndpoint{key(peer), {address, port}};
}
Put put(NodeObject object) { return Put{std::move(object)}; }
Delete no_endpoint(uint8_t peer) { return {ObjectId{ObjectKind::kEndpoint, key(peer), {}, 0}}; }
NodeAction epoch(uint64_t number, std::vector<NodeRecord> changes) {
  changes.insert(changes.begin(), Begin{number});
  changes.push_back(Commit{number});
  return Send{std::move(changes)};
}

class node : public testing::Test {
 protected:
  NodeActions tell(const channel::AgentRecord& record) {
    return node_.on_record(record, wall_, now_);
  }
  NodeActions name(uint8_t peer, const std::string& host, uint16_t port = 51820) {
    return tell(channel::Name{key(peer), host, port});
  }
  NodeActions found(const std::string& host, const std::vector<IpAddress>& addresses) {
    return node_.on_lookup(host, addresses, now_);
  }
  /// To the moment that it asked for, which must be `after` from now.
  NodeActions wake(Duration after) {
    EXPECT_EQ(node_.next_wake(), now_ + after);
    EXPECT_EQ(node_.on_wake(now_ + after - 1ns), NodeActions{}) << "before its time";
    now_ += after;
    return node_.on_wake(now_);
  }
  /// With a clock that stood still, which is no news for an agent.
  void greet() {
    EXPECT_EQ(tell(channel::Hello{.saved_clock = kSaved}), NodeActions{});
    EXPECT_EQ(tell(channel::Ready{}), NodeActions{});
  }
  /// A peer whose endpoint the agent has taken, in epoch 1.
  void have_one() {
    greet();
    EXPECT_EQ(name(1, "vpn.example.org"), NodeActions{Lookup{"vpn.example.org"}});
    EXPECT_EQ(found("vpn.example.org", {kFirst}), NodeActions{epoch(1, {put(at(1, kFirst))})});
    EXPECT_EQ(tell(channel::Accepted{1}), NodeActions{});
  }
  NodeActions refuse(uint64_t epoch, const ObjectId& id, Refusal why) {
    return tell(channel::RefusedObject{epoch, {id, why}});
  }
  static bool stops(const NodeActions& actions) {
    return actions.size() == 1 && std::holds_alternative<Stop>(actions[0]);
  }

  Node node_;
  WallTime wall_ = kSaved;
  Instant now_{1h};
};

TEST_F(node, looks_up_at_once_and_tells_when_the_configuration_is_complete) {
  EXPECT_EQ(node_.next_wake(), std::nullopt);
  tell(channel::Hello{.saved_clock = kSaved});
  EXPECT_EQ(name(1, "a.example"), NodeActions{Lookup{"a.example"}});
  EXPECT_EQ(name(2, "b.example"), NodeActions{Lookup{"b.example"}});
  EXPECT_EQ(found("a.example", {kFirst}), NodeActions{}) << "not ready yet";
  EXPECT_EQ(found("b.example", {kSecond}), NodeActions{});
  EXPECT_EQ(tell(channel::Ready{}),
            NodeActions{epoch(1, {put(at(1, kFirst)), put(at(2, kSecond))})});
}

TEST_F(node, one_lookup_serves_two_peers_of_one_host) {
  greet();
  EXPECT_EQ(name(1, "a.example", 1000), NodeActions{Lookup{"a.example"}});
  EXPECT_EQ(name(2, "a.example", 2000), NodeActions{}) << "is being looked up";
  EXPECT_EQ(found("a.example", {kFirst}),
            NodeActions{epoch(1, {put(at(1, kFirst, 1000)), put(at(2, kFirst, 2000))})});
}

TEST_F(node, refreshes_and_tells_changes_only) {
  have_one();
  EXPECT_EQ(wake(kLookupRefresh), NodeActions{Lookup{"vpn.example.org"}});
  EXPECT_EQ(node_.next_wake(), std::nullopt) << "the resolver is asked";
  EXPECT_EQ(found("vpn.example.org", {kFirst}), NodeActions{});
  EXPECT_EQ(wake(kLookupRefresh), NodeActions{Lookup{"vpn.example.org"}});
  EXPECT_EQ(found("vpn.example.org", {kSecond}), NodeActions{epoch(2, {put(at(1, kSecond))})});
}

TEST_F(node, a_list_that_turns_round_moves_nobody) {
  have_one();
  wake(kLookupRefresh);
  EXPECT_EQ(found("vpn.example.org", {kSecond, kFirst}), NodeActions{});
}

TEST_F(node, failed_lookups_back_off_and_the_last_good_answer_stays) {
  have_one();
  wake(kLookupRefresh);
  Duration retry = kLookupFirstRetry;
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(found("vpn.example.org", {}), NodeActions{});
    EXPECT_EQ(wake(retry), NodeActions{Lookup{"vpn.example.org"}});
    retry = std::min<Duration>(2 * retry, kLookupRefresh);
  }
  EXPECT_EQ(retry, kLookupRefresh) << "else the bound was not reached";
  EXPECT_EQ(found("vpn.example.org", {kFirst}), NodeActions{});
  wake(kLookupRefresh);
  found("vpn.example.org", {});
  EXPECT_EQ(node_.next_wake(), now_ + kLookupFirstRetry) << "from the beginning";
}

TEST_F(node, another_network_asks_anew_at_once) {
  have_one();
  EXPECT_EQ(tell(channel::NetworkChanged{}), NodeActions{Lookup{"vpn.example.org"}});
  EXPECT_EQ(tell(channel::NetworkChanged{}), NodeActions{}) << "is being looked up";
}

TEST_F(node, a_forgotten_name_is_neither_looked_up_nor_kept) {
  have_one();
  EXPECT_EQ(tell(channel::Forget{key(1)}), NodeActions{epoch(2, {no_endpoint(1)})});
  EXPECT_EQ(node_.next_wake(), std::nullopt);
  EXPECT_EQ(found("vpn.example.org", {kSecond}), NodeActions{}) << "an answer that came late";
}

TEST_F(node, a_peer_with_another_name_gets_the_new_names_address) {
  have_one();
  EXPECT_EQ(name(1, "new.example"),
            (NodeActions{Lookup{"new.example"}, epoch(2, {no_endpoint(1)})}));
  EXPECT_EQ(tell(channel::Accepted{2}), NodeActions{});
  EXPECT_EQ(found("new.example", {kSecond}), NodeActions{epoch(3, {put(at(1, kSecond))})});
}

TEST_F(node, a_peer_with_another_port_needs_no_lookup) {
  have_one();
  EXPECT_EQ(name(1, "vpn.example.org", 99), NodeActions{epoch(2, {put(at(1, kFirst, 99))})});
}

TEST_F(node, time_is_credible_if_it_went_on_while_we_were_off) {
  wall_ = kSaved + kClockMoved;
  EXPECT_EQ(tell(channel::Hello{.saved_clock = kSaved}), NodeActions{});
  EXPECT_EQ(tell(channel::Ready{}), NodeActions{epoch(1, {put(ClockTrust::kCredible)})});
}

TEST_F(node, time_that_starts_again_where_it_was_saved_is_not_credible) {
  wall_ = kSaved + kClockMoved - 1ns;
  greet();
  EXPECT_EQ(tell(channel::ClockSync{true}), NodeActions{epoch(1, {put(ClockTrust::kCredible)})});
  EXPECT_EQ(tell(channel::Accepted{1}), NodeActions{});
  EXPECT_EQ(tell(channel::ClockSync{false}), NodeActions{epoch(2, {put(ClockTrust::kUnknown)})});
}

TEST_F(node, a_clock_that_went_on_stays_credible_without_ntp) {
  wall_ = kSaved + 1h;
  tell(channel::Hello{.saved_clock = kSaved});
  tell(channel::Ready{});
  EXPECT_EQ(tell(channel::Accepted{1}), NodeActions{});
  EXPECT_EQ(tell(channel::ClockSync{false}), NodeActions{});
}

TEST_F(node, one_epoch_at_a_time_and_the_next_has_all_that_changed_meanwhile) {
  greet();
  name(1, "a.example");
  name(2, "b.example");
  EXPECT_EQ(found("a.example", {kFirst}), NodeActions{epoch(1, {put(at(1, kFirst))})});
  EXPECT_EQ(found("b.example", {kFirst}), NodeActions{});
  EXPECT_EQ(tell(channel::ClockSync{true}), NodeActions{});
  EXPECT_EQ(tell(channel::Accepted{1}),
            NodeActions{epoch(2, {put(at(2, kFirst)), put(ClockTrust::kCredible)})});
  EXPECT_EQ(tell(channel::Accepted{2}), NodeActions{});
}

TEST_F(node, what_was_refused_is_left_out_until_it_changes) {
  greet();
  name(1, "a.example");
  name(2, "b.example");
  found("a.example", {kFirst});  // epoch 1
  found("b.example", {kFirst});
  const ObjectId bad{ObjectKind::kEndpoint, key(1), {}, 0};
  EXPECT_EQ(refuse(1, bad, Refusal::kBadEndpoint), NodeActions{}) << "not at once";
  EXPECT_EQ(wake(kEpochRetry), NodeActions{epoch(2, {put(at(2, kFirst))})});
  EXPECT_EQ(tell(channel::Accepted{2}), NodeActions{}) << "the other one is barred";
  now_ += kLookupRefresh;
  node_.on_wake(now_);
  EXPECT_EQ(found("a.example", {kSecond}), NodeActions{epoch(3, {put(at(1, kSecond))})});
}

TEST_F(node, an_epoch_that_was_too_late_is_said_again) {
  greet();
  name(1, "a.example");
  found("a.example", {kFirst});
  EXPECT_EQ(refuse(1, {}, Refusal::kTooLate), NodeActions{});
  EXPECT_EQ(wake(kEpochRetry), NodeActions{epoch(2, {put(at(1, kFirst))})});
}

TEST_F(node, a_second_complaint_about_one_epoch_changes_nothing) {
  greet();
  name(1, "a.example");
  found("a.example", {kFirst});
  refuse(1, {}, Refusal::kTooLate);
  wake(kEpochRetry);  // epoch 2
  EXPECT_EQ(refuse(1, {}, Refusal::kTooLate), NodeActions{});
  EXPECT_EQ(tell(channel::Accepted{2}), NodeActions{}) << "still under way";
}

TEST_F(node, what_was_withdrawn_is_said_again_and_left_out_once_refused) {
  have_one();
  const ObjectId id{ObjectKind::kEndpoint, key(1), {}, 0};
  EXPECT_EQ(tell(channel::Withdrawn{id}), NodeActions{epoch(2, {put(at(1, kFirst))})});
  EXPECT_EQ(refuse(2, id, Refusal::kBadEndpoint), NodeActions{});
  EXPECT_EQ(wake(kEpochRetry), NodeActions{});
  // Another configuration: what was refused may be right now.
  EXPECT_EQ(name(1, "vpn.example.org"), NodeActions{epoch(3, {put(at(1, kFirst))})});
  EXPECT_EQ(tell(channel::Accepted{3}), NodeActions{});
  EXPECT_EQ(tell(channel::Withdrawn{{ObjectKind::kRule, {}, {}, 7}}), NodeActions{});
}

TEST_F(node, what_was_withdrawn_while_it_spoke_is_no_longer_accepted) {
  have_one();
  EXPECT_EQ(name(2, "vpn.example.org", 53), NodeActions{epoch(2, {put(at(2, kFirst, 53))})});
  EXPECT_EQ(tell(channel::Withdrawn{{ObjectKind::kEndpoint, key(1), {}, 0}}), NodeActions{});
  EXPECT_EQ(tell(channel::Accepted{2}), NodeActions{epoch(3, {put(at(1, kFirst))})});
}

TEST_F(node, stops_if_the_agent_speaks_otherwise) {
  EXPECT_TRUE(stops(tell(channel::Ready{}))) << "no hello";
  EXPECT_TRUE(stops(tell(channel::Hello{.version = channel::kVersion + 1, .saved_clock = kSaved})));
  greet();
  EXPECT_TRUE(stops(tell(channel::Hello{.saved_clock = kSaved}))) << "a second one";
  EXPECT_TRUE(stops(tell(channel::Accepted{1}))) << "of no epoch";
}

}  // namespace
}  // namespace sallyport
