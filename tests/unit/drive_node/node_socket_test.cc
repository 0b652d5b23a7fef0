// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/node_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "tests/unit/io/drive.h"

namespace sallyport {
namespace {

using io::text;
using io::view;

const IpAddress kLo4 = IpAddress::v4(0x7f000001);
const IpAddress kLo6 = *IpAddress::parse("::1");

struct Seen {
  UdpArrival how;
  std::string bytes;
};

/// As the agent opens it (kmod-glue/path_sockets.h), but for what needs a capability.
Fd open_socket(bool dual_stack) {
  auto socket = io::open_udp({dual_stack ? IpAddress{} : IpAddress::v4(0), 0}, dual_stack);
  EXPECT_TRUE(socket);
  const int on = 1;
  EXPECT_EQ(::setsockopt(socket->raw(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on), 0);
  return std::move(socket).value();
}

struct Node {
  std::vector<Seen> seen;
  NodeSocket socket;

  Node(io::Loop& loop, bool dual_stack) {
    auto made = NodeSocket::adopt(loop, open_socket(dual_stack),
                                  {.on_datagram = [this](const UdpArrival& how, ByteView bytes) {
                                    seen.push_back({how, text(bytes)});
                                  }});
    EXPECT_TRUE(made) << (made ? "" : made.error().text());
    socket = std::move(made).value();
  }
  [[nodiscard]] Endpoint at(const IpAddress& address) const {
    return {address, socket.local()->port};
  }
};

class node_socket : public testing::Test {
 protected:
  bool got(const Node& node, size_t count) {
    return io::run_until(*loop_, [&] { return node.seen.size() >= count; });
  }
  std::unique_ptr<io::Loop> loop_ = io::make_loop();
};

TEST_F(node_socket, both_families_with_who_where_and_by_what) {
  Node ours(*loop_, true);
  Node theirs(*loop_, true);
  EXPECT_TRUE(ours.socket.has_v6());
  for (const IpAddress& address : {kLo4, kLo6}) {
    ours.seen.clear();
    theirs.socket.send(ours.at(address), {}, 0, view("ping"));
    ASSERT_TRUE(got(ours, 1)) << address.text();
    EXPECT_EQ(ours.seen[0].how, (UdpArrival{theirs.at(address), address, 1}));
    EXPECT_EQ(ours.seen[0].bytes, "ping");
  }
  EXPECT_EQ(ours.socket.counters().received, 2U);
}

TEST_F(node_socket, an_answer_leaves_from_where_the_question_came_to) {
  Node ours(*loop_, true);
  Node theirs(*loop_, true);
  const IpAddress second = IpAddress::v4(0x7f000002);
  theirs.socket.send(ours.at(second), {}, 0, view("ping"));
  ASSERT_TRUE(got(ours, 1));
  const UdpArrival& how = ours.seen[0].how;
  EXPECT_EQ(how.to, second);
  ours.socket.send(how.from, how.to, 0, view("pong"));
  ours.socket.send(how.from, how.to, how.ifindex, view("pong"));
  ours.socket.send(how.from, {}, how.ifindex, view("pong"));
  ASSERT_TRUE(got(theirs, 3));
  EXPECT_EQ(theirs.seen[0].how.from, ours.at(second));
  EXPECT_EQ(theirs.seen[1].how.from, ours.at(second));
  EXPECT_EQ(theirs.seen[2].how.from, ours.at(kLo4));
  EXPECT_EQ(ours.socket.counters().sent, 3U);
  EXPECT_EQ(ours.socket.counters().refused, 0U);
}

TEST_F(node_socket, of_ipv4_alone_refuses_the_other_family) {
  Node ours(*loop_, false);
  Node theirs(*loop_, true);
  EXPECT_FALSE(ours.socket.has_v6());
  ours.socket.send(theirs.at(kLo6), {}, 0, view("lost"));
  ours.socket.send(theirs.at(kLo4), kLo4, 1, view("ping"));
  ASSERT_TRUE(got(theirs, 1));
  EXPECT_EQ(theirs.seen[0].how, (UdpArrival{ours.at(kLo4), kLo4, 1}));
  theirs.socket.send(ours.at(kLo4), kLo4, 0, view("pong"));
  ASSERT_TRUE(got(ours, 1));
  EXPECT_EQ(ours.seen[0].how, (UdpArrival{theirs.at(kLo4), kLo4, 1}));
  EXPECT_EQ(ours.socket.counters().refused, 1U);
  EXPECT_EQ(ours.socket.counters().sent, 1U);
}

TEST_F(node_socket, what_cannot_be_sent_is_counted_and_the_rest_goes_on) {
  Node ours(*loop_, true);
  Node theirs(*loop_, true);
  ours.socket.send(theirs.at(kLo4), kLo6, 0, view("families differ"));
  ours.socket.send(theirs.at(kLo4), IpAddress::v4(0xc0000207), 0, view("no address of ours"));
  ours.socket.send({kLo4, 0}, {}, 0, view("no port"));
  ours.socket.send(theirs.at(kLo4), {}, 0x7fffffff, view("no such device"));
  ours.socket.send(theirs.at(kLo4), {}, 0, view("ping"));
  ASSERT_TRUE(got(theirs, 1));
  EXPECT_EQ(theirs.seen[0].bytes, "ping");
  EXPECT_EQ(ours.socket.counters().refused, 4U);
  EXPECT_EQ(ours.socket.counters().sent, 1U);
}

TEST_F(node_socket, works_on_a_restricted_ring) {
  loop_ = io::make_loop({.allowed_operations = io::own_operations()});
  Node ours(*loop_, true);
  ours.socket.send(ours.at(kLo6), {}, 0, view("x"));
  ASSERT_TRUE(got(ours, 1));
}

}  // namespace
}  // namespace sallyport
