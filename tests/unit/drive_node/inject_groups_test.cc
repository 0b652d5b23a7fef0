// SPDX-License-Identifier: BSD-3-Clause
// Groups against what a kernel makes of them, and the pace that they leave at.
#include "agent/drive/node/inject_groups.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "agent/drive/node/inject_pace.h"
#include "tests/support/seeded_random.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;

IpAddress parking(unsigned peer) { return IpAddress::v4(0x7f010000 + peer); }

/// As the kernel cuts a group.
std::vector<Bytes> cut(const InjectGroup& group) {
  std::vector<Bytes> out;
  for (size_t at = 0; at < group.bytes.size(); at += group.segment_bytes) {
    const size_t end = std::min(at + group.segment_bytes, group.bytes.size());
    out.emplace_back(group.bytes.begin() + static_cast<ptrdiff_t>(at),
                     group.bytes.begin() + static_cast<ptrdiff_t>(end));
  }
  return out;
}

TEST(inject_groups, packets_of_one_size_share_a_group_and_a_smaller_one_ends_it) {
  InjectGroups groups;
  const size_t sizes[] = {100, 100, 40, 100, 120};
  for (const size_t size : sizes) ASSERT_TRUE(groups.add(parking(1), Bytes(size)));
  std::vector<std::vector<size_t>> made;
  for (; !groups.empty(); groups.pop()) {
    made.emplace_back();
    for (const Bytes& packet : cut(groups.front())) made.back().push_back(packet.size());
  }
  EXPECT_EQ(made, (std::vector<std::vector<size_t>>{{100, 100, 40}, {100}, {120}}));
}

TEST(inject_groups, peers_in_turn_have_a_group_each) {
  InjectGroups groups;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(groups.add(parking(1), Bytes(100, 1)));
    ASSERT_TRUE(groups.add(parking(2), Bytes(100, 2)));
  }
  for (uint8_t peer = 1; peer <= 2; ++peer) {
    EXPECT_EQ(groups.front().parking, parking(peer));
    EXPECT_EQ(cut(groups.front()), std::vector(10, Bytes(100, peer)));
    groups.pop();
  }
  EXPECT_TRUE(groups.empty());
}

TEST(inject_groups, the_largest_group_and_the_largest_queue) {
  InjectGroups groups;
  for (size_t i = 0; i < InjectGroups::kQueuePackets; ++i) {
    ASSERT_TRUE(groups.add(parking(1), Bytes(100)));
  }
  EXPECT_FALSE(groups.add(parking(1), Bytes(100)));
  EXPECT_EQ(groups.front().packets, InjectGroups::kMaxPackets);
  groups.pop();
  EXPECT_TRUE(groups.add(parking(1), Bytes(100)));

  InjectGroups large;
  size_t taken = 0;
  while (large.add(parking(1), Bytes(1500))) ++taken;
  EXPECT_EQ(taken, InjectGroups::kQueueBytes / 1500);
  EXPECT_EQ(large.front().packets, InjectGroups::kMaxBytes / 1500);
}

TEST(inject_groups, what_is_no_packet_is_refused) {
  InjectGroups groups;
  EXPECT_FALSE(groups.add(parking(1), {}));
  EXPECT_FALSE(groups.add(parking(1), Bytes(InjectGroups::kMaxBytes + 1)));
  EXPECT_TRUE(groups.empty());
  EXPECT_TRUE(groups.add(parking(1), Bytes(InjectGroups::kMaxBytes)));
}

// Whatever comes, each peer's packets come out as they went in, and no group breaks a rule.
TEST(inject_groups, keep_what_they_are_given) {
  SeededRandom random(1);
  InjectGroups groups;
  std::map<IpAddress, std::vector<Bytes>> in;
  std::map<IpAddress, std::vector<Bytes>> out;
  size_t waiting = 0;
  const auto take_one = [&] {
    const InjectGroup& group = groups.front();
    const auto packets = cut(group);
    ASSERT_EQ(packets.size(), group.packets);
    ASSERT_LE(group.packets, InjectGroups::kMaxPackets);
    ASSERT_LE(group.bytes.size(), InjectGroups::kMaxBytes);
    auto& of_peer = out[group.parking];
    of_peer.insert(of_peer.end(), packets.begin(), packets.end());
    waiting -= group.packets;
    groups.pop();
    ASSERT_EQ(groups.packets(), waiting);
  };
  constexpr size_t kSizes[] = {1, 32, 148, 1312, 1312, 1312, 9000};
  for (int i = 0; i < 20'000; ++i) {
    const IpAddress peer = parking(static_cast<unsigned>(random.below(30)));
    Bytes packet(kSizes[random.below(std::size(kSizes))]);
    for (size_t at = 0; at < std::min<size_t>(packet.size(), 4); ++at) {
      packet[at] = static_cast<uint8_t>(i >> (8 * at));
    }
    if (groups.add(peer, packet)) {
      in[peer].push_back(std::move(packet));
      ++waiting;
    }
    if (random.below(20) == 0 && !groups.empty()) take_one();
  }
  while (!groups.empty()) take_one();
  EXPECT_EQ(in, out);
}

TEST(inject_pace, a_burst_and_then_with_time) {
  InjectPace pace;
  const Instant t0{100s};
  EXPECT_TRUE(pace.take(kInjectBurst - 64, t0));
  EXPECT_TRUE(pace.take(64, t0));
  EXPECT_FALSE(pace.take(1, t0));
  EXPECT_EQ(pace.ready(kInjectPerMs), t0 + 1ms);
  EXPECT_FALSE(pace.take(kInjectPerMs, t0 + 1ms - 1ns));
  EXPECT_TRUE(pace.take(kInjectPerMs, t0 + 1ms));
  EXPECT_FALSE(pace.take(1, t0 + 1ms));
  // However long the silence, never more than a burst.
  EXPECT_TRUE(pace.take(kInjectBurst, t0 + 1h));
  EXPECT_FALSE(pace.take(1, t0 + 1h));
}

TEST(inject_pace, what_is_ready_may_go) {
  InjectPace pace;
  SeededRandom random(2);
  Instant now{1s};
  size_t gone = 0;
  const Instant begin = now;
  for (int i = 0; i < 10'000; ++i) {
    const size_t packets = 1 + random.below(64);
    if (!pace.take(packets, now)) {
      now = pace.ready(packets);
      ASSERT_TRUE(pace.take(packets, now));
    }
    gone += packets;
    now += Duration(random.below(1000));
    const auto elapsed = std::chrono::duration<double, std::milli>(now - begin).count();
    ASSERT_LE(static_cast<double>(gone),
              static_cast<double>(kInjectBurst) + (elapsed + 0.01) * double{kInjectPerMs});
  }
}

}  // namespace
}  // namespace sallyport
