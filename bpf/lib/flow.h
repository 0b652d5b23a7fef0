/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// The flow table's keys, ages and places. Who may pass is bpf/lib/judge.h.
///
/// An entry is memory that another flow may take over at once when it is deleted, while a CPU still
/// writes to it. So only the reaper deletes, only what has been expired for REAP_GRACE_NS, and it
/// claims an entry by setting last_ns to 0; a new flow of the same key takes the old entry over by
/// setting last_ns from what it has seen. Whoever loses that exchange leaves the entry alone.
#pragma once

#include "bpf/lib/rules.h"
#include "bpf/lib/packet.h"

#define REAP_GRACE_NS 2000000000ull

/// `from_peer`: the packet comes from behind the tunnel.
static __always_inline void make_key(const struct packet *p, bool from_peer,
				     struct sp_flow_key *key)
{
	struct address *addresses = (struct address *)key;
	addresses[0] = from_peer ? p->src : p->dst;
	addresses[1] = from_peer ? p->dst : p->src;
	key->peer_port_be = from_peer ? p->src_port_be : p->dst_port_be;
	key->other_port_be = from_peer ? p->dst_port_be : p->src_port_be;
	key->proto = p->proto;
	key->icmp_request = 0;
	key->icmp_from_peer = 0;
	key->pad = 0;
	if (p->icmp_kind == ICMP_REQUEST) {
		key->icmp_request = p->icmp_type;
		key->icmp_from_peer = from_peer;
	} else if (p->icmp_kind == ICMP_REPLY) {
		key->icmp_request = p->icmp_type == 0 ? 8 : p->icmp_type - 1;
		key->icmp_from_peer = !from_peer;
	}
}

static __always_inline __u64 timeout_of(const struct sp_settings *s, __u8 proto, __u8 state)
{
	switch (proto) {
	case PROTO_TCP:
		return state == SP_FLOW_OPENING ? s->timeout_ns[SP_TIMEOUT_TCP_OPENING]
		       : state == SP_FLOW_OPEN	? s->timeout_ns[SP_TIMEOUT_TCP_OPEN]
						: s->timeout_ns[SP_TIMEOUT_TCP_CLOSING];
	case PROTO_UDP:
	case PROTO_SCTP:
		return s->timeout_ns[SP_TIMEOUT_UDP];
	case PROTO_ICMP:
	case PROTO_ICMP6:
		return s->timeout_ns[SP_TIMEOUT_ICMP];
	default:
		return s->timeout_ns[SP_TIMEOUT_OTHER];
	}
}

/// Idle for `timeout_ns` or longer, or being reaped. Another CPU may have stamped it after our
/// `now`.
static __always_inline bool is_expired(__u64 last_ns, __u64 now_ns, __u64 timeout_ns)
{
	return last_ns == 0 || (__s64)(now_ns - last_ns) >= (__s64)timeout_ns;
}

static __always_inline bool is_pure_syn(const struct packet *p)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

static __always_inline struct sp_peer *peer_at(__u32 index)
{
	return is_peer(index) ? bpf_map_lookup_elem(&peers, &index) : NULL;
}

static __always_inline void count_flow_out(__u32 index)
{
	struct sp_peer *peer = peer_at(index);
	if (peer && peer->flows)
		__sync_fetch_and_add(&peer->flows, (__u32)-1);
}
