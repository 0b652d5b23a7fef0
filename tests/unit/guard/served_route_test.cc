// SPDX-License-Identifier: BSD-3-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/guard/bounds.h"
#include "tests/support/hostile_node.h"
#include "tests/unit/guard/refusals.h"

namespace sallyport {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct ServedRoutes : testing::Test {
  Victim victim;

  std::vector<Refusal> judge(const NodeState& state) { return refusals(victim, state); }
  std::vector<Refusal> route(const char* text) {
    NodeState state;
    put(state, ServedRoute{Victim::prefix(text), true});
    return judge(state);
  }
  std::vector<Refusal> alias(const char* text) {
    TailnetPeer peer;
    peer.node_key = Victim::key(11);
    peer.allowed_ips = {Victim::prefix("100.64.0.9")};
    const auto address = IpAddress::parse(text);
    (address->is_v4() ? peer.masquerade_v4 : peer.masquerade_v6) = address;
    NodeState state;
    put(state, peer);
    return judge(state);
  }
};

TEST_F(ServedRoutes, are_networks_of_ours_or_the_exit) {
  for (const char* text : {"10.1.0.0/16", "10.200.0.0/16", "0.0.0.0/0", "::/0", "fd01::/64"})
    EXPECT_THAT(route(text), IsEmpty()) << text;
  for (const char* text : {"10.1.0.1/16", "127.0.0.0/8", "126.0.0.0/7", "224.0.0.0/4",
                           "169.254.7.0/24", "fe80::/64", "ff00::/8"})
    EXPECT_THAT(route(text), ElementsAre(Refusal::kBadPrefix)) << text;
  EXPECT_THAT(route("172.20.0.0/16"), ElementsAre(Refusal::kTakenPrefix));
  EXPECT_THAT(route("10.9.0.2/32"), ElementsAre(Refusal::kTakenPrefix));
}

TEST_F(ServedRoutes, are_bounded_in_number) {
  NodeState state;
  for (uint32_t n = 0; n < kMaxServedRoutes; ++n)
    put(state, ServedRoute{Prefix{IpAddress::v4(0x0b000000 + (n << 8)), 24}, true});
  EXPECT_THAT(judge(state), IsEmpty());
  put(state, ServedRoute{Victim::prefix("12.0.0.0/24"), true});
  EXPECT_THAT(judge(state), ElementsAre(Refusal::kTooMany));
}

TEST_F(ServedRoutes, an_alias_towards_a_peer_is_no_address_of_ours) {
  EXPECT_THAT(alias("172.16.9.9"), IsEmpty());
  EXPECT_THAT(alias("fd77::9"), IsEmpty());
  EXPECT_THAT(alias("127.0.0.1"), ElementsAre(Refusal::kBadPrefix));
  EXPECT_THAT(alias("169.254.169.254"), ElementsAre(Refusal::kBadPrefix));
  EXPECT_THAT(alias("10.1.0.1"), ElementsAre(Refusal::kOwnAddress));
  EXPECT_THAT(alias("10.1.0.77"), ElementsAre(Refusal::kConnectedPrefix));
}

}  // namespace
}  // namespace sallyport
