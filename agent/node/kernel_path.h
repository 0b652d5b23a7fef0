// SPDX-License-Identifier: BSD-3-Clause
/// What the kernel is told about the path of one peer, and in which order.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "agent/model/path_step.h"

namespace sallyport {

/// Three things that only hold together: WireGuard moves a peer's endpoint to wherever the last
/// authenticated packet came from, so what arrives by the other way must look as if it did not.
struct KernelPath {
  /// Nothing: the peer's own address on lo, where its packets reach the relay socket.
  std::optional<DirectPath> direct;
  /// Sorted. Direct packets from these look relayed; only while there is no direct path.
  std::vector<Endpoint> reversed;
  friend bool operator==(const KernelPath&, const KernelPath&) = default;
};

/// The steps from one to the other; none if they are equal. Going direct: reverse pins off, pin,
/// endpoint. Leaving: pin off, reverse pins on, endpoint. The other way round a packet in between
/// moves the endpoint back.
std::vector<KernelStep> kernel_steps(const KernelPath& from, const KernelPath& to);

/// For a packet that arrived at the relay socket although the path is direct: the endpoint was
/// moved back before the pin held.
std::vector<KernelStep> repeat_steps(const KernelPath& path);

}  // namespace sallyport
