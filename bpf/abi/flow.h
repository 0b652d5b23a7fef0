/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// The flow table: BPF_MAP_TYPE_HASH "flows", sp_flow_key -> sp_flow. Not an LRU: nobody evicts
/// another's.
#pragma once

#include <stdint.h>

/// Seen from the tunnel: `peer` is the side that lies behind the WireGuard device (the source of a
/// packet on its ingress, the destination on its egress), so both directions have one key and it
/// costs no comparison. A packet from peer to peer has two flows, one on each side.
struct sp_flow_key {
	uint8_t peer_addr[16]; /* network order; IPv4 as ::ffff:a.b.c.d */
	uint8_t other_addr[16];
	uint16_t peer_port_be; /* ICMP query: the identifier in both; 0 where there are no ports */
	uint16_t other_port_be;
	uint8_t proto;	      /* IPv4 protocol or the last IPv6 next header */
	uint8_t icmp_request; /* type of an ICMP query's request (8, 13, 128); else 0 */
	/// 1: the peer's side asks. A query of one side opens none for the other.
	uint8_t icmp_from_peer;
	uint8_t pad;
};

enum sp_flow_flags {
	SP_FLOW_FROM_PEER = 1, /* the peer's side began: judge both directions as its packet */
	SP_FLOW_REPLIED = 2,   /* the other direction has been seen */
};
enum sp_flow_state { SP_FLOW_OPENING, SP_FLOW_OPEN, SP_FLOW_CLOSING };

struct sp_flow {
	/// The policy word under which it was judged last. With SP_WORD_DENIED it is a tombstone:
	/// denied after it was allowed, and either direction refreshes it. One word, so that no
	/// other write to the flow can lose a revocation.
	uint64_t word;
	/// CLOCK_MONOTONIC_COARSE of its last packet, either direction; 0: being reaped.
	uint64_t last_ns;
	uint64_t first_ns; /* the same clock */
	uint64_t packets;  /* both directions, segments of GSO packets counted */
	uint64_t bytes;
	uint32_t peer; /* index into "peers" */
	uint16_t rule; /* counter index of the rule that allows it; 0: none */
	uint8_t state; /* enum sp_flow_state; always OPEN but for TCP */
	uint8_t flags;
};

/// A first fragment's verdict for the later ones: BPF_MAP_TYPE_LRU_HASH "fragments".
struct sp_fragment_key {
	uint8_t src_addr[16];
	uint8_t dst_addr[16];
	uint32_t id_be; /* IPv4: the 16 bits in the lower half, network order */
	uint8_t proto;	/* IPv6: the next header in the fragment header */
	uint8_t hook;
	uint8_t pad[2];
};
struct sp_fragment {
	uint64_t until_ns; /* CLOCK_MONOTONIC_COARSE: 15 s after the first one */
	/// Under which it was judged: under another one the rest is judged as the first was.
	uint64_t word;
	uint32_t peer;
	uint16_t rule;
	uint16_t src_port_be;
	uint16_t dst_port_be;
	uint8_t allowed;
	uint8_t icmp_type;
	uint8_t tcp_flags;
	uint8_t proto; /* the transport's */
	uint8_t pad[2];
};

/// One slot a peer: BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, "peers". Index 0 is nobody.
struct sp_peer {
	/// CLOCK_MONOTONIC_COARSE of the last allowed packet to the peer; 0: never.
	uint64_t last_tx_ns;
	uint64_t last_rx_ns; /* of the last packet from it, denied ones too: it is there */
	uint64_t tx_bytes;
	uint64_t rx_bytes;
	uint64_t answers_full_ns; /* token bucket of our denials (GCRA): when it is full again */
	uint32_t flows;		  /* live entries in "flows" that this peer began or is part of */
	uint32_t flags;		  /* enum sp_peer_flags, written by the agent only */
	uint64_t pad[2];
};
enum sp_peer_flags {
	SP_PEER_OUTBOUND_OPEN = 1, /* a tailnet member: what goes to it is allowed and recorded */
	SP_PEER_TSMP = 2,	   /* understands a TSMP reject beside the RST */
};

/// Per-CPU counters of a rule: BPF_MAP_TYPE_PERCPU_ARRAY "rule_hits", by counter index.
struct sp_rule_hits {
	uint64_t packets;
	uint64_t bytes;
	uint64_t last_ns; /* CLOCK_MONOTONIC_COARSE */
};

/// A drop, for `sallyport drops`: BPF_MAP_TYPE_RINGBUF "drop_events", rate-limited.
struct sp_drop_event {
	uint64_t at_ns; /* CLOCK_MONOTONIC_COARSE */
	uint64_t word;
	uint8_t src_addr[16];
	uint8_t dst_addr[16];
	uint16_t src_port_be;
	uint16_t dst_port_be;
	uint32_t peer;
	uint32_t ifindex;
	uint32_t suppressed; /* drops on this CPU that had no event since the last one */
	uint16_t length;     /* of the IP packet */
	uint16_t rule;	     /* the rule that allowed the flow once, for SP_DROP_REVOKED */
	uint8_t proto;
	uint8_t verdict;
	uint8_t hook;
	uint8_t icmp_type;
};
