// SPDX-License-Identifier: BSD-3-Clause
/// The addresses of one link.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/ip.h"
#include "kmod-glue/netlink/socket.h"

namespace sallyport {

/// Sorted. Link-local IPv6 addresses are the kernel's own affair and are left out.
Result<std::vector<Prefix>> addresses_of(NetlinkSocket& route, uint32_t index);
/// Without the kernel's own route for the prefix in `main`: what is routed to our device stands in
/// our table only. Adding what is there, or deleting what is not, succeeds.
Result<void> add_address(NetlinkSocket& route, const std::string& device, const Prefix& address);
Result<void> delete_address(NetlinkSocket& route, const std::string& device, const Prefix& address);

}  // namespace sallyport
