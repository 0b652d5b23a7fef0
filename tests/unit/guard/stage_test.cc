// SPDX-License-Identifier: BSD-3-Clause
#include "agent/guard/stage.h"

#include <gtest/gtest.h>

#include "tests/support/hostile_node.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;

const Instant kStart{1h};
PublicKey key(uint8_t n) { return Victim::key(n); }
NodeObject address(const char* text) { return OwnAddress{Victim::prefix(text)}; }

TEST(stage, a_committed_epoch_is_the_sum_of_its_records) {
  Stage stage;
  EXPECT_FALSE(stage.on_begin(1, kStart));
  EXPECT_FALSE(stage.on_put(address("100.64.0.1"), kStart));
  EXPECT_FALSE(stage.on_put(address("100.64.0.2"), kStart));
  EXPECT_FALSE(stage.on_put(ClockTrust::kCredible, kStart));
  EXPECT_FALSE(stage.on_delete(id_of(address("100.64.0.1")), kStart));
  const auto state = stage.on_commit(1, kStart + 1s);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->addresses, std::vector{Victim::prefix("100.64.0.2")});
  EXPECT_EQ(state->clock, ClockTrust::kCredible);
  EXPECT_FALSE(stage.next_wake());
}

TEST(stage, builds_on_what_was_settled_only) {
  Stage stage;
  (void)stage.on_begin(1, kStart);
  (void)stage.on_put(address("100.64.0.1"), kStart);
  stage.settle(stage.on_commit(1, kStart).value());
  (void)stage.on_begin(2, kStart);
  (void)stage.on_put(address("100.64.0.2"), kStart);
  EXPECT_EQ(stage.on_commit(2, kStart)->addresses.size(), 2U);  // and then refused by the bounds
  (void)stage.on_begin(3, kStart);
  EXPECT_EQ(stage.on_commit(3, kStart)->addresses.size(), 1U);
}

TEST(stage, an_epoch_that_is_not_committed_in_time_is_dropped) {
  Stage stage;
  (void)stage.on_begin(1, kStart);
  EXPECT_EQ(stage.next_wake(), kStart + 5s);
  EXPECT_FALSE(stage.on_wake(kStart + 4999ms));
  EXPECT_EQ(stage.on_wake(kStart + 5s), 1U);
  EXPECT_FALSE(stage.next_wake());
  EXPECT_FALSE(stage.on_put(address("100.64.0.1"), kStart + 6s));  // was under way
  EXPECT_EQ(stage.on_commit(1, kStart + 6s).error(), Refusal::kTooLate);
  EXPECT_FALSE(stage.broken());
  EXPECT_FALSE(stage.on_begin(2, kStart + 6s));
  EXPECT_TRUE(stage.on_commit(2, kStart + 6s)->addresses.empty());
}

TEST(stage, a_late_wake_does_not_let_a_late_commit_through) {
  Stage stage;
  (void)stage.on_begin(1, kStart);
  EXPECT_EQ(stage.on_commit(1, kStart + 5s).error(), Refusal::kTooLate);
}

TEST(stage, a_wrong_sequence_breaks_it_for_good) {
  const auto breaks = [](auto act) {
    Stage stage;
    EXPECT_TRUE(act(stage));
    EXPECT_TRUE(stage.broken());
    EXPECT_EQ(stage.on_begin(99, kStart), Refusal::kSequence);
    EXPECT_EQ(stage.on_commit(99, kStart).error(), Refusal::kSequence);
  };
  breaks([](Stage& s) { return s.on_put(ClockTrust::kCredible, kStart).has_value(); });
  breaks([](Stage& s) { return s.on_delete(ObjectId{}, kStart).has_value(); });
  breaks([](Stage& s) { return !s.on_commit(1, kStart); });
  breaks([](Stage& s) { return s.on_begin(0, kStart).has_value(); });
  breaks([](Stage& s) {
    (void)s.on_begin(1, kStart);
    return s.on_begin(2, kStart).has_value();
  });
  breaks([](Stage& s) {
    (void)s.on_begin(1, kStart);
    return !s.on_commit(2, kStart);
  });
  breaks([](Stage& s) {
    (void)s.on_begin(2, kStart);
    (void)s.on_commit(2, kStart);
    return s.on_begin(2, kStart).has_value();
  });
}

TEST(stage, holds_a_bounded_number_of_records) {
  Stage stage;
  (void)stage.on_begin(1, kStart);
  for (size_t n = 0; n < kMaxEpochRecords; ++n) {
    ASSERT_FALSE(stage.on_put(ClockTrust::kCredible, kStart));
  }
  EXPECT_EQ(stage.on_put(ClockTrust::kCredible, kStart), Refusal::kTooMany);
  EXPECT_TRUE(stage.broken());
}

TEST(stage, holds_a_bounded_number_of_members) {
  TailnetPeer peer;
  peer.node_key = key(1);
  peer.allowed_ips.assign(1024, Victim::prefix("10.0.0.0/8"));
  Stage stage;
  (void)stage.on_begin(1, kStart);
  for (size_t n = 0; n < kMaxEpochMembers / 1024; ++n) ASSERT_FALSE(stage.on_put(peer, kStart));
  EXPECT_EQ(stage.on_put(peer, kStart), Refusal::kTooMany);
}

}  // namespace
}  // namespace sallyport
