// SPDX-License-Identifier: BSD-3-Clause
/// All network devices of this namespace, foreign ones included.
#pragma once

#include <vector>

#include "agent/base/result.h"
#include "agent/model/kernel_state.h"
#include "kmod-glue/netlink/socket.h"

namespace sallyport {

/// Sorted by index, their addresses sorted. A WAN is a device by which a default route of table
/// main leaves, in either family. `route` is a strict NETLINK_ROUTE socket.
Result<std::vector<Device>> list_devices(NetlinkSocket& route);

}  // namespace sallyport
