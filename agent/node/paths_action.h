// SPDX-License-Identifier: BSD-3-Clause
/// What the paths of a node ask their driver to do. The list of actions is also their log.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/model/derp_map.h"
#include "agent/model/hostinfo.h"
#include "agent/node/kernel_path.h"
#include "agent/node/netcheck.h"
#include "agent/node/own_endpoints.h"
#include "agent/node/path_action.h"

namespace sallyport {

/// From the socket whose port is made WireGuard's on the way out.
struct SendDatagram {
  Endpoint to;
  std::optional<IpAddress> from;  // nothing: the route decides
  uint32_t ifindex = 0;           // 0: likewise
  Bytes bytes;
  friend bool operator==(const SendDatagram&, const SendDatagram&) = default;
};

/// TCP, TLS, GET derp::kPath; the answer is on_derp_connected() or on_derp_closed() with the same
/// number. Any other dial of this region is given up.
struct DialRegion {
  uint16_t region = 0;
  uint64_t dial = 0;
  DerpNode node;
  std::string ideal_node;  // the region's first one, which we would rather have; empty: this is it
  friend bool operator==(const DialRegion&, const DialRegion&) = default;
};
/// A whole frame into the region's stream.
struct SendFrame {
  uint16_t region = 0;
  Bytes frame;
  friend bool operator==(const SendFrame&, const SendFrame&) = default;
};
struct CloseRegion {
  uint16_t region = 0;
  uint64_t dial = 0;
  friend bool operator==(const CloseRegion&, const CloseRegion&) = default;
};
/// To this peer through the region, whose login is done: disco, or what had to wait for the login.
struct SendPacketBy {
  uint16_t region = 0;
  NodeKey peer;
  Bytes packet;
  friend bool operator==(const SendPacketBy&, const SendPacketBy&) = default;
};

/// In this order, each to the end.
struct StepKernel {
  NodeKey peer;
  std::vector<KernelStep> steps;
  friend bool operator==(const StepKernel&, const StepKernel&) = default;
};
/// What has the kernel counted for these? The answers are on_observed(), soon or not at all.
struct Observe {
  std::vector<NodeKey> peers;
  friend bool operator==(const Observe&, const Observe&) = default;
};

/// How far are we from there? GET /derp/latency-check; the answer is on_https().
struct ProbeRegion {
  uint16_t region = 0;
  DerpNode node;
  friend bool operator==(const ProbeRegion&, const ProbeRegion&) = default;
};
/// The answer is on_lookup().
struct FindAddress {
  std::string host;
  friend bool operator==(const FindAddress&, const FindAddress&) = default;
};

/// To the control server, as AnnounceEndpoints: home or something else that matters is another.
struct AnnounceNetwork {
  NetInfo info;
  friend bool operator==(const AnnounceNetwork&, const AnnounceNetwork&) = default;
};

enum class PathKind : uint8_t { kNone, kDerp, kDirect };
std::string_view name_of(PathKind kind);

/// For `status`.
struct PathStatus {
  PathKind kind = PathKind::kNone;
  std::optional<Endpoint> endpoint;  // of kDirect
  uint16_t region = 0;               // where relayed packets go; 0: nowhere
  Duration rtt{};                    // of kDirect; 0: not known
  Instant since;                     // of this kind
  PathState state = PathState::kIdle;
  friend bool operator==(const PathStatus&, const PathStatus&) = default;
};
struct StatusChanged {
  NodeKey peer;
  PathStatus status;
  std::optional<DoubtCause> doubt;
  friend bool operator==(const StatusChanged&, const StatusChanged&) = default;
};
/// To whoever has asked.
struct PeerAnswered {
  NodeKey peer;
  DiscoSource from;
  Duration rtt{};
  friend bool operator==(const PeerAnswered&, const PeerAnswered&) = default;
};

enum class PathsEvent : uint8_t {
  kDerpUp,
  kDerpDown,
  kDerpComplains,  // the server, about us; an empty text: no more
  kDiscoOnly,      // disco passes to this endpoint, WireGuard does not: some filter drops it
  kNoFreeParking,  // more peers than there are addresses on lo
};
std::string_view name_of(PathsEvent event);
/// For people: the log, `doctor`. The text may be a stranger's.
struct PathsNote {
  PathsEvent event = PathsEvent::kDerpUp;
  uint16_t region = 0;
  NodeKey peer;
  std::string text;
  friend bool operator==(const PathsNote&, const PathsNote&) = default;
};

/// memory() is another one and ought to outlive us.
struct SaveMemory {
  friend bool operator==(const SaveMemory&, const SaveMemory&) = default;
};

using PathsAction =
    std::variant<SendDatagram, DialRegion, SendFrame, CloseRegion, SendPacketBy, StepKernel,
                 Observe, ProbeRegion, FindAddress, AnnounceEndpoints, AnnounceNetwork,
                 NetcheckDone, StatusChanged, PeerAnswered, PathsNote, SaveMemory>;
using PathsActions = std::vector<PathsAction>;

}  // namespace sallyport
