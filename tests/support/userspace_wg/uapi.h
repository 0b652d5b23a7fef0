// SPDX-License-Identifier: BSD-3-Clause
/// WireGuard's configuration protocol of userspace implementations: values <-> lines of text.
/// Source: https://www.wireguard.com/xplatform/
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/model/kernel_state.h"
#include "kmod-glue/netlink/wg_message.h"

namespace sallyport::userspace_wg {

/// What follows "set=1".
std::string to_lines(const SetDevice& step);
std::string to_lines(const SetPeer& step);
std::string to_lines(const RemovePeer& step);

/// The answer to "get=1". Lines of members that we do not know are passed over; EBADMSG: a line
/// that we know says what it cannot.
Result<WgObserved> observed_from(const std::string& device, std::string_view lines);

}  // namespace sallyport::userspace_wg
