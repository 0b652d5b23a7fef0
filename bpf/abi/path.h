/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// How WireGuard's port is shared with the node, and how a peer is held on the path chosen for it.
///
/// A peer on a relay has the endpoint PARKING:relay_port in WireGuard, where PARKING is an address
/// of its own in 127.0.0.0/8. Three things make its path, and are set together: the endpoint
/// (netlink), the pin (a relayed packet that comes late looks like a direct one, so WireGuard stays
/// on the direct path) and the reverse pin (a direct packet looks relayed, so it stays on the
/// relay).
#pragma once

#include <stdint.h>

/// Part of sp_settings. All zero: no node that holds paths, and packets stay as they are.
struct sp_path_settings {
	uint16_t wg_port_be;	/* WireGuard's */
	uint16_t agent_port_be; /* the node's socket for disco, STUN and Geneve */
	uint16_t relay_port_be; /* the node's socket on lo that stands for relays */
	uint16_t pad;
	uint32_t own_mark; /* SO_MARK of that first socket, and WireGuard's own fwmark */
	uint32_t own_mark_mask;
};

/// A UDP endpoint, IPv4 as ::ffff:a.b.c.d.
struct sp_endpoint {
	uint8_t addr[16];
	uint16_t port_be;
	uint16_t pad;
};

/// A direct path that is held: BPF_MAP_TYPE_HASH "pins", by parking address (uint32_t, big-endian).
/// A packet of the relay socket from there enters by `ifindex` as if `peer` had sent it to `own`.
struct sp_pin {
	struct sp_endpoint peer;
	uint8_t own_addr[16]; /* of ours, of the same family */
	uint32_t ifindex;
	uint8_t mac[6]; /* that port's own; zeros where packets have no link header */
	uint8_t pad[2];
};

/// What is known of an endpoint of a peer: BPF_MAP_TYPE_HASH "endpoints", by sp_endpoint. The
/// entries are the agent's; strangers make none.
struct sp_endpoint_state {
	/// CLOCK_MONOTONIC_COARSE of the last packet for WireGuard from there; 0: none yet. Comes
	/// before WireGuard's authentication: what a peer's last_rx_ns does not follow, WireGuard
	/// or a firewall has dropped.
	uint64_t heard_ns;
	uint64_t heard_packets; /* nearly: two CPUs may count one */
	/// When WireGuard began a handshake towards there that is not answered yet; 0: none.
	uint64_t initiation_ns;
	/// For so long after that the peer's own initiation is dropped: two that cross make both
	/// ends wait for 5 s. 0: never; between two gateways only the lower public key does it.
	uint64_t yield_ns;
	/// The reverse pin: its packets for WireGuard come in by lo from this address. 0: none.
	uint32_t parking_be;
	uint32_t pad;
};

/// X(identifier, name in metrics): packets that were changed on their way, per CPU in
/// "path_counts". Append only.
// clang-format off: a row is a line
#define SP_PATH_COUNTS(X) \
	X(TO_NODE_DISCO, "to_node_disco") \
	X(TO_NODE_STUN, "to_node_stun") \
	X(TO_NODE_GENEVE, "to_node_geneve") \
	X(FROM_NODE, "from_node") \
	X(PINNED, "pinned") \
	X(PINNED_SEEN, "pinned_seen") \
	X(REVERSE_PINNED, "reverse_pinned") \
	X(UNREADABLE, "unreadable")
// clang-format on
#define SP_PATH_COUNT_ENUM(id, name) SP_PATH_##id,
enum sp_path_count { SP_PATH_COUNTS(SP_PATH_COUNT_ENUM) SP_PATH_COUNT_COUNT };
#undef SP_PATH_COUNT_ENUM
