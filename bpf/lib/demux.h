/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// WireGuard's port on the wire is the node's too: in, what is not WireGuard's goes to the node's
/// own socket; out, that socket's packets get WireGuard's port (path.bpf.c). So a NAT sees one
/// mapping, and a disco pong proves the path that WireGuard will take.
#pragma once

#include "bpf/lib/count.h"
#include "bpf/lib/datagram.h"
#include "bpf/lib/pin.h"

#define AF_INET	 2
#define AF_INET6 10

/// Set by the loader: one bit, outside of every other mark of ours.
/// On a packet that has been given to the node: it may pass a second port (a bridge, a bond) on its
/// way up, and is not taken there for one that named the node's port itself.
const volatile __u32 demuxed_mark = 0;

/// Is the destination ours? The box routes for others who use these protocols too, and whose
/// packets have the same port.
static __attribute__((noinline)) bool is_for_us(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_fib_lookup way = {
	    .family = p->v6 ? AF_INET6 : AF_INET,
	    .l4_protocol = PROTO_UDP,
	    .ifindex = skb->ifindex,
	    .tot_len = (__u16)p->length,
	};
	if (p->v6) {
		__builtin_memcpy(way.ipv6_src, &p->src, 16);
		__builtin_memcpy(way.ipv6_dst, &p->dst, 16);
	} else {
		way.ipv4_src = v4_of(&p->src);
		way.ipv4_dst = v4_of(&p->dst);
	}
	const long found = bpf_fib_lookup(skb, &way, sizeof(way), 0);
	return found == BPF_FIB_LKUP_RET_NOT_FWDED || found == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

/// Is this handshake to be dropped, because ours to the same peer is under way? Each end would
/// answer the other's, refuse the answer to its own, and try again after 5 s, both at once.
static __always_inline bool crosses(const struct sp_endpoint_state *e, __u64 now_ns)
{
	return e->yield_ns && e->initiation_ns && now_ns - e->initiation_ns < e->yield_ns;
}

/// A packet for WireGuard. NEXT, a redirect, or TC_ACT_SHOT with the verdict in `j`.
static __always_inline int on_wireguard(struct __sk_buff *skb, const struct packet *p,
					const struct datagram *d, struct judgement *j)
{
	struct sp_endpoint_state *e = endpoint_at(&p->src, d->src_port_be);
	if (!e)
		return NEXT;
	const __u64 now_ns = bpf_ktime_get_coarse_ns();
	if (e->heard_ns != now_ns)
		e->heard_ns = now_ns;
	e->heard_packets += segments_of(skb);
	const __u32 type = wg_type_of(d);
	if (type == WG_INITIATION && crosses(e, now_ns)) {
		j->verdict = SP_DROP_CROSSING;
		return TC_ACT_SHOT;
	}
	if (type == WG_RESPONSE)
		e->initiation_ns = 0;
	const __be32 parking_be = e->parking_be;
	if (!parking_be || !is_for_us(skb, p))
		return NEXT;
	return enter_by_lo(skb, p, parking_be);
}

static __always_inline __u32 count_of(enum datagram_kind kind)
{
	return kind == DISCO	     ? SP_PATH_TO_NODE_DISCO
	       : kind == STUN_ANSWER ? SP_PATH_TO_NODE_STUN
				     : SP_PATH_TO_NODE_GENEVE;
}

/// What has come in by a port, `p` from read_header(). NEXT, a redirect, or TC_ACT_SHOT with the
/// verdict in `j`. The first fragment of a datagram stands for all of it: the rest has no ports.
/// A coalesced packet is what its first datagram is.
static __attribute__((noinline)) int demux(struct __sk_buff *skb, struct packet *p,
					   struct judgement *j)
{
	const struct sp_path_settings *s = path_settings();
	struct datagram d;
	if (!s || !find_datagram(skb, p, &d))
		return NEXT;
	if (d.dst_port_be == s->agent_port_be) {
		if (skb->mark & demuxed_mark || !is_for_us(skb, p))
			return NEXT;
		j->verdict = SP_DROP_NODE_PORT;
		return TC_ACT_SHOT;
	}
	if (d.dst_port_be != s->wg_port_be)
		return NEXT;
	const enum datagram_kind kind = kind_of(&d);
	if (kind == WIREGUARD)
		return on_wireguard(skb, p, &d, j);
	if (!is_for_us(skb, p))
		return NEXT;
	const int link = link_header_bytes(skb);
	if (link < 0 || !store_port(skb, (__u32)link + p->l4, 2, d.dst_port_be, s->agent_port_be)) {
		count_path(skb, SP_PATH_UNREADABLE);
		return NEXT;
	}
	skb->mark |= demuxed_mark;
	count_path(skb, count_of(kind));
	return NEXT;
}
