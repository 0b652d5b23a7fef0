// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/notify.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <initializer_list>

#include "kmod-glue/netlink/answer.h"
#include "kmod-glue/netlink/attrs.h"
#include "kmod-glue/nft_text.h"

namespace sallyport {
namespace {

// A burst (a thousand routes at once) should not end in an overrun, though that loses nothing.
constexpr int kReceiveBytes = 1024 * 1024;
// The longest, a new link with all its attributes, has a few thousand.
constexpr size_t kMessageBytes = 32768;

Result<Fd> subscribe(int protocol, std::initializer_list<int> groups) {
  Fd fd{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol)};
  if (!fd.valid()) return fail(errno, "open a socket for notifications");
  ::setsockopt(fd.raw(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof kReceiveBytes);
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  if (::bind(fd.raw(), reinterpret_cast<const sockaddr*>(&self), sizeof self) != 0) {
    return fail(errno, "bind a socket for notifications");
  }
  for (const int group : groups) {
    if (::setsockopt(fd.raw(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
      return fail(errno, "subscribe to notifications");
    }
  }
  return fd;
}

/// True if any message that is waiting concerns us, or some were lost.
bool drain_one(int fd, const std::function<bool(const Answer&)>& concerns) {
  bool look_again = false;
  std::array<uint8_t, kMessageBytes> buffer;
  for (;;) {
    sockaddr_nl from{};
    socklen_t size = sizeof from;
    const ssize_t got = ::recvfrom(fd, buffer.data(), buffer.size(), MSG_TRUNC,
                                   reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {
      look_again = true;
      continue;
    }
    if (got <= 0) return look_again;
    if (from.nl_pid != 0) continue;  // any process may write to us
    if (static_cast<size_t>(got) > buffer.size()) {
      look_again = true;
      continue;
    }
    AnswerWalk walk{{buffer.data(), static_cast<size_t>(got)}};
    while (const auto message = walk.next()) look_again = look_again || concerns(*message);
  }
}

constexpr auto kRoutePolicy = [] {
  AttrPolicy<RTA_TABLE + 1> policy{};
  policy[RTA_TABLE] = {Shape::kExact, 4};
  policy[RTA_DST] = {Shape::kAtLeast, 4};
  return policy;
}();

bool is_towards(const rtmsg& header, ByteView destination, const std::vector<Prefix>& followed) {
  std::array<uint8_t, 16> bytes{};
  const size_t size = header.rtm_family == AF_INET ? 4 : 16;
  if (destination.size() != size) return true;
  std::memcpy(bytes.data(), destination.data(), size);
  uint32_t number_be = 0;
  std::memcpy(&number_be, bytes.data(), sizeof number_be);
  const Prefix to{size == 4 ? IpAddress::v4(ntohl(number_be)) : IpAddress::v6(bytes),
                  header.rtm_dst_len};
  return std::ranges::any_of(followed, [&](const Prefix& prefix) { return prefix.overlaps(to); });
}

bool route_concerns(const Answer& message, uint32_t table, const std::vector<Prefix>& followed) {
  if (message.type != RTM_NEWROUTE && message.type != RTM_DELROUTE) return true;
  rtmsg header{};
  if (message.payload.size() < sizeof header) return true;
  std::memcpy(&header, message.payload.data(), sizeof header);
  if (header.rtm_dst_len == 0) return true;
  const auto attrs = Attrs<kRoutePolicy.size()>::parse(
      message.payload.subspan(NLMSG_ALIGN(sizeof header)), kRoutePolicy);
  if (!attrs) return true;
  if (attrs->value<uint32_t>(RTA_TABLE).value_or(header.rtm_table) == table) return true;
  return !followed.empty() && is_towards(header, attrs->nest(RTA_DST), followed);
}

// In each kind of message but NEWGEN, attribute 1 is the table's name.
static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 &&
              NFTA_SET_TABLE == 1 && NFTA_SET_ELEM_LIST_TABLE == 1 && NFTA_OBJ_TABLE == 1 &&
              NFTA_FLOWTABLE_TABLE == 1);

bool nft_concerns(const Answer& message) {
  const int kind = message.type & 0xff;
  if (kind == NFT_MSG_NEWGEN) return false;  // ends every transaction
  // Chains and rules of others may drop what we forward; their sets change too often to look.
  const bool foreign_matters = kind == NFT_MSG_NEWTABLE || kind == NFT_MSG_DELTABLE ||
                               kind == NFT_MSG_NEWCHAIN || kind == NFT_MSG_DELCHAIN ||
                               kind == NFT_MSG_NEWRULE || kind == NFT_MSG_DELRULE;
  if (foreign_matters) return true;
  if (message.payload.size() < sizeof(nfgenmsg)) return true;
  AttrPolicy<2> policy{};
  policy[1] = {Shape::kString};
  const auto attrs = Attrs<2>::parse(message.payload.subspan(sizeof(nfgenmsg)), policy);
  return !attrs || attrs->string(1) == kNftTable;
}

}  // namespace

Result<KernelWatch> KernelWatch::open(uint32_t table) {
  KernelWatch watch;
  watch.table_ = table;
  watch.route_ = TRY(subscribe(
      NETLINK_ROUTE, {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                      RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE}));
  watch.nft_ = TRY(subscribe(NETLINK_NETFILTER, {NFNLGRP_NFTABLES}));
  watch.poll_ = Fd{::epoll_create1(EPOLL_CLOEXEC)};
  if (!watch.poll_.valid()) return fail(errno, "wait for notifications");
  for (const int fd : {watch.route_.raw(), watch.nft_.raw()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(watch.poll_.raw(), EPOLL_CTL_ADD, fd, &event) != 0) {
      return fail(errno, "wait for notifications");
    }
  }
  return watch;
}

bool KernelWatch::drain() {
  const bool route = drain_one(route_.raw(), [this](const Answer& message) {
    return route_concerns(message, table_, followed_);
  });
  const bool nft = drain_one(nft_.raw(), nft_concerns);
  return route || nft;
}

}  // namespace sallyport
