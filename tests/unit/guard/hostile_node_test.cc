// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <random>

#include "tests/support/hostile_check.h"

namespace sallyport {
namespace {

TEST(hostile_node, touches_nothing_outside_our_scope) {
  size_t taken = 0;
  size_t refused = 0;
  size_t withdrawn = 0;
  size_t allowed = 0;
  for (uint32_t seed = 0; seed < 2000; ++seed) {
    std::mt19937 random(seed);
    HostileNode node([&](uint32_t n) { return static_cast<uint32_t>(random() % n); });
    HostileCheck check;
    for (uint64_t epoch = 1; epoch <= 8; ++epoch) {
      ASSERT_FALSE(check.stage.on_begin(epoch, Instant{}));
      for (auto n = random() % 4; n-- > 0;) {
        ASSERT_FALSE(check.stage.on_put(node.object(), Instant{}));
        if (random() % 4 != 0) continue;
        ASSERT_FALSE(check.stage.on_delete(node.id(), Instant{}));
      }
      ASSERT_EQ(check.commit(), "") << "seed " << seed << " epoch " << epoch;
      if (random() % 4 != 0) continue;
      // Often over something that a peer of the node's has.
      Prefix to = node.port_address();
      if (const auto& peers = check.accepted.peers; !peers.empty() && random() % 2 == 0) {
        const auto& allowed = peers.begin()->second.allowed_ips;
        if (!allowed.empty()) to.address = allowed.front().address;
        to.length = to.address.is_v4() ? 24 : 64;
      }
      ASSERT_EQ(check.move_lan(to), "") << "seed " << seed << " epoch " << epoch;
    }
    if (seed % 4 == 0) {
      const auto draw = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
      ASSERT_EQ(check.judge_packets(400, draw), "") << "seed " << seed;
      allowed += check.allowed;
    }
    taken += check.taken;
    refused += check.refused;
    withdrawn += check.withdrawn;
  }
  // The bounds are tried from both sides.
  EXPECT_GT(taken, 2000U);
  EXPECT_GT(refused, 2000U);
  EXPECT_GT(withdrawn, 50U);
  EXPECT_GT(allowed, 2000U);
}

}  // namespace
}  // namespace sallyport
