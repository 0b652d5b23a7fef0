// SPDX-License-Identifier: BSD-3-Clause
// Requests, dumps of many datagrams and refusals against the kernel at hand.
//
//   one network namespace: 200 veth pairs
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

#include "kmod-glue/netlink/generic.h"
#include "kmod-glue/netlink/socket.h"
#include "tests/support/own_netns.h"

namespace sallyport {
namespace {

bool is(const Error& error, int number) {
  return error.code == std::error_code(number, std::generic_category());
}

TEST(netns_netlink, dump_request_and_refusal) {
  const OwnNetns netns;
  ASSERT_TRUE(netns.entered()) << "needs root";
  auto socket = NetlinkSocket::open(NETLINK_ROUTE);
  ASSERT_TRUE(socket) << socket.error().text();
  ASSERT_TRUE(std::system("for i in $(seq 200); do echo link add d$i type veth peer name p$i; "
                          "done | ip -batch -") == 0);

  // Many datagrams long; each device once.
  std::set<int> indices;
  size_t messages = 0;
  const auto visit = [&](const Answer& answer) {
    ifinfomsg info{};
    if (answer.type != RTM_NEWLINK || answer.payload.size() < sizeof(info)) return false;
    std::memcpy(&info, answer.payload.data(), sizeof(info));
    indices.insert(info.ifi_index);
    ++messages;
    return true;
  };
  Message message;
  message.begin(RTM_GETLINK);
  ASSERT_TRUE(message.put_header(ifinfomsg{}));
  const auto end = socket->dump(message, "list links", visit);
  ASSERT_TRUE(end) << end.error().text();
  EXPECT_EQ(*end, NetlinkSocket::DumpEnd::kComplete);
  EXPECT_EQ(messages, 401U);
  EXPECT_EQ(indices.size(), 401U);

  // A visitor that understands nothing ends the call, not the socket: the next dump works.
  message.begin(RTM_GETLINK);
  ASSERT_TRUE(message.put_header(ifinfomsg{}));
  const auto misread = socket->dump(message, "list links", [](const Answer&) { return false; });
  ASSERT_FALSE(misread);
  EXPECT_TRUE(is(misread.error(), EBADMSG)) << misread.error().text();
  message.begin(RTM_GETLINK);
  ASSERT_TRUE(message.put_header(ifinfomsg{}));
  messages = 0;
  EXPECT_TRUE(socket->dump(message, "list links", visit));
  EXPECT_EQ(messages, 401U);

  // One answer and its acknowledgement.
  message.begin(RTM_GETLINK);
  ASSERT_TRUE(message.put_header(ifinfomsg{}) && message.put_string(IFLA_IFNAME, "lo"));
  indices.clear();
  ASSERT_TRUE(socket->request(message, "look at lo", visit));
  EXPECT_EQ(indices, std::set<int>{1});

  message.begin(RTM_NEWLINK, NLM_F_CREATE);
  ASSERT_TRUE(message.put_header(ifinfomsg{}) && message.put_string(IFLA_IFNAME, "x0") &&
              message.put_nested(IFLA_LINKINFO, [&] {
                return message.put_string(IFLA_INFO_KIND, "no-such-kind");
              }));
  const auto refused = socket->request(message, "create x0");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text(), "create x0: Unknown device type: Operation not supported");
}

TEST(netns_netlink, family_that_does_not_exist) {
  auto socket = NetlinkSocket::open(NETLINK_GENERIC);
  ASSERT_TRUE(socket) << socket.error().text();
  const auto ethtool = find_family(*socket, "ethtool");
  ASSERT_TRUE(ethtool) << ethtool.error().text();
  EXPECT_GE(ethtool->id, 16);
  EXPECT_TRUE(ethtool->groups.contains("monitor"));
  const auto none = find_family(*socket, "no-such-family");
  ASSERT_FALSE(none);
  EXPECT_TRUE(is(none.error(), ENOENT)) << none.error().text();
}

}  // namespace
}  // namespace sallyport
