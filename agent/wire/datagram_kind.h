// SPDX-License-Identifier: BSD-3-Clause
/// Which protocol a datagram on a node's one UDP port belongs to.
/// Source: tailscale wgengine/magicsock/magicsock.go, packetLooksLike.
#pragma once

#include <cstdint>

#include "agent/base/bytes.h"
#include "agent/wire/disco.h"
#include "agent/wire/geneve.h"
#include "agent/wire/stun.h"

namespace sallyport {

enum class DatagramKind : uint8_t {
  kStun,
  kRelayedDisco,      // Geneve's head, then disco
  kRelayedWireGuard,  // Geneve's head, then WireGuard
  kDisco,
  kWireGuard,  // or anything else: WireGuard drops it
};

/// In this order, since each test is only as good as those before it.
inline DatagramKind datagram_kind(ByteView datagram) {
  if (stun::is_binding(datagram)) return DatagramKind::kStun;
  if (const auto head = geneve::parse(datagram)) {
    if (head->protocol == geneve::Protocol::kWireGuard) return DatagramKind::kRelayedWireGuard;
    if (disco::is_disco(datagram.subspan(geneve::kHead))) return DatagramKind::kRelayedDisco;
    return DatagramKind::kWireGuard;
  }
  return disco::is_disco(datagram) ? DatagramKind::kDisco : DatagramKind::kWireGuard;
}

}  // namespace sallyport
