/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// UDP on WireGuard's port: which of the protocols that share it a datagram belongs to, and how
/// its ports are changed.
#pragma once

#include "bpf/lib/link.h"
#include "bpf/lib/maps.h"

/// Its header and the first bytes that it carries; zeros behind its end.
struct datagram {
	__be16 src_port_be, dst_port_be, length_be, checksum;
	union {
		__u8 body[8];
		__be32 words_be[2];
	};
};

enum datagram_kind { WIREGUARD, DISCO, STUN_ANSWER, GENEVE };

#define UDP_HEADER_BYTES   8
#define UDP_CHECKSUM_AT	   6
#define WG_INITIATION	   0x01000000 /* the type and three zero bytes */
#define WG_RESPONSE	   0x02000000
#define WG_TRANSPORT	   0x04000000
#define LEAST_DISCO_BYTES  (6 + 32 + 24 + 16) /* magic, sender's key, nonce, tag */
#define STUN_COOKIE	   0x2112a442	      /* RFC 8489 5 */
#define STUN_SUCCESS	   0x0101
#define STUN_ERROR	   0x0111
#define GENEVE_DISCO	   0x7a11 /* Source: net/packet/geneve.go */
#define GENEVE_WIREGUARD   0x7a12
#define LEAST_STUN_BYTES   20
#define LEAST_GENEVE_BYTES 8

static __always_inline __u32 wg_type_of(const struct datagram *d)
{
	return bpf_ntohl(d->words_be[0]);
}

/// Of one that has come in for WireGuard's port. What is nothing else is WireGuard's, which
/// authenticates it.
static __always_inline enum datagram_kind kind_of(const struct datagram *d)
{
	const __u8 *b = d->body;
	const __u32 type = wg_type_of(d);
	if (type >= WG_INITIATION && type <= WG_TRANSPORT && !(type & 0x00ffffff))
		return WIREGUARD;
	const __u32 bytes = bpf_ntohs(d->length_be) - UDP_HEADER_BYTES;
	/* "TS" and a speech balloon. Source: disco/disco.go */
	if (b[0] == 'T' && b[1] == 'S' && b[2] == 0xf0 && b[3] == 0x9f && b[4] == 0x92 &&
	    b[5] == 0xac)
		return bytes >= LEAST_DISCO_BYTES && bytes <= 0xffff ? DISCO : WIREGUARD;
	const __u32 first = b[0] << 8 | b[1], second = b[2] << 8 | b[3];
	if ((first == STUN_SUCCESS || first == STUN_ERROR) &&
	    d->words_be[1] == bpf_htonl(STUN_COOKIE) && bytes >= LEAST_STUN_BYTES)
		return STUN_ANSWER;
	/* Version 0, reserved bits and the reserved byte 0. Source: RFC 8926 3.4 */
	if ((first & 0xc03f) == 0 && (second == GENEVE_DISCO || second == GENEVE_WIREGUARD) &&
	    b[7] == 0 && bytes >= LEAST_GENEVE_BYTES)
		return GENEVE;
	return WIREGUARD;
}

/// `p` as read_header() left it; its protocol and offset become the transport's. False: it is no
/// UDP, or has no UDP header.
static __always_inline bool find_datagram(struct __sk_buff *skb, struct packet *p,
					  struct datagram *d)
{
	if (p->v6 && is_ext_header(p->proto)) {
		const int link = link_header_bytes(skb);
		if (link < 0 || walk_ext_headers(skb, (__u32)link, p) != PARSED)
			return false;
	}
	if (p->proto != PROTO_UDP || p->fragment == FRAGMENT_LATER)
		return false;
	__builtin_memset(d, 0, sizeof(*d));
	if (load_from_ip(skb, p->l4, d, sizeof(*d)) &&
	    load_from_ip(skb, p->l4, d, UDP_HEADER_BYTES))
		return false;
	p->src_port_be = d->src_port_be;
	p->dst_port_be = d->dst_port_be;
	return true;
}

static __always_inline const struct sp_path_settings *path_settings(void)
{
	const __u32 zero = 0;
	const struct sp_settings *s = bpf_map_lookup_elem(&settings, &zero);
	return s && s->path.wg_port_be ? &s->path : NULL;
}

static __always_inline void count_path(const struct __sk_buff *skb, __u32 what)
{
	__u64 *count = bpf_map_lookup_elem(&path_counts, &what);
	if (count)
		*count += skb->gso_segs ? skb->gso_segs : 1;
}

/// A port in a UDP header at `l4`, and its checksum. The store leaves the sum over the whole
/// packet (CHECKSUM_COMPLETE) alone: what the port adds to it, the checksum takes away.
static __always_inline bool store_port(struct __sk_buff *skb, __u32 l4, __u32 at, __be16 from_be,
				       __be16 to_be)
{
	return bpf_l4_csum_replace(skb, l4 + UDP_CHECKSUM_AT, from_be, to_be,
				   BPF_F_MARK_MANGLED_0 | 2) == 0 &&
	       bpf_skb_store_bytes(skb, l4 + at, &to_be, sizeof(to_be), 0) == 0;
}
