// SPDX-License-Identifier: BSD-3-Clause
/// Pins, reverse pins and what is known of peers' endpoints: see bpf/abi/path.h. All of it is in
/// the data plane's maps and outlives the process.
///
/// Order, so that no packet in between moves WireGuard's endpoint back. Going direct:
/// clear_reverse, pin, then the endpoint. Leaving: unpin, set_reverse, then the endpoint.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/model/config.h"
#include "agent/model/endpoint.h"
#include "bpf/abi/path.h"

namespace sallyport {

/// Who shares WireGuard's port. All zero: nobody, and packets stay as they are.
struct PathPorts {
  uint16_t wireguard = 0;
  uint16_t agent = 0;  // of the node's socket for disco, STUN and Geneve
  uint16_t relay = 0;  // of its socket on lo
  Fwmark own;          // of that first socket and of WireGuard's own packets
  friend bool operator==(const PathPorts&, const PathPorts&) = default;
};

/// A direct path that is held.
struct Pin {
  Endpoint peer;
  IpAddress ours;
  uint32_t ifindex = 0;
  friend bool operator==(const Pin&, const Pin&) = default;
};

/// Packets for WireGuard that came from an endpoint, before their authentication.
struct Heard {
  uint64_t at_ns = 0;  // CLOCK_MONOTONIC_COARSE, as sp_peer.last_rx_ns
  uint64_t packets = 0;
};

using PathCounts = std::array<uint64_t, SP_PATH_COUNT_COUNT>;

class PathMaps {
 public:
  /// Borrowed: they live longer than the object.
  struct Maps {
    int pins_fd;
    int endpoints_fd;
    int counts_fd;
    sp_path_settings* settings;
  };
  explicit PathMaps(const Maps& maps) : maps_(maps) {}

  /// From the next packet on.
  void set_ports(const PathPorts& ports);
  [[nodiscard]] PathPorts ports() const;

  /// Relayed packets from `parking` (the peer's address in 127.0.0.0/8) enter by the pin's port as
  /// if the peer had sent them there. Replaces the pin that there was. EAFNOSUPPORT: the families
  /// of its two addresses differ; EINVAL: `parking` is no loopback address; ENODEV: no such port.
  Result<void> pin(const IpAddress& parking, const Pin& pin);
  Result<void> unpin(const IpAddress& parking);  // no such pin: fine
  [[nodiscard]] Result<std::optional<Pin>> pin_of(const IpAddress& parking) const;

  /// Counts WireGuard packets from there. `yield`: for so long after our own handshake there the
  /// peer's is dropped; 0: never. Keeps its reverse pin and what was counted.
  Result<void> watch(const Endpoint& from, Duration yield);
  /// WireGuard packets from there enter by lo from `parking`. Watches it too.
  Result<void> set_reverse(const Endpoint& from, const IpAddress& parking);
  Result<void> clear_reverse(const Endpoint& from);  // it is still watched
  /// No longer watched, no reverse pin. Not there: fine.
  Result<void> forget(const Endpoint& from);
  /// Nothing: it is not watched, or nothing came.
  [[nodiscard]] Result<std::optional<Heard>> heard(const Endpoint& from) const;
  [[nodiscard]] Result<std::optional<IpAddress>> reverse_of(const Endpoint& from) const;

  /// For taking up what an earlier process left.
  Result<void> for_each_pin(
      const std::function<void(const IpAddress& parking, const Pin& pin)>& visit) const;
  Result<void> for_each_endpoint(
      const std::function<void(const Endpoint& from, const sp_endpoint_state& state)>& visit) const;
  /// Removes all pins and endpoints, and set_ports({}).
  Result<void> clear();

  /// Sums over all CPUs, by enum sp_path_count.
  [[nodiscard]] Result<PathCounts> counts() const;

 private:
  Result<void> change_endpoint(const Endpoint& from,
                               const std::function<void(sp_endpoint_state&)>& change);
  [[nodiscard]] Result<std::optional<sp_endpoint_state>> endpoint_state(const Endpoint& at) const;

  Maps maps_;
};

}  // namespace sallyport
