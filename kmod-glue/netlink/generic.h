// SPDX-License-Identifier: BSD-3-Clause
/// Generic netlink families: their numbers are given out at run time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "kmod-glue/netlink/socket.h"

namespace sallyport {

struct GenericFamily {
  uint16_t id = 0;                         // the message type of its commands
  std::map<std::string, uint32_t> groups;  // multicast group by name
};

/// Asks for a family ("wireguard", "ethtool") on a NETLINK_GENERIC socket; the kernel loads its
/// module if it can. ENOENT: it has none of that name.
Result<GenericFamily> find_family(NetlinkSocket& generic, std::string_view name);

}  // namespace sallyport
