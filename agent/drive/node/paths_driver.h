// SPDX-License-Identifier: BSD-3-Clause
/// Runs the paths of a joined node: its sockets, its DERP connections, timers and names in, their
/// actions out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/io/loop.h"
#include "agent/model/netmap.h"
#include "agent/node/netmap_state.h"
#include "agent/node/paths.h"
#include "agent/wire/tailcfg/map_request.h"

namespace sallyport {

struct PathsDriverOptions {
  Fd node_socket;   // UDP, dual stack: disco and STUN; demux gives it what comes, and marks it
  Fd relay_socket;  // UDP on lo, at relay_port: WireGuard's packets for relayed peers
  uint16_t wg_port = 0;
  uint16_t relay_port = 0;
  std::string ca_file = {};  // empty: the system's authorities
  std::string memory = {};   // as save_memory was given it; empty: there is none
};

/// What becomes of the paths' decisions outside of them. All from the loop; none may destroy the
/// driver. An empty one is left out.
struct PathsHooks {
  /// The steps of one peer, to be done in this order.
  std::function<void(const NodeKey& peer, const std::vector<KernelStep>& steps)> on_kernel_steps;
  /// For the control server: NodeInfo's endpoints and their types, as many.
  std::function<void(const std::vector<Endpoint>& endpoints,
                     const std::vector<tailcfg::EndpointType>& types)>
      on_endpoints;
  /// For the control server: Hostinfo's NetInfo, home included. 0: there is no region.
  std::function<void(uint16_t home, const NetInfo& info)> on_home;
  std::function<void(const NodeKey& peer, const PathStatus& status)> on_status_changed;
  /// Ask the agent what the kernel has counted; PathsDriver::on_observed() is its answer.
  std::function<void(std::span<const NodeKey> peers)> want_observed;
  /// Into a file that outlives the process and not the boot (0600: it holds the disco key).
  std::function<Result<void>(std::string_view text)> save_memory;
};

/// One answer to PathsDriver::ping().
struct PingReply {
  std::optional<Endpoint> endpoint;  // direct; else through `region`
  uint16_t region = 0;
  Duration rtt{};
  friend bool operator==(const PingReply&, const PingReply&) = default;
};

class PathsDriver {
 public:
  /// Starts a thread (the resolver's) and reads the authorities: before a sandbox is closed.
  /// Nothing is sent before the first set_node_key() and on_local_addresses().
  static Result<std::unique_ptr<PathsDriver>> create(io::Loop& loop, PathsDriverOptions options,
                                                     PathsHooks hooks);
  PathsDriver(const PathsDriver&) = delete;
  PathsDriver& operator=(const PathsDriver&) = delete;
  ~PathsDriver();

  /// For NodeInfo; the same for the life of this object.
  [[nodiscard]] DiscoKey disco_key() const;
  void set_node_key(const PrivateKey& node_key);
  /// As ControlDriver's hook has them. Before the agent is told of the plan: endpoint_of() knows
  /// then.
  void on_netmap(const Netmap& netmap, const NetmapChanges& changes, bool whole);
  /// Is a map poll up? Home stays as it is without one.
  void on_control(bool connected);
  /// Ours on every port that may lead to a peer, loopback included, tailnet addresses not.
  void on_local_addresses(std::vector<IpAddress> addresses);
  void on_configured(std::vector<Endpoint> endpoints);
  /// A link, an address or a route has changed; after on_local_addresses().
  void on_network_changed();
  void on_observed(const NodeKey& peer, const PathObserved& observed);

  /// WireGuard's endpoint and keepalive for the peer as they are to be now. Nothing: not a peer
  /// that has a path.
  [[nodiscard]] std::optional<WireguardEndpoint> endpoint_of(const NodeKey& peer) const;
  /// Where WireGuard finds the peer while it is relayed: its address on lo, at relay_port. The
  /// steps of the kernel (PointAt without an endpoint, pins, reverse pins) mean this one.
  [[nodiscard]] std::optional<Endpoint> parking_of(const NodeKey& peer) const;
  [[nodiscard]] std::optional<PathStatus> status(const NodeKey& peer) const;
  [[nodiscard]] std::vector<RegionStatus> regions() const;
  [[nodiscard]] const PathsCounters& counters() const;

  /// `answer` is called once: nothing after 5 s without an answer, or at once for an unknown peer.
  /// `probe_all`: tries every candidate too, so that a later ping may be answered directly.
  void ping(const NodeKey& peer, bool probe_all,
            std::function<void(const std::optional<PingReply>&)> answer);
  /// `answer` is called once, with a report that begins now or is under way.
  void netcheck(std::function<void(const NetcheckReport&)> answer);

 private:
  class Core;
  explicit PathsDriver(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace sallyport
