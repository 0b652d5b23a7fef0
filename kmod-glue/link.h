// SPDX-License-Identifier: BSD-3-Clause
/// One network link: look it up, set its MTU, up and down.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/base/result.h"
#include "agent/model/kernel_state.h"
#include "kmod-glue/netlink/socket.h"

namespace sallyport {

struct FoundLink {
  uint32_t index = 0;
  Link link;
};

/// Nothing: there is no link of that name here.
Result<std::optional<FoundLink>> find_link(NetlinkSocket& route, const std::string& name);
/// The index of a link that has to be there; else ENODEV.
Result<uint32_t> link_index(NetlinkSocket& route, const std::string& name);
/// MTU 0 leaves the MTU as it is.
Result<void> set_link(NetlinkSocket& route, const std::string& name, const Link& link);

}  // namespace sallyport
