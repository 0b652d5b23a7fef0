// SPDX-License-Identifier: BSD-3-Clause
/// What a node that joins a tailnet is given: its sockets, its files, and its orders.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/drive/agent/instance.h"
#include "agent/drive/agent/node_sockets.h"
#include "agent/model/config.h"
#include "agent/wire/agent_channel.h"

namespace sallyport {

/// `config.join` is there.
channel::Join join_orders(const Config& config, uint16_t wg_port, const NodePorts& ports);

/// In the order of channel::JoinFd: the sockets, and the files that the node keeps its keys, its
/// netmap (both outlive a reboot) and its paths (gone with one) in; it may open none by itself.
Result<std::vector<Fd>> join_fds(const NodeSockets& sockets, const Directories& directories);

}  // namespace sallyport
