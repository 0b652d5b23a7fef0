// SPDX-License-Identifier: BSD-3-Clause
// Slots and counters of peers in the kernel, over a restart of the agent.
#include "agent/drive/agent/policy_driver.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "agent/drive/agent/instance.h"
#include "tests/support/own_bpffs.h"

namespace sallyport {
namespace {

constexpr uint32_t kPeers = 1100;  // more than the slots that are mapped from the start

PublicKey key(uint32_t n) {
  PublicKey out;
  out.bytes[0] = static_cast<uint8_t>(n >> 8U);
  out.bytes[1] = static_cast<uint8_t>(n);
  out.bytes[31] = 1;
  return out;
}

PeerConfig peer(uint32_t n) {
  PeerConfig out;
  out.name = "peer" + std::to_string(n);
  out.public_key = key(n);
  out.allowed_ips = {Prefix::host(IpAddress::v4(0x0a400000U + n))};
  return out;
}

class policy_driver : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(fs_.mounted());
    std::string folder = "/tmp/sallyport-policy-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    auto instance = Instance::open({folder + "/config.yaml", folder + "/state", folder + "/run"});
    ASSERT_TRUE(instance) << instance.error().text();
    instance_.emplace(std::move(*instance));
    options_.pin_dir = fs_.path() + "/gateway";
    options_.flows = 1024;
    config_.node.addresses = {*Prefix::parse("10.64.0.0/10")};
  }
  void TearDown() override {
    driver_.reset();
    if (data_plane_) {
      EXPECT_TRUE(data_plane_->remove_all());
    }
    data_plane_.reset();
    instance_.reset();
    std::filesystem::remove_all(folder_);
  }
  /// What a process finds and does at its start.
  void start_agent() {
    driver_.reset();
    data_plane_.reset();
    auto opened = DataPlane::open(options_);
    ASSERT_TRUE(opened) << opened.error().text();
    data_plane_ = *std::move(opened);
    driver_ = std::make_unique<PolicyDriver>(*data_plane_, *instance_);
    const auto applied = driver_->apply(config_, {}, {}, {});
    ASSERT_TRUE(applied) << applied.error().front().text();
  }

  OwnBpfFs fs_;
  std::string folder_;
  std::optional<Instance> instance_;
  DataPlaneOptions options_;
  Config config_;
  std::unique_ptr<DataPlane> data_plane_;
  std::unique_ptr<PolicyDriver> driver_;
};

TEST_F(policy_driver, counters_of_more_than_a_thousand_peers_outlive_the_agent) {
  for (uint32_t n = 0; n < kPeers; ++n) config_.peers.push_back(peer(n));
  start_agent();
  ASSERT_EQ(driver_->slots().highest(), kPeers);
  ASSERT_GT(data_plane_->peers().size(), kPeers);
  for (uint32_t n = 0; n < kPeers; ++n) {
    data_plane_->peers()[driver_->slots().find(key(n))].rx_bytes = 1000 + n;
  }
  start_agent();
  EXPECT_TRUE(data_plane_->adopted());
  ASSERT_GT(data_plane_->peers().size(), kPeers);
  for (uint32_t n = 0; n < kPeers; ++n) {
    EXPECT_EQ(data_plane_->peers()[driver_->slots().find(key(n))].rx_bytes, 1000 + n) << n;
  }
}

// Few are left, and they stay where they were.
TEST_F(policy_driver, a_few_peers_in_high_slots_are_found_again) {
  for (uint32_t n = 0; n < kPeers; ++n) config_.peers.push_back(peer(n));
  start_agent();
  const PublicKey last = key(kPeers - 1);
  const uint32_t slot = driver_->slots().find(last);
  ASSERT_GT(slot, 1023U);
  const uint32_t freed = driver_->slots().find(key(0));
  data_plane_->peers()[slot].tx_bytes = 77;
  data_plane_->peers()[freed].tx_bytes = 88;
  config_.peers = {peer(kPeers - 1)};
  start_agent();
  EXPECT_EQ(driver_->slots().find(last), slot);
  ASSERT_GT(data_plane_->peers().size(), slot);
  EXPECT_EQ(data_plane_->peers()[slot].tx_bytes, 77U);
  // Its successor begins at 0.
  config_.peers.push_back(peer(5000));
  start_agent();
  EXPECT_EQ(driver_->slots().find(key(5000)), freed);
  EXPECT_EQ(data_plane_->peers()[freed].tx_bytes, 0U);
  EXPECT_EQ(data_plane_->peers()[slot].tx_bytes, 77U);
}

}  // namespace
}  // namespace sallyport
