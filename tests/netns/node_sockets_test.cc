// SPDX-License-Identifier: BSD-3-Clause
/// The node's sockets over a restart of the agent, and the ports that they have.
#include "agent/drive/agent/node_sockets.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/drive/agent/instance.h"
#include "kmod-glue/path_sockets.h"
#include "tests/support/own_netns.h"

namespace sallyport {
namespace {

constexpr uint32_t kMark = 0x80000;

ino_t number_of(const Fd& fd) {
  struct stat info{};
  return fstat(fd.raw(), &info) == 0 ? info.st_ino : 0;
}

class node_sockets : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(netns_.entered()); }
  NodeSockets open(std::vector<StoredFd>& stored, const NodePorts& ports) {
    auto out = take_or_open(stored, manager_, ports, kMark);
    if (out) return *std::move(out);
    ADD_FAILURE() << out.error().text();
    return {};
  }
  // As the service manager hands them to the next agent.
  static std::vector<StoredFd> kept(const NodeSockets& sockets) {
    auto copies = sockets.for_the_node();
    std::vector<StoredFd> out;
    if (!copies) return out;
    out.push_back({"node-agent", std::move(copies->at(0))});
    out.push_back({"node-relay", std::move(copies->at(1))});
    return out;
  }

  OwnNetns netns_;
  const ServiceManager manager_ = ServiceManager::from_environment();
  const NodePorts ports_{50009, 50011};
};

TEST_F(node_sockets, are_opened_on_their_ports) {
  std::vector<StoredFd> none;
  const NodeSockets sockets = open(none, ports_);
  EXPECT_TRUE(is_node_socket(sockets.agent, ports_.agent, kMark));
  EXPECT_TRUE(is_relay_socket(sockets.relay, ports_.relay));
}

TEST_F(node_sockets, are_the_same_after_a_restart) {
  std::vector<StoredFd> none;
  NodeSockets before = open(none, ports_);
  const ino_t agent = number_of(before.agent);
  const ino_t relay = number_of(before.relay);
  auto stored = kept(before);
  before = {};
  const NodeSockets after = open(stored, ports_);
  EXPECT_EQ(number_of(after.agent), agent);
  EXPECT_EQ(number_of(after.relay), relay);
}

TEST_F(node_sockets, are_opened_anew_if_what_was_kept_is_something_else) {
  std::vector<StoredFd> none;
  NodeSockets before = open(none, ports_);
  auto stored = kept(before);
  std::swap(stored[0].fd, stored[1].fd);
  const ino_t agent = number_of(before.agent);
  before = {};
  const NodeSockets after = open(stored, ports_);
  EXPECT_TRUE(is_node_socket(after.agent, ports_.agent, kMark));
  EXPECT_NE(number_of(after.agent), agent);
  EXPECT_TRUE(is_relay_socket(after.relay, ports_.relay));
}

TEST_F(node_sockets, have_ports_that_stay) {
  char pattern[] = "/tmp/node_sockets_XXXXXX";
  const std::string dir = mkdtemp(pattern);
  NodePorts first;
  {
    const auto instance = Instance::open({.state = dir, .run = dir});
    ASSERT_TRUE(instance) << instance.error().text();
    const uint16_t wg = instance->wg_port(Config{}).value();
    first = instance->node_ports(Config{}).value();
    EXPECT_EQ((std::set<uint16_t>{wg, first.agent, first.relay}).size(), 3U);
    for (const uint16_t port : {first.agent, first.relay}) EXPECT_GT(port, 50000);
    EXPECT_EQ(instance->node_ports(Config{}).value(), first);
  }
  const auto again = Instance::open({.state = dir, .run = dir});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->node_ports(Config{}).value(), first);
  // The admin puts WireGuard on one of them.
  Config config;
  config.node.wg_port = first.agent;
  EXPECT_NE(again->node_ports(config).value().agent, first.agent);
  EXPECT_EQ(again->node_ports(config).value().relay, first.relay);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace sallyport
