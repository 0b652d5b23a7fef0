// SPDX-License-Identifier: BSD-3-Clause
/// The sockets of a node that holds paths, over its restarts and ours.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/drive/agent/service_manager.h"
#include "agent/guard/plan.h"

namespace sallyport {

struct NodeSockets {
  Fd agent;  // disco, STUN and Geneve; see open_node_socket
  Fd relay;  // see open_relay_socket

  /// Duplicates to hand to the node, in this order.
  [[nodiscard]] Result<std::vector<Fd>> for_the_node() const;
};

/// Takes them out of what the service manager kept if they are what would be opened now, else opens
/// them; the manager keeps them from then on. So no packet meets a closed port while we restart,
/// and what came meanwhile is still there.
Result<NodeSockets> take_or_open(std::vector<StoredFd>& stored, const ServiceManager& manager,
                                 const NodePorts& ports, uint32_t mark);

/// The node holds no paths any more.
void forget_node_sockets(const ServiceManager& manager);

}  // namespace sallyport
