// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/route.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string>

#include "kmod-glue/libnl.h"
#include "kmod-glue/link.h"

namespace sallyport {
namespace {

// Source: include/uapi/linux/ipv6_route.h, IP6_RT_PRIO_USER.
constexpr uint32_t kIpv6DefaultMetric = 1024;

std::string text(const Route& r) {
  return std::string{r.kind == RouteKind::kUnreachable ? "unreachable " : ""} + r.to.text() +
         (r.device.empty() ? "" : " dev " + r.device) + " table " + std::to_string(r.table);
}

libnl::Owned<nl_msg> routes_request(int family, uint32_t table) {
  rtmsg header{};
  header.rtm_family = static_cast<uint8_t>(family);
  auto message = libnl::dump_request(RTM_GETROUTE, header);
  if (message) nla_put_u32(message.get(), RTA_TABLE, table);
  return message;
}

/// Names of links, asked for once each.
class Names {
 public:
  explicit Names(NetlinkSocket& route) : route_(route) {}
  std::string operator()(int index) {
    const auto known = names_.find(index);
    if (known != names_.end()) return known->second;
    return names_[index] = look_up(index);
  }

 private:
  std::string look_up(int index) {
    nl_msg* raw = nullptr;
    if (rtnl_link_build_get_request(index, nullptr, &raw) < 0) return {};
    const libnl::Owned<nl_msg> message{raw};
    std::string name;
    const auto done = libnl::request(route_, *message, "name a link", [&](const Answer& answer) {
      const auto link = libnl::parse<rtnl_link>(answer);
      if (link) name = rtnl_link_get_name(link.get());
    });
    return done ? name : std::string{};  // gone meanwhile, and its routes with it
  }

  NetlinkSocket& route_;
  std::map<int, std::string> names_;
};

struct FoundRoute {
  Route route;
  int index = 0;  // 0: no device of the model's
};

std::optional<FoundRoute> read_route(const Answer& answer, uint32_t table) {
  const auto parsed = libnl::parse<rtnl_route>(answer);
  if (!parsed || rtnl_route_get_table(parsed.get()) != table) return {};
  if ((rtnl_route_get_flags(parsed.get()) & RTM_F_CLONED) != 0) return {};
  const auto to = libnl::prefix_of(rtnl_route_get_dst(parsed.get()));
  if (!to) return {};

  FoundRoute found;
  found.route.to = *to;
  found.route.table = table;
  found.route.metric = rtnl_route_get_priority(parsed.get());
  if (!to->address.is_v4() && found.route.metric == kIpv6DefaultMetric) found.route.metric = 0;

  const int type = rtnl_route_get_type(parsed.get());
  if (type == RTN_UNREACHABLE) found.route.kind = RouteKind::kUnreachable;
  if (type != RTN_UNICAST || rtnl_route_get_nnexthops(parsed.get()) != 1) return found;
  rtnl_nexthop* hop = rtnl_route_nexthop_n(parsed.get(), 0);
  const bool plain =
      rtnl_route_nh_get_gateway(hop) == nullptr && rtnl_route_nh_get_via(hop) == nullptr &&
      rtnl_route_get_pref_src(parsed.get()) == nullptr && rtnl_route_get_tos(parsed.get()) == 0;
  if (plain) found.index = rtnl_route_nh_get_ifindex(hop);
  return found;
}

Result<libnl::Owned<rtnl_route>> make_route(const Route& from, const std::string& doing) {
  libnl::Owned<rtnl_route> made{rtnl_route_alloc()};
  const auto to = libnl::make_address(from.to);
  if (!made || !to) return fail(ENOMEM, doing);
  rtnl_route_set_family(made.get(), static_cast<uint8_t>(libnl::address_family(from.to.address)));
  rtnl_route_set_dst(made.get(), to.get());
  rtnl_route_set_table(made.get(), from.table);
  rtnl_route_set_priority(made.get(), from.metric);
  rtnl_route_set_protocol(made.get(), kRouteProtocol);
  rtnl_route_set_type(made.get(),
                      from.kind == RouteKind::kUnreachable ? RTN_UNREACHABLE : RTN_UNICAST);
  return made;
}

Result<void> add_device(rtnl_route& to, uint32_t index, const std::string& doing) {
  rtnl_nexthop* hop = rtnl_route_nh_alloc();  // owned by the route from here on
  if (hop == nullptr) return fail(ENOMEM, doing);
  rtnl_route_nh_set_ifindex(hop, static_cast<int>(index));
  rtnl_route_add_nexthop(&to, hop);
  return {};
}

}  // namespace

Result<std::vector<Route>> routes_in(NetlinkSocket& route, uint32_t table) {
  std::vector<Route> routes;
  Names name_of{route};
  for (const int family : {AF_INET, AF_INET6}) {
    const auto message = routes_request(family, table);
    if (!message) return fail(ENOMEM, "list routes");
    auto found = libnl::dump<FoundRoute>(route, *message, "list routes", [&](const Answer& answer) {
      return read_route(answer, table);
    });
    // The kernel does not know a table in which nothing ever stood.
    if (!found && found.error().code == std::errc::no_such_file_or_directory) continue;
    if (!found) return Fail{std::move(found).error()};
    for (FoundRoute& one : *found) {
      if (one.index != 0) one.route.device = name_of(one.index);
      routes.push_back(std::move(one.route));
    }
  }
  std::ranges::sort(routes);
  return routes;
}

Result<void> add_route(NetlinkSocket& route, const Route& wanted) {
  const std::string doing = "add route " + text(wanted);
  const auto made = TRY(make_route(wanted, doing));
  if (wanted.kind == RouteKind::kUnicast) {
    TRY(add_device(*made, TRY(link_index(route, wanted.device)), doing));
    if (wanted.to.address.is_v4()) rtnl_route_set_scope(made.get(), RT_SCOPE_LINK);
  } else {
    rtnl_route_set_scope(made.get(), RT_SCOPE_UNIVERSE);
  }
  nl_msg* raw = nullptr;
  if (rtnl_route_build_add_request(made.get(), NLM_F_CREATE | NLM_F_REPLACE, &raw) < 0) {
    return fail(EINVAL, doing);
  }
  const libnl::Owned<nl_msg> message{raw};
  return libnl::request(route, *message, doing);
}

Result<void> delete_route(NetlinkSocket& route, const Route& unwanted) {
  const std::string doing = "delete route " + text(unwanted);
  const auto made = TRY(make_route(unwanted, doing));
  rtnl_route_set_protocol(made.get(), RTPROT_UNSPEC);  // whoever made it
  rtnl_route_set_scope(made.get(), RT_SCOPE_NOWHERE);  // any
  if (unwanted.kind == RouteKind::kUnicast) {
    if (unwanted.device.empty()) {
      rtnl_route_set_type(made.get(), RTN_UNSPEC);  // one that the model cannot say: any
    } else {
      const auto link = TRY(find_link(route, unwanted.device));
      if (!link) return {};
      TRY(add_device(*made, link->index, doing));
    }
  }
  nl_msg* raw = nullptr;
  if (rtnl_route_build_del_request(made.get(), 0, &raw) < 0) return fail(EINVAL, doing);
  const libnl::Owned<nl_msg> message{raw};
  auto done = libnl::request(route, *message, doing);
  const bool gone = !done && (done.error().code == std::errc::no_such_process ||
                              done.error().code == std::errc::no_such_file_or_directory);
  if (gone) return {};
  return done;
}

Result<std::optional<uint32_t>> device_towards(NetlinkSocket& route, const IpAddress& address) {
  const std::string doing = "find the way to " + address.text();
  rtmsg header{};
  header.rtm_family = static_cast<uint8_t>(libnl::address_family(address));
  header.rtm_dst_len = static_cast<uint8_t>(address.bits());
  header.rtm_flags = RTM_F_FIB_MATCH;  // the route itself, so that a default one shows
  const libnl::Owned<nl_msg> message{nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_REQUEST)};
  const auto to = libnl::make_address(Prefix::host(address));
  if (!message || !to || nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO) < 0 ||
      nla_put_addr(message.get(), RTA_DST, to.get()) < 0) {
    return fail(ENOMEM, doing);
  }
  std::optional<uint32_t> index;
  const auto done = libnl::request(route, *message, doing, [&](const Answer& answer) {
    const auto found = libnl::parse<rtnl_route>(answer);
    if (!found || rtnl_route_get_type(found.get()) != RTN_UNICAST) return;
    const auto prefix = libnl::prefix_of(rtnl_route_get_dst(found.get()));
    if (!prefix || prefix->length == 0 || rtnl_route_get_nnexthops(found.get()) == 0) return;
    index = static_cast<uint32_t>(rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(found.get(), 0)));
  });
  if (done) return index;
  const bool nowhere = done.error().code == std::errc::network_unreachable ||
                       done.error().code == std::errc::host_unreachable ||
                       done.error().code == std::errc::no_such_process ||
                       done.error().code == std::errc::permission_denied ||
                       done.error().code == std::errc::invalid_argument;
  if (nowhere) return std::optional<uint32_t>{};
  return Fail{done.error()};
}

}  // namespace sallyport
