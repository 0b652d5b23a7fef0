// SPDX-License-Identifier: BSD-3-Clause
// The node's sockets as the agent opens them, in a network namespace of their own.
#include "kmod-glue/path_sockets.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "agent/drive/node/node_socket.h"
#include "agent/drive/node/relay_socket.h"
#include "tests/support/own_netns.h"
#include "tests/unit/io/drive.h"

namespace sallyport {
namespace {

using io::text;
using io::view;

constexpr uint32_t kMark = 0x80000;
const IpAddress kLo = IpAddress::v4(0x7f000001);

class path_sockets : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    ASSERT_TRUE(netns_.entered());
    const Fd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq lo{};
    std::strcpy(lo.ifr_name, "lo");
    lo.ifr_flags = IFF_UP;
    ASSERT_EQ(::ioctl(any.raw(), SIOCSIFFLAGS, &lo), 0);
    loop_ = io::make_loop({.allowed_operations = io::own_operations()});
  }
  template <class Predicate>
  bool until(Predicate&& done) {
    return io::run_until(*loop_, done);
  }

  OwnNetns netns_;
  std::unique_ptr<io::Loop> loop_;
};

TEST_F(path_sockets, the_nodes_hears_both_families_and_answers_from_where_it_was_asked) {
  auto opened = open_node_socket(0, kMark);
  ASSERT_TRUE(opened);
  NodeSocket ours;
  auto made = NodeSocket::adopt(*loop_, std::move(opened).value(),
                                {.on_datagram = [&](const UdpArrival& how, ByteView bytes) {
                                  EXPECT_EQ(how.ifindex, 1U);
                                  ours.send(how.from, how.to, how.ifindex, bytes);
                                }});
  ASSERT_TRUE(made);
  ours = std::move(made).value();
  const uint16_t port = ours.local()->port;
  for (const char* address : {"127.0.0.1", "127.0.0.2", "::1"}) {
    const IpAddress asked = *IpAddress::parse(address);
    std::vector<Endpoint> answers;
    io::UdpSocket stranger = *io::UdpSocket::bind(
        *loop_, {asked.is_v4() ? kLo : asked, 0}, {},
        {.on_datagram = [&](const io::Received& received) { answers.push_back(received.from); }});
    ASSERT_TRUE(stranger.send({.bytes = view("ping"), .to = {asked, port}}));
    ASSERT_TRUE(until([&] { return !answers.empty(); })) << address;
    EXPECT_EQ(answers[0], (Endpoint{asked, port}));
  }
}

// As many as wait at most, to a receiver whose buffer holds what WireGuard's queue does.
TEST_F(path_sockets, a_burst_through_the_relays_arrives_whole_and_in_order) {
  std::map<IpAddress, std::vector<std::string>> arrived;
  size_t count = 0;
  Fd sink = *io::open_udp({kLo, 0});
  constexpr int kBuffer = 16 << 20;
  ASSERT_EQ(::setsockopt(sink.raw(), SOL_SOCKET, SO_RCVBUFFORCE, &kBuffer, sizeof kBuffer), 0);
  io::UdpSocket wireguard = *io::UdpSocket::adopt(
      *loop_, std::move(sink), {}, {.on_datagram = [&](const io::Received& received) {
        arrived[received.from.address].push_back(text(received.bytes));
        ++count;
      }});
  auto opened = open_relay_socket(0);
  ASSERT_TRUE(opened);
  const uint16_t port = bound_port(*opened);
  std::vector<IpAddress> parked;
  const auto relay = *RelaySocket::adopt(
      *loop_, std::move(opened).value(), wireguard.local()->port,
      {.on_parked = [&](const IpAddress& parking, ByteView) { parked.push_back(parking); }});

  std::map<IpAddress, std::vector<std::string>> sent;
  for (size_t i = 0; i < InjectGroups::kQueueBytes / 1300; ++i) {
    const IpAddress peer = IpAddress::v4(0x7f010000 + static_cast<uint32_t>(i / 7 % 5));
    sent[peer].push_back(std::to_string(i) + std::string(1200, 'p'));
    relay->inject(peer, view(sent[peer].back()));
  }
  const size_t all = InjectGroups::kQueueBytes / 1300;
  ASSERT_TRUE(until([&] { return count == all; })) << count << " of " << all;
  EXPECT_EQ(arrived, sent);
  EXPECT_EQ(relay->counters().injected, all);
  EXPECT_EQ(relay->counters().dropped, 0U);
  EXPECT_LT(relay->counters().groups, all / 10);

  ASSERT_TRUE(wireguard.send({.bytes = view("x"), .to = {IpAddress::v4(0x7f010203), port}}));
  ASSERT_TRUE(until([&] { return !parked.empty(); }));
  EXPECT_EQ(parked[0], IpAddress::v4(0x7f010203));
}

}  // namespace
}  // namespace sallyport
