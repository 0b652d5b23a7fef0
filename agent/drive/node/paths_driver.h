// SPDX-License-Identifier: BSD-3-Clause
/// Runs the paths of a joined node: its sockets, its DERP connections, timers and names in, their
/// actions out.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/drive/node/derp_connection.h"
#include "agent/drive/node/https_probe.h"
#include "agent/drive/node/node_socket.h"
#include "agent/drive/node/relay_socket.h"
#include "agent/drive/node/resolver.h"
#include "agent/io/loop.h"
#include "agent/io/random.h"
#include "agent/io/timer.h"
#include "agent/io/tls/engine.h"
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
  ~PathsDriver() = default;

  /// For NodeInfo; the same for the life of this object.
  [[nodiscard]] const DiscoKey& disco_key() const { return paths_.disco_key(); }
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
  [[nodiscard]] std::optional<PathStatus> status(const NodeKey& peer) const {
    return paths_.status(peer);
  }
  [[nodiscard]] std::vector<RegionStatus> regions() const { return paths_.regions(); }
  [[nodiscard]] const PathsCounters& counters() const { return paths_.counters(); }

  /// `answer` is called once: nothing after 5 s without an answer, or at once for an unknown peer.
  /// `probe_all`: tries every candidate too, so that a later ping may be answered directly.
  void ping(const NodeKey& peer, bool probe_all,
            std::function<void(const std::optional<PingReply>&)> answer);
  /// `answer` is called once, with a report that begins now or is under way.
  void netcheck(std::function<void(const NetcheckReport&)> answer);

 private:
  struct Relay {
    uint64_t dial = 0;
    bool waits_for_name = false;
    std::unique_ptr<DerpConnection> connection;
  };
  struct Probe {
    bool waits_for_name = false;
    std::unique_ptr<HttpsProbe> probe;
  };
  struct Asked {
    NodeKey peer;
    Instant until;
    std::function<void(const std::optional<PingReply>&)> answer;
  };

  PathsDriver(io::Loop& loop, io::TlsContext tls, const PathsDriverOptions& options,
              PathsHooks hooks);
  Result<void> open(PathsDriverOptions options);
  void run(const PathsActions& actions);
  void rearm();
  void act(const SendDatagram& send);
  void act(const DialRegion& dial);
  void act(const SendFrame& send);
  void act(const CloseRegion& close);
  void act(const SendPacketBy& send);
  void act(const StepKernel& step);
  void act(const Observe& observe);
  void act(const ProbeRegion& probe);
  void act(const FindAddress& find);
  void act(const AnnounceEndpoints& announce);
  void act(const AnnounceNetwork& announce);
  void act(const NetcheckDone& done);
  void act(const StatusChanged& changed);
  void act(const PeerAnswered& answered);
  void act(const PathsNote& note);
  void act(const SaveMemory& save);

  void on_parked(const IpAddress& parking, ByteView packet);
  void on_derp_message(uint16_t region, const derp::Message& message);
  void on_derp_closed(uint16_t region, uint64_t dial, const std::string& why);
  void on_lookup(const std::string& host, const std::vector<IpAddress>& found);
  [[nodiscard]] DerpConnection* connection_of(uint16_t region);
  void give_up_pings();

  io::Loop& loop_;
  io::TlsContext tls_;
  PathsHooks hooks_;
  uint16_t wg_port_;
  uint16_t relay_port_;
  io::KernelRandom random_;
  Paths paths_;
  io::Timer wake_;
  std::optional<Instant> armed_;
  std::unique_ptr<Resolver> resolver_;
  NodeSocket node_socket_;
  std::unique_ptr<RelaySocket> relay_socket_;
  std::map<uint16_t, Relay> relays_;
  std::map<uint16_t, Probe> probes_;
  std::vector<uint16_t> full_;  // relays that do not read
  io::Timer sweep_;             // at once: closes them
  std::vector<Asked> asked_;
  io::Timer patience_;
  std::vector<std::function<void(const NetcheckReport&)>> netchecks_;
};

}  // namespace sallyport
