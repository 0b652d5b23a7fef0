// SPDX-License-Identifier: BSD-3-Clause
/// What the kernel is told about the path of one peer, and in which order.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "agent/model/endpoint.h"

namespace sallyport {

/// A path is an address and a port of ours as much as one of the peer's.
struct DirectPath {
  Endpoint peer;
  IpAddress ours;        // what the peer's packets are addressed to
  uint32_t ifindex = 0;  // the port that they come in by; 0: not known, the route decides
  friend bool operator==(const DirectPath&, const DirectPath&) = default;
};

/// Three things that only hold together: WireGuard moves a peer's endpoint to wherever the last
/// authenticated packet came from, so what arrives by the other way must look as if it did not.
struct KernelPath {
  /// Nothing: the peer's own address on lo, where its packets reach the relay socket.
  std::optional<DirectPath> direct;
  /// Sorted. Direct packets from these look relayed; only while there is no direct path.
  std::vector<Endpoint> reversed;
  friend bool operator==(const KernelPath&, const KernelPath&) = default;
};

/// Relayed packets of this peer look as if they had come by this path.
struct SetPin {
  DirectPath path;
  friend bool operator==(const SetPin&, const SetPin&) = default;
};
struct ClearPin {
  friend bool operator==(const ClearPin&, const ClearPin&) = default;
};
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

/// The steps from one to the other; none if they are equal. Going direct: reverse pins off, pin,
/// endpoint. Leaving: pin off, reverse pins on, endpoint. The other way round a packet in between
/// moves the endpoint back.
std::vector<KernelStep> kernel_steps(const KernelPath& from, const KernelPath& to);

/// For a packet that arrived at the relay socket although the path is direct: the endpoint was
/// moved back before the pin held.
std::vector<KernelStep> repeat_steps(const KernelPath& path);

}  // namespace sallyport
