// SPDX-License-Identifier: BSD-3-Clause
/// The routes of one routing table.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/kernel_state.h"
#include "kmod-glue/netlink/socket.h"

namespace sallyport {

/// Marks routes and rules as ours in `ip route` (proto 53), so that routing daemons, which sweep
/// only what carries their own number, leave them alone.
/// Source: linux/rtnetlink.h, RTPROT_*: 53 is nobody's.
constexpr uint8_t kRouteProtocol = 53;

/// Everything in the table, both families, sorted. A route that our model cannot say (a gateway,
/// several next hops, another type) is kUnicast without a device: no wish is equal to it, and
/// delete_route() takes it away. An IPv6 metric of 1024 reads as 0: it is what the kernel makes of
/// a 0 (IP6_RT_PRIO_USER), so 1024 is not to be asked for.
Result<std::vector<Route>> routes_in(NetlinkSocket& route, uint32_t table);
/// Replaces the route with the same prefix, table and metric.
Result<void> add_route(NetlinkSocket& route, const Route& wanted);
/// A route that is not there, or whose device is gone, is deleted already.
Result<void> delete_route(NetlinkSocket& route, const Route& unwanted);

/// The index of the device by which the host would send to `address`, rules and all tables asked;
/// nothing where no route leads there, or only a default route, which leads everywhere.
Result<std::optional<uint32_t>> device_towards(NetlinkSocket& route, const IpAddress& address);

}  // namespace sallyport
