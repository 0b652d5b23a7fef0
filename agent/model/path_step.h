// SPDX-License-Identifier: BSD-3-Clause
/// The steps by which a peer of WireGuard's is moved from one way to another.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "agent/model/endpoint.h"
#include "agent/model/keys.h"

namespace sallyport {

/// A path is an address and a port of ours as much as one of the peer's.
struct DirectPath {
  Endpoint peer;
  IpAddress ours;        // what the peer's packets are addressed to
  uint32_t ifindex = 0;  // the port that they come in by; 0: not known, the route decides
  friend bool operator==(const DirectPath&, const DirectPath&) = default;
};

/// Relayed packets of this peer look as if they had come by this path.
struct SetPin {
  DirectPath path;
  friend bool operator==(const SetPin&, const SetPin&) = default;
};
struct ClearPin {
  friend bool operator==(const ClearPin&, const ClearPin&) = default;
};
/// Direct packets from there look relayed.
struct SetReverse {
  Endpoint from;
  friend bool operator==(const SetReverse&, const SetReverse&) = default;
};
struct ClearReverse {
  Endpoint from;
  friend bool operator==(const ClearReverse&, const ClearReverse&) = default;
};
/// One WireGuard message that only updates the peer: an endpoint with a keepalive of 25 s, or the
/// relay address with none. WireGuard sends at once when the keepalive leaves zero, and only then:
/// `again` asks for a message with zero before it.
struct PointAt {
  std::optional<Endpoint> endpoint;  // nothing: the relay address
  bool again = false;
  friend bool operator==(const PointAt&, const PointAt&) = default;
};
using KernelStep = std::variant<SetPin, ClearPin, SetReverse, ClearReverse, PointAt>;

constexpr uint16_t kDirectKeepaliveS = 25;

/// In order, and without delay: a packet in between would move WireGuard's endpoint.
struct PathSteps {
  PublicKey peer;
  std::vector<KernelStep> steps;
  friend bool operator==(const PathSteps&, const PathSteps&) = default;
};

}  // namespace sallyport
