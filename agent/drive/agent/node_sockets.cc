// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/node_sockets.h"

#include <fcntl.h>

#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "kmod-glue/path_sockets.h"

namespace sallyport {
namespace {

constexpr std::string_view kAgentName = "node-agent";
constexpr std::string_view kRelayName = "node-relay";

// The kept one of that name that `fits`. Others of it are forgotten: the manager would hand them
// back for ever.
template <class Fits>
std::optional<Fd> take(std::vector<StoredFd>& stored, const ServiceManager& manager,
                       std::string_view name, const Fits& fits) {
  std::optional<Fd> taken;
  bool stale = false;
  for (StoredFd& one : stored) {
    if (one.name != name || !one.fd.valid()) continue;
    if (!taken && fits(one.fd)) {
      taken = std::move(one.fd);
    } else {
      stale = true;
      one.fd.reset();
    }
  }
  if (!stale) return taken;
  manager.forget(name);
  if (taken) manager.store(taken->raw(), name);
  return taken;
}

}  // namespace

Result<std::vector<Fd>> NodeSockets::for_the_node() const {
  std::vector<Fd> out;
  for (const Fd* one : {&agent, &relay}) {
    Fd copy(::fcntl(one->raw(), F_DUPFD_CLOEXEC, 0));
    if (!copy.valid()) return fail(errno, "duplicating a socket for the node");
    out.push_back(std::move(copy));
  }
  return out;
}

Result<NodeSockets> take_or_open(std::vector<StoredFd>& stored, const ServiceManager& manager,
                                 const NodePorts& ports, uint32_t mark) {
  auto agent = take(stored, manager, kAgentName,
                    [&](const Fd& fd) { return is_node_socket(fd, ports.agent, mark); });
  auto relay = take(stored, manager, kRelayName,
                    [&](const Fd& fd) { return is_relay_socket(fd, ports.relay); });
  if (!agent) {
    agent = TRY(open_node_socket(ports.agent, mark));
    manager.store(agent->raw(), kAgentName);
  }
  if (!relay) {
    relay = TRY(open_relay_socket(ports.relay));
    manager.store(relay->raw(), kRelayName);
  }
  return NodeSockets{*std::move(agent), *std::move(relay)};
}

void forget_node_sockets(const ServiceManager& manager) {
  manager.forget(kAgentName);
  manager.forget(kRelayName);
}

}  // namespace sallyport
