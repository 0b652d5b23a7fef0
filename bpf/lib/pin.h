/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// Packets for WireGuard that are made to come in by another way than the one they came: by a port,
/// as if from a peer directly, or by lo, as if from a relay. WireGuard takes a peer's endpoint,
/// source address and device from whatever authenticated packet came last.
///
/// Addresses are changed by the checksum helpers only: what a local socket sends has no checksum
/// yet (CHECKSUM_PARTIAL), what a NIC delivers may have a sum over all of it (CHECKSUM_COMPLETE).
#pragma once

#include <linux/pkt_cls.h>

#include "bpf/lib/datagram.h"

#define LO_IFINDEX	1 /* in every network namespace */
#define LOOPBACK_BE	bpf_htonl(0x7f000001)
#define PSEUDO		(BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0)
#define NEXT		(-1) /* TCX_NEXT, and to clsact TC_ACT_UNSPEC */
#define IP_AT		ETH_HLEN
#define IP_CHECKSUM_AT	(IP_AT + 10)
#define IP_SOURCE_AT	(IP_AT + 12)
#define V4_UDP_AT	(IP_AT + sizeof(struct iphdr))
#define V6_UDP_AT	(IP_AT + sizeof(struct ipv6hdr))
#define ETHERTYPE_AT	12
#define DEFAULT_TTL	64
#define ENTERS(ifindex) bpf_redirect(ifindex, BPF_F_INGRESS)

/// Set by the loader: one bit, outside of every other mark of ours. On a packet from loopback_out,
/// until the port that it enters by has seen it.
const volatile __u32 lookalike_mark = 0;

struct v4_ends {
	__be32 src_be, dst_be; /* side by side, as in the header */
};

static __always_inline __be32 v4_of(const struct address *a)
{
	return bpf_htonl((__u32)address_low(a));
}

/// Both addresses of an IPv4 header without options behind an Ethernet header, and every sum.
static __always_inline bool store_v4_ends(struct __sk_buff *skb, const struct v4_ends *from,
					  const struct v4_ends *to)
{
	return bpf_l3_csum_replace(skb, IP_CHECKSUM_AT, from->src_be, to->src_be, 4) == 0 &&
	       bpf_l3_csum_replace(skb, IP_CHECKSUM_AT, from->dst_be, to->dst_be, 4) == 0 &&
	       bpf_l4_csum_replace(skb, V4_UDP_AT + UDP_CHECKSUM_AT, from->src_be, to->src_be,
				   PSEUDO | 4) == 0 &&
	       bpf_l4_csum_replace(skb, V4_UDP_AT + UDP_CHECKSUM_AT, from->dst_be, to->dst_be,
				   PSEUDO | 4) == 0 &&
	       bpf_skb_store_bytes(skb, IP_SOURCE_AT, to, sizeof(*to), 0) == 0;
}

/// An IPv4 datagram becomes IPv6 with the pin's addresses.
static __always_inline bool become_v6(struct __sk_buff *skb, const struct v4_ends *from,
				      __u32 length, const struct sp_pin *pin)
{
	struct ipv6hdr ip = {
	    .version = 6,
	    .nexthdr = PROTO_UDP,
	    .hop_limit = DEFAULT_TTL,
	    .payload_len = bpf_htons((__u16)(length - sizeof(struct iphdr))),
	};
	__builtin_memcpy(&ip.saddr, pin->peer.addr, 16);
	__builtin_memcpy(&ip.daddr, pin->own_addr, 16);
	const __be16 ethertype = bpf_htons(ETH_P_IPV6);
	const __s64 sum = bpf_csum_diff((__be32 *)from, sizeof(*from), (__be32 *)&ip.saddr, 32, 0);
	return bpf_skb_change_proto(skb, ethertype, 0) == 0 &&
	       bpf_skb_store_bytes(skb, ETHERTYPE_AT, &ethertype, sizeof(ethertype), 0) == 0 &&
	       bpf_skb_store_bytes(skb, IP_AT, &ip, sizeof(ip), 0) == 0 &&
	       bpf_l4_csum_replace(skb, V6_UDP_AT + UDP_CHECKSUM_AT, 0, (__u64)sum, PSEUDO) == 0;
}

static __always_inline __u16 folded(__s64 sum)
{
	__u32 out = (__u32)sum;
	out = (out & 0xffff) + (out >> 16);
	out = (out & 0xffff) + (out >> 16);
	return (__u16)out;
}

/// An IPv6 datagram without extension headers becomes IPv4 with these addresses.
static __always_inline bool become_v4(struct __sk_buff *skb, const struct packet *p,
				      const struct v4_ends *to)
{
	struct iphdr ip = {
	    .version = 4,
	    .ihl = 5,
	    .ttl = DEFAULT_TTL,
	    .protocol = PROTO_UDP,
	    .frag_off = bpf_htons(0x4000), /* IPv6 is not cut either */
	    .tot_len =
		bpf_htons((__u16)(p->length - sizeof(struct ipv6hdr) + sizeof(struct iphdr))),
	    .saddr = to->src_be,
	    .daddr = to->dst_be,
	};
	ip.check = (__u16)~folded(bpf_csum_diff(NULL, 0, (__be32 *)&ip, sizeof(ip), 0));
	const __be16 ethertype = bpf_htons(ETH_P_IP);
	const __s64 sum = bpf_csum_diff((__be32 *)&p->src, 32, (__be32 *)to, sizeof(*to), 0);
	return bpf_skb_change_proto(skb, ethertype, 0) == 0 &&
	       bpf_skb_store_bytes(skb, ETHERTYPE_AT, &ethertype, sizeof(ethertype), 0) == 0 &&
	       bpf_skb_store_bytes(skb, IP_AT, &ip, sizeof(ip), BPF_F_RECOMPUTE_CSUM) == 0 &&
	       bpf_l4_csum_replace(skb, V4_UDP_AT + UDP_CHECKSUM_AT, 0, (__u64)sum, PSEUDO) == 0;
}

/// The reverse pin: a peer's direct packet comes in by lo, as the relay socket's would. NEXT: it is
/// of a form that WireGuard does not send, and stays.
static __attribute__((noinline, unused)) int enter_by_lo(struct __sk_buff *skb,
							 const struct packet *p, __be32 parking_be)
{
	const struct sp_path_settings *s = path_settings();
	const struct v4_ends to = {parking_be, LOOPBACK_BE};
	if (!s || p->fragment || p->l4 != (p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)))
		return NEXT;
	const int link = link_header_bytes(skb);
	if (link < 0 || (link == 0 && bpf_skb_change_head(skb, ETH_HLEN, 0))) {
		count_path(skb, SP_PATH_UNREADABLE);
		return NEXT;
	}
	struct ethhdr none = {.h_proto = bpf_htons(p->v6 ? ETH_P_IPV6 : ETH_P_IP)};
	const struct v4_ends from = {v4_of(&p->src), v4_of(&p->dst)};
	const bool done = bpf_skb_store_bytes(skb, 0, &none, sizeof(none), 0) == 0 &&
			  (p->v6 ? become_v4(skb, p, &to) : store_v4_ends(skb, &from, &to)) &&
			  store_port(skb, V4_UDP_AT, 0, p->src_port_be, s->relay_port_be);
	count_path(skb, done ? SP_PATH_REVERSE_PINNED : SP_PATH_UNREADABLE);
	return done ? (int)ENTERS(LO_IFINDEX) : TC_ACT_SHOT;
}

/// What the relay socket sends to WireGuard on lo, as it stands there.
struct relayed {
	struct iphdr ip;
	__be16 src_port_be, dst_port_be, length_be, checksum;
};

/// The pin for it; NULL: none, or it is something else.
static __always_inline const struct sp_pin *find_pin(struct __sk_buff *skb, struct relayed *r)
{
	const struct sp_path_settings *s = path_settings();
	if (!s || !s->relay_port_be || bpf_skb_load_bytes(skb, IP_AT, r, sizeof(*r)))
		return NULL;
	if (r->ip.ihl != 5 || r->ip.protocol != PROTO_UDP || r->ip.daddr != LOOPBACK_BE ||
	    r->ip.frag_off & bpf_htons(0x3fff))
		return NULL;
	if (r->dst_port_be != s->wg_port_be || r->src_port_be != s->relay_port_be)
		return NULL;
	return bpf_map_lookup_elem(&pins, &r->ip.saddr);
}

/// It looks as if the peer had sent it directly, but for the mark, which is the caller's.
static __always_inline bool look_direct(struct __sk_buff *skb, const struct relayed *r,
					const struct sp_pin *pin)
{
	struct address peer, own;
	__builtin_memcpy(&peer, pin->peer.addr, 16);
	__builtin_memcpy(&own, pin->own_addr, 16);
	const struct v4_ends from = {r->ip.saddr, r->ip.daddr};
	__u32 udp_at = V4_UDP_AT;
	if (is_mapped_v4(&peer)) {
		const struct v4_ends to = {v4_of(&peer), v4_of(&own)};
		if (!store_v4_ends(skb, &from, &to))
			return false;
	} else {
		if (!become_v6(skb, &from, bpf_ntohs(r->ip.tot_len), pin))
			return false;
		udp_at = V6_UDP_AT;
	}
	/* Frames on lo carry zeros, and a port's packet for another address is not for us. */
	return store_port(skb, udp_at, 0, r->src_port_be, pin->peer.port_be) &&
	       bpf_skb_store_bytes(skb, 0, pin->mac, sizeof(pin->mac), 0) == 0;
}

static __always_inline struct sp_endpoint_state *endpoint_at(const struct address *addr,
							     __be16 port_be)
{
	struct sp_endpoint key = {.port_be = port_be};
	__builtin_memcpy(key.addr, addr, 16);
	return bpf_map_lookup_elem(&endpoints, &key);
}
