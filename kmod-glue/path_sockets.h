// SPDX-License-Identifier: BSD-3-Clause
/// The two UDP sockets of a node that holds paths. The agent opens them: only it may set a mark and
/// take buffers beyond the host's limit. The node gets them as descriptors.
#pragma once

#include <cstdint>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace sallyport {

/// Disco, STUN and Geneve, of both families: bound to [::]:`port`, or to 0.0.0.0:`port` on a host
/// without IPv6. Its packets carry `mark` and leave with WireGuard's port (bpf/lib/demux.h); where
/// each came in is said by IP_PKTINFO and IPV6_PKTINFO. `port` 0: any. Errors: EADDRINUSE; EPERM,
/// no CAP_NET_ADMIN.
Result<Fd> open_node_socket(uint16_t port, uint32_t mark);

/// Packets between relays and WireGuard: IPv4, 0.0.0.0:`port` on lo alone, buffers for bursts,
/// IP_PKTINFO. WireGuard's packets for a peer say by their destination, 127.x.y.z, whose they are;
/// what is sent to 127.0.0.1 with that source is WireGuard's from that peer. Errors as above.
Result<Fd> open_relay_socket(uint16_t port);

/// Is a descriptor that was kept over a restart such a socket, as it would be opened now?
bool is_node_socket(const Fd& socket, uint16_t port, uint32_t mark);
bool is_relay_socket(const Fd& socket, uint16_t port);

/// The port that a socket is bound to; 0: none.
uint16_t bound_port(const Fd& socket);

}  // namespace sallyport
