// SPDX-License-Identifier: BSD-3-Clause
/// Owners of libnl's objects, and our values as its values. Only for kmod-glue's own files.
#pragma once

#include <netlink/addr.h>
#include <netlink/msg.h>
#include <netlink/object.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <netlink/route/rule.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/ip.h"
#include "agent/model/kernel_state.h"
#include "kmod-glue/netlink/socket.h"

namespace sallyport::libnl {

struct Release {
  void operator()(nl_msg* p) const { nlmsg_free(p); }
  void operator()(nl_addr* p) const { nl_addr_put(p); }
  void operator()(rtnl_addr* p) const { rtnl_addr_put(p); }
  void operator()(rtnl_link* p) const { rtnl_link_put(p); }
  void operator()(rtnl_route* p) const { rtnl_route_put(p); }
  void operator()(rtnl_rule* p) const { rtnl_rule_put(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Release>;

/// AF_INET or AF_INET6.
int address_family(const IpAddress& address);
int address_family(Family family);

/// Owned address with prefix length; never null but when memory is out.
Owned<nl_addr> make_address(const Prefix& prefix);
/// Nothing for other families and for IPv4-mapped IPv6, which is no address in our model.
std::optional<Prefix> prefix_of(const nl_addr* address);

/// A dump request: `header` is the family's own (rtmsg, ifaddrmsg, ...).
template <class Header>
Owned<nl_msg> dump_request(int type, const Header& header) {
  Owned<nl_msg> msg{nlmsg_alloc_simple(type, NLM_F_DUMP)};
  Header copy = header;
  if (msg) nlmsg_append(msg.get(), &copy, sizeof copy, NLMSG_ALIGNTO);
  return msg;
}

/// What libnl makes of one rtnetlink message, or null.
nl_object* parse_object(const Answer& answer);
template <class T>
Owned<T> parse(const Answer& answer) {
  return Owned<T>{reinterpret_cast<T*>(parse_object(answer))};
}

/// Our own socket carries what libnl built: libnl's receive path folds errno into its own codes and
/// loses the kernel's words.
Result<void> request(NetlinkSocket& socket, nl_msg& message, std::string_view doing,
                     const std::function<void(const Answer&)>& visit = {});
/// One pass over a dump: `visit` sees each message.
Result<NetlinkSocket::DumpEnd> dump_once(NetlinkSocket& socket, nl_msg& message,
                                         std::string_view doing,
                                         const std::function<void(const Answer&)>& visit);

/// All that `pick` makes of a dump's messages. Starts again if the table changed under it.
template <class T>
Result<std::vector<T>> dump(NetlinkSocket& socket, nl_msg& message, std::string_view doing,
                            const std::function<std::optional<T>(const Answer&)>& pick) {
  constexpr int kAttempts = 10;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::vector<T> found;
    const auto end = TRY(dump_once(socket, message, doing, [&](const Answer& answer) {
      if (auto one = pick(answer)) found.push_back(std::move(*one));
    }));
    if (end == NetlinkSocket::DumpEnd::kComplete) return found;
  }
  return fail(EINTR, std::string(doing) + ": it changes faster than it can be read");
}

}  // namespace sallyport::libnl
