// SPDX-License-Identifier: BSD-3-Clause
/// Policy routing rules at our priorities.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/kernel_state.h"
#include "kmod-glue/netlink/socket.h"

namespace sallyport {

/// Rules of both families with first <= priority <= last, sorted, each once. Rules with anything
/// that our model cannot say (a source, a device, `not`, another action) are somebody else's and
/// are left out.
Result<std::vector<RoutingRule>> rules_between(NetlinkSocket& route, uint32_t first, uint32_t last);
/// Adding what is there, or deleting what is not, succeeds.
Result<void> add_routing_rule(NetlinkSocket& route, const RoutingRule& rule);
Result<void> delete_routing_rule(NetlinkSocket& route, const RoutingRule& rule);

}  // namespace sallyport
