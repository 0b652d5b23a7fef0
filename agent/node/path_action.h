// SPDX-License-Identifier: BSD-3-Clause
/// What a path asks its driver to do. The list of actions is also its log.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/base/clock.h"
#include "agent/model/endpoint.h"
#include "agent/node/kernel_path.h"
#include "agent/wire/disco.h"

namespace sallyport {

using disco::TxId;

/// A disco message that came by UDP: from where, to which address of ours, by which port.
struct UdpArrival {
  Endpoint from;
  IpAddress to;
  uint32_t ifindex = 0;
  friend bool operator==(const UdpArrival&, const UdpArrival&) = default;
};
struct DerpRegionId {
  uint16_t id = 0;
  friend bool operator==(const DerpRegionId&, const DerpRegionId&) = default;
};
using DiscoSource = std::variant<UdpArrival, DerpRegionId>;
using PingTarget = std::variant<Endpoint, DerpRegionId>;

/// idle: nothing to do, the peer's endpoint is its relay address. relay: by DERP. probing: by DERP,
/// pings are under way. direct: a pong proves the path. doubt: it did, until something spoke
/// against it; outer packets take both ways.
enum class PathState : uint8_t { kIdle, kRelay, kProbing, kDirect, kDoubt };
std::string_view name_of(PathState state);

/// Why a direct path was doubted.
enum class DoubtCause : uint8_t { kSilence, kHeartbeat, kDerpData, kCallMeMaybe, kNetwork };
std::string_view name_of(DoubtCause cause);

/// The ping carries our node key, so that the peer knows us by it.
struct SendPing {
  TxId tx{};
  PingTarget to;
  friend bool operator==(const SendPing&, const SendPing&) = default;
};
/// Back the way that the ping came, from the address that it was sent to.
struct SendPong {
  TxId tx{};
  DiscoSource to;
  friend bool operator==(const SendPong&, const SendPong&) = default;
};
/// With our own endpoints, if they are fresh; else once they are (OwnEndpoints::call_me_maybe).
struct SendCallMeMaybe {
  uint16_t region = 0;
  friend bool operator==(const SendCallMeMaybe&, const SendCallMeMaybe&) = default;
};
/// The steps lead there from what the kernel was told before.
struct SetKernelPath {
  KernelPath path;
  std::vector<KernelStep> steps;
  friend bool operator==(const SetKernelPath&, const SetKernelPath&) = default;
};
/// Outer packets to the direct endpoint also go by DERP. A driver that cannot may ignore it.
struct Duplicate {
  bool on = false;
  friend bool operator==(const Duplicate&, const Duplicate&) = default;
};
struct PathChanged {
  PathState state = PathState::kIdle;
  std::optional<Endpoint> endpoint;
  Duration rtt{};
  std::optional<DoubtCause> cause;  // of kDoubt
  friend bool operator==(const PathChanged&, const PathChanged&) = default;
};
/// Disco passes on this path, WireGuard does not: some packet filter drops it.
struct DiscoOnly {
  Endpoint endpoint;
  friend bool operator==(const DiscoOnly&, const DiscoOnly&) = default;
};
/// The answer to ask().
struct PingAnswered {
  TxId tx{};
  DiscoSource from;
  Duration rtt{};
  friend bool operator==(const PingAnswered&, const PingAnswered&) = default;
};

using PathAction = std::variant<SendPing, SendPong, SendCallMeMaybe, SetKernelPath, Duplicate,
                                PathChanged, DiscoOnly, PingAnswered>;
using PathActions = std::vector<PathAction>;

}  // namespace sallyport
