// SPDX-License-Identifier: BSD-3-Clause
// The driver that holds a kernel to its plan, over restarts and over changes of the ways to a LAN.
#include "agent/drive/agent/kernel_driver.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "tests/netns/kernel_fixture.h"

namespace sallyport {
namespace {

/// A TUN that has peers: those that were set.
class PeersOnTun : public TunAsWireGuard {
 public:
  Result<std::optional<WgDevice>> dump(const std::string& device) override {
    auto out = TRY(TunAsWireGuard::dump(device));
    if (out) out->peers = peers;
    return out;
  }
  std::vector<Failure> change_peers(std::span<const Operation> steps) override {
    if (fails) return {{0, Error{make_error_code(std::errc::invalid_argument), "set peer"}}};
    for (const Operation& step : steps) {
      const auto& set = std::get<SetPeer>(step);
      changes.push_back(set);
      WgPeer& peer = peers[set.public_key];
      peer.public_key = set.public_key;
      if (set.endpoint) peer.endpoint = set.endpoint;
      if (set.allowed_ips) peer.allowed_ips = *set.allowed_ips;
    }
    return {};
  }
  std::map<PublicKey, WgPeer> peers;
  std::vector<SetPeer> changes;
  bool fails = false;
};

class kernel_driver : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    std::string folder = "/tmp/sallyport-driver-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    auto instance = Instance::open({folder + "/config.yaml", folder + "/state", folder + "/run"});
    ASSERT_TRUE(instance) << instance.error().text();
    instance_.emplace(std::move(*instance));
    auto opened = Kernel::open({.device = kDevice,
                                .table = 5300,
                                .first_priority = 5300,
                                .last_priority = 5390,
                                .fwmark = config_.dataplane.fwmark},
                               {peers_, attach});
    ASSERT_TRUE(opened) << opened.error().text();
    kernel = *std::move(opened);
    config_.node.addresses = {*Prefix::parse("100.64.0.1/24")};
    key_ = PrivateKey::generate();
    restart();
  }
  void TearDown() override {
    driver_.reset();
    instance_.reset();
    std::filesystem::remove_all(folder_);
  }
  void restart() { driver_ = std::make_unique<KernelDriver>(*kernel, *instance_); }
  KernelDriver::Outcome turn(const NodeState& node = {}) {
    EXPECT_TRUE(driver_->look(config_));
    auto outcome = driver_->converge(config_, node, key_, 51820);
    EXPECT_TRUE(outcome) << outcome.error().text();
    return outcome ? *std::move(outcome) : KernelDriver::Outcome{};
  }
  PeerConfig& peer(const char* endpoint) {
    PeerConfig& out = config_.peers.emplace_back();
    out.name = "laptop";
    out.public_key.bytes[31] = 7;
    out.allowed_ips = {*Prefix::parse("100.64.0.7/32")};
    out.endpoint = endpoint;
    return out;
  }
  [[nodiscard]] std::optional<Endpoint> endpoint() const {
    return peers_.peers.begin()->second.endpoint;
  }
  void roam(const char* to) { peers_.peers.begin()->second.endpoint = Endpoint::parse(to); }

  std::string folder_;
  std::optional<Instance> instance_;
  PeersOnTun peers_;
  Config config_;
  PrivateKey key_;
  std::unique_ptr<KernelDriver> driver_;
};

TEST_F(kernel_driver, an_endpoint_that_changed_while_no_agent_ran_is_set_and_a_roamed_one_stays) {
  peer("192.0.2.7:51820");
  EXPECT_THAT(turn().failures, testing::IsEmpty());
  EXPECT_EQ(endpoint(), Endpoint::parse("192.0.2.7:51820"));
  roam("192.0.2.99:1234");
  restart();
  turn();
  EXPECT_EQ(endpoint(), Endpoint::parse("192.0.2.99:1234"));
  config_.peers[0].endpoint = "192.0.2.8:51820";
  restart();
  turn();
  EXPECT_EQ(endpoint(), Endpoint::parse("192.0.2.8:51820"));
}

TEST_F(kernel_driver, a_name_that_is_looked_up_again_after_a_restart_is_no_change) {
  const PublicKey key = peer("vpn.example:51820").public_key;
  NodeState node;
  node.endpoints[key] = *Endpoint::parse("192.0.2.7:51820");
  turn(node);
  roam("192.0.2.99:1234");
  restart();
  turn();  // not looked up yet
  turn(node);
  EXPECT_EQ(endpoint(), Endpoint::parse("192.0.2.99:1234"));
  restart();
  turn();
  node.endpoints[key] = *Endpoint::parse("192.0.2.8:51820");
  turn(node);
  EXPECT_EQ(endpoint(), Endpoint::parse("192.0.2.8:51820"));
}

TEST_F(kernel_driver, an_endpoint_that_was_asked_for_in_vain_is_asked_for_again) {
  peer("192.0.2.7:51820");
  turn();
  config_.peers[0].endpoint = "192.0.2.8:51820";
  peers_.fails = true;
  EXPECT_EQ(turn().failures.size(), 1U);
  peers_.fails = false;
  turn();
  EXPECT_EQ(endpoint(), Endpoint::parse("192.0.2.8:51820"));
}

TEST_F(kernel_driver, a_lan_behind_a_router_is_masqueraded_where_its_route_leads) {
  config_.lans.emplace_back();
  config_.lans[0].name = "far";
  config_.lans[0].prefix = *Prefix::parse("10.7.0.0/16");
  config_.lans[0].snat = true;
  turn();
  EXPECT_EQ(shell("nft list table inet sallyport").find("10.7.0.0/16"), std::string::npos);
  kernel->drain_notifications();
  shell("ip route add 10.7.0.0/16 via 10.1.2.9 dev lan0");
  ASSERT_TRUE(kernel->drain_notifications());
  turn();
  EXPECT_NE(shell("nft list table inet sallyport").find("oifname \"lan0\" ip daddr 10.7.0.0/16"),
            std::string::npos);
  kernel->drain_notifications();
  shell("ip route replace 10.7.0.0/16 via 192.0.2.9 dev wan0");
  ASSERT_TRUE(kernel->drain_notifications());
  turn();
  EXPECT_NE(shell("nft list table inet sallyport").find("oifname \"wan0\" ip daddr 10.7.0.0/16"),
            std::string::npos);
}

}  // namespace
}  // namespace sallyport
