// SPDX-License-Identifier: BSD-3-Clause
/// WireGuard initiations that cross on a relayed path.
///
/// If both ends begin within one one-way delay, each answers the other's initiation, which
/// overwrites the state that the response to its own would need; both retry after exactly 5 s, and
/// cross again. So one end keeps its own and drops the other's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "agent/base/bytes.h"
#include "agent/base/clock.h"
#include "agent/model/keys.h"

namespace sallyport {

/// The first byte of a message, three zero bytes after it. Source: WireGuard's paper, 5.4.
enum class WireguardType : uint8_t { kInitiation = 1, kResponse, kCookie, kData };

inline std::optional<WireguardType> wireguard_type(ByteView packet) {
  if (packet.size() < 32 || packet[1] != 0 || packet[2] != 0 || packet[3] != 0) return {};
  if (packet[0] < 1 || packet[0] > 4) return {};
  return static_cast<WireguardType>(packet[0]);
}

/// At least; a longer round trip asks for more.
constexpr Duration kCrossingWindow = std::chrono::milliseconds(300);

class Crossing {
 public:
  /// `peer_does_too`: the peer is one of us. Then only the one with the lower public key drops, or
  /// no initiation would ever arrive.
  Crossing(const PublicKey& ours, const PublicKey& peer, bool peer_does_too)
      : drops_(!peer_does_too || ours < peer) {}

  /// A packet of ours is passed on. `rtt`: of the relayed path, if known.
  void on_sent(std::optional<WireguardType> type, Duration rtt, Instant now) {
    if (type == WireguardType::kInitiation) until_ = now + std::max(kCrossingWindow, rtt);
  }
  /// A packet of the peer has come. True: it must not reach WireGuard.
  [[nodiscard]] bool on_received(std::optional<WireguardType> type, Instant now) {
    if (type == WireguardType::kResponse) until_.reset();
    if (until_ && now >= *until_) until_.reset();
    return drops_ && until_ && type == WireguardType::kInitiation;
  }

 private:
  bool drops_;
  std::optional<Instant> until_;
};

}  // namespace sallyport
