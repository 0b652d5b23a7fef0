// SPDX-License-Identifier: BSD-3-Clause
/// Expired flows go by the kernel's own timer, and a full table is looked at at once.
#include <gtest/gtest.h>
#include <poll.h>

#include <functional>

#include "tests/bpf/gateway.h"
#include "tests/bpf/judged.h"
#include "tests/bpf/packets.h"

namespace sallyport::test {
namespace {

using namespace std::chrono_literals;

// Looks again until it is so, at most 20 s: the timer has no event to wait for.
bool becomes(const std::function<bool()>& is_so) {
  for (int i = 0; i < 1000; i++) {
    if (is_so()) return true;
    poll(nullptr, 0, 20);
  }
  return false;
}

TEST(reaper, takes_what_has_expired_and_nothing_else) {
  Judged gateway;
  ASSERT_TRUE(gateway.ready()) << gateway.why_not();
  ASSERT_NE(gateway.load(rules_of_gateway().blob()), 0U);
  for (uint16_t port = 1; port <= 500; port++) {
    gateway.judge(Way::kIn, udp("10.99.0.2", port, "192.168.7.9", 53));
  }
  ASSERT_EQ(gateway.flow_count(), 500U);
  gateway.age(183s);
  gateway.judge(Way::kIn, udp("10.99.0.2", 1, "192.168.7.9", 53));
  EXPECT_TRUE(becomes([&] { return gateway.flow_count() == 1; })) << gateway.flow_count();
  EXPECT_TRUE(gateway.flow_of(1));
  EXPECT_EQ(gateway.plane().peers()[1].flows, 1U);
}

TEST(reaper, a_full_table_passes_unrecorded_and_is_cleared_as_soon_as_something_ends) {
  Judged gateway(DataPlaneOptions{.pin_dir = {}, .flows = 64});
  ASSERT_TRUE(gateway.ready()) << gateway.why_not();
  gateway.plane().settings().flows_per_peer = 1000;
  ASSERT_NE(gateway.load(rules_of_gateway().blob()), 0U);
  const auto query = [](uint16_t port) { return udp("10.99.0.2", port, "192.168.7.9", 53); };
  uint16_t port = 0;
  while (gateway.judge(Way::kIn, query(++port)).verdict == "rule") ASSERT_LT(port, 200);
  EXPECT_GE(gateway.flow_count(), 64U);
  EXPECT_EQ(gateway.judge(Way::kIn, query(port)).verdict, "unrecorded");
  EXPECT_EQ(gateway.judge(Way::kOut, udp("192.168.7.9", 53, "10.99.0.2", port)).verdict,
            "flow_share");
  gateway.age(183s);
  EXPECT_TRUE(becomes([&] { return gateway.judge(Way::kIn, query(port)).verdict == "rule"; }));
}

}  // namespace
}  // namespace sallyport::test
