// SPDX-License-Identifier: BSD-3-Clause
// The scenes trust the stand-in for WireGuard to judge packets as WireGuard does: what a peer's
// allowed IPs say, it does, in both directions.
//
//   left wg0 10.7.0.1 (and .9, which is nobody's) ===== right wg0 10.7.0.2
#include <gtest/gtest.h>

#include "tests/support/scene/net.h"
#include "tests/support/scene/traffic.h"
#include "tests/support/stand_in/switchboard.h"

namespace sallyport::stand_in {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kSilence = 300ms;

class StandIn : public testing::Test {
 protected:
  StandIn() : net_("stand-in"), left_(net_.add("left")), right_(net_.add("right")) {
    make(left_, left_key_,
         {.device = "wg0",
          .public_key = right_key_.public_key(),
          .create = true,
          .preshared_key = {},
          .endpoint = Endpoint::parse("192.0.2.2:51820"),
          .keepalive_s = {},
          .allowed_ips = {{*Prefix::parse("10.7.0.0/24")}}});
    make(right_, right_key_,
         {.device = "wg0",
          .public_key = left_key_.public_key(),
          .create = true,
          .preshared_key = {},
          .endpoint = {},
          .keepalive_s = {},
          .allowed_ips = {{*Prefix::parse("10.7.0.1/32")}}});
    net_.ip(left_, "addr add 10.7.0.1/24 dev wg0\naddr add 10.7.0.9/24 dev wg0\nlink set wg0 up");
    net_.ip(right_, "addr add 10.7.0.2/24 dev wg0\nlink set wg0 up");
  }

  void make(const std::string& netns, const PrivateKey& key, const SetPeer& peer) {
    const auto refusals = switchboard_.apply(
        netns,
        {CreateLink{"wg0"},
         SetDevice{.device = "wg0", .private_key = key, .listen_port = {}, .fwmark = {}}, peer});
    for (const Refusal& refusal : refusals) ADD_FAILURE() << refusal.doing << refusal.error;
  }

  scene::Net net_;
  std::string left_, right_;
  const PrivateKey left_key_ = PrivateKey::generate();
  const PrivateKey right_key_ = PrivateKey::generate();
  Switchboard switchboard_;
};

TEST_F(StandIn, a_peers_packets_are_those_of_its_allowed_ips) {
  const Fd here = scene::udp_socket(left_, "10.7.0.1");
  const Fd nobody = scene::udp_socket(left_, "10.7.0.9");
  const Fd there = scene::udp_socket(right_, "10.7.0.2");
  const uint16_t port = scene::port_of(there);

  // Nobody has told it where the left is, and it has not heard of it.
  ASSERT_EQ(scene::send_to(there, "10.7.0.1", scene::port_of(here), "early"), 0);
  EXPECT_FALSE(scene::receive(here, kSilence));

  ASSERT_EQ(scene::send_to(here, "10.7.0.2", port, "first"), 0);
  EXPECT_TRUE(scene::receive(there, 5s));
  ASSERT_EQ(scene::send_to(nobody, "10.7.0.2", port, "forged"), 0);
  EXPECT_FALSE(scene::receive(there, kSilence));
  ASSERT_EQ(scene::send_to(there, "10.7.0.9", port, "for nobody"), 0);
  EXPECT_FALSE(scene::receive(nobody, kSilence));
  ASSERT_EQ(scene::send_to(there, "10.7.0.1", scene::port_of(here), "back"), 0);
  EXPECT_TRUE(scene::receive(here, 5s));
}

TEST_F(StandIn, a_peer_that_is_removed_is_heard_no_more) {
  const Fd here = scene::udp_socket(left_, "10.7.0.1");
  const Fd there = scene::udp_socket(right_, "10.7.0.2");
  ASSERT_EQ(scene::send_to(here, "10.7.0.2", scene::port_of(there), "first"), 0);
  EXPECT_TRUE(scene::receive(there, 5s));
  EXPECT_TRUE(switchboard_.apply(right_, {RemovePeer{"wg0", left_key_.public_key()}}).empty());
  ASSERT_EQ(scene::send_to(here, "10.7.0.2", scene::port_of(there), "second"), 0);
  EXPECT_FALSE(scene::receive(there, kSilence));
}

TEST_F(StandIn, a_link_that_somebody_deletes_is_gone) {
  net_.ip(right_, "link del wg0");
  const SetDevice set{.device = "wg0", .private_key = {}, .listen_port = 1, .fwmark = {}};
  const auto refusals = switchboard_.apply(right_, {set, CreateLink{"wg0"}, set});
  ASSERT_EQ(refusals.size(), 1U);
  EXPECT_EQ(refusals[0].index, 0U);
  EXPECT_EQ(refusals[0].error, ENODEV);
}

}  // namespace
}  // namespace sallyport::stand_in
