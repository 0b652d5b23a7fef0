/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// A packet as values, and how it is read. WireGuard devices have no link header: data starts with
/// IP, and the family is the first nibble (skb->protocol is not looked at).
#pragma once

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/abi/verdict.h"

/// 16 bytes in network order; IPv4 as ::ffff:a.b.c.d, as in bpf/abi and agent/model/ip.
struct address {
	__be64 high_be, low_be;
};

enum fragment_kind {
	FRAGMENT_NONE,
	FRAGMENT_FIRST, /* has the transport header */
	FRAGMENT_LATER, /* has none: ports, flags and types are 0 */
};
enum icmp_kind {
	ICMP_NONE,    /* not ICMP */
	ICMP_REQUEST, /* echo or timestamp: the identifier is in both ports */
	ICMP_REPLY,   /* likewise */
	ICMP_ERROR,   /* quotes a packet that went the other way */
	ICMP_OTHER,
};
enum tcp_flags { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };

struct packet {
	struct address src, dst; /* side by side: a pseudo header's sum runs over both */
	__u32 length;		 /* of the IP packet by its own header; GSO: of the whole */
	__u32 l4;		 /* offset of the transport header from the IP header */
	__u32 fragment_id_be;	 /* IPv4: 16 bits */
	__be16 src_port_be, dst_port_be;
	__u8 v6;
	__u8 proto;    /* IPv4 protocol, or the last IPv6 next header */
	__u8 fragment; /* enum fragment_kind */
	__u8 fragment_proto;
	__u8 tcp_flags; /* enum tcp_flags; 0 but for TCP */
	__u8 icmp_type;
	__u8 icmp_kind; /* enum icmp_kind */
	__u8 pad;
};

/// What was decided about a packet, and by what.
struct judgement {
	__u64 word;    /* the policy word under which it was judged; 0: not judged by a policy */
	__u64 now_ns;  /* CLOCK_MONOTONIC_COARSE, read once a packet */
	__u32 peer;    /* index into "peers"; 0: not known */
	__u32 verdict; /* enum sp_verdict */
	__u16
	    rule;  /* counter index of the rule that allows it, or once allowed its flow; 0: none */
	__u8 hook; /* enum sp_hook */
	__u8 pad[5];
};

/// Not a verdict: the packet is well formed and goes on to be judged.
#define PARSED (-1)

#define PROTO_ICMP	  1
#define PROTO_TCP	  6
#define PROTO_UDP	  17
#define PROTO_ICMP6	  58
#define PROTO_SCTP	  132
#define EXT_HOP_BY_HOP	  0
#define EXT_ROUTING	  43
#define EXT_FRAGMENT	  44
#define EXT_DESTINATION	  60
#define MOST_EXT_HEADERS  6
#define MAPPED_PREFIX_BE  bpf_htonl(0xffff)
#define MOST_HEADER_BYTES 80 /* IPv4 with options and TCP: what is made linear at once */
#define LEAST_LATER_FRAGMENT                                                                       \
	10 /* units of 8: an IP header and a TCP header may fill 80 bytes.                         \
	      Source: net/packet minFragBlks */

static __always_inline struct address address_v4(__be32 address_be)
{
	union {
		struct address address;
		__be32 words_be[4];
	} out = {.words_be = {0, 0, MAPPED_PREFIX_BE, address_be}};
	return out.address;
}
static __always_inline bool same_address(const struct address *a, const struct address *b)
{
	return a->high_be == b->high_be && a->low_be == b->low_be;
}
/// Halves in host order, as the policy's tables want them.
static __always_inline __u64 address_high(const struct address *a)
{
	return bpf_be64_to_cpu(a->high_be);
}
static __always_inline __u64 address_low(const struct address *a)
{
	return bpf_be64_to_cpu(a->low_be);
}
static __always_inline bool is_mapped_v4(const struct address *a)
{
	return a->high_be == 0 && address_low(a) >> 32 == 0xffff;
}

static __always_inline __u8 icmp_kind_of(bool v6, __u8 type)
{
	if (v6) {
		if (type >= 1 && type <= 4)
			return ICMP_ERROR;
		return type == 128 ? ICMP_REQUEST : type == 129 ? ICMP_REPLY : ICMP_OTHER;
	}
	switch (type) {
	case 8:
	case 13:
		return ICMP_REQUEST;
	case 0:
	case 14:
		return ICMP_REPLY;
	case 3:	 /* unreachable */
	case 4:	 /* source quench */
	case 5:	 /* redirect */
	case 11: /* time exceeded */
	case 12: /* parameter problem */
		return ICMP_ERROR;
	default:
		return ICMP_OTHER;
	}
}

/// The first 20 bytes of any transport header.
struct l4_head {
	__be16 src_port_be, dst_port_be; /* ICMP: type, code, checksum */
	__be16 third_be, fourth_be;	 /* ICMP query: identifier, sequence number */
	__u32 middle;
	__u8 tcp_offset, tcp_flags;
};

/// Bytes of transport header without which a packet of this protocol means nothing.
static __always_inline __u32 least_l4_bytes(__u8 proto)
{
	switch (proto) {
	case PROTO_TCP:
		return 20;
	case PROTO_UDP:
	case PROTO_ICMP:
	case PROTO_ICMP6:
		return 8;
	case PROTO_SCTP:
		return 12;
	default:
		return 0;
	}
}

/// Ports, or what stands for them, from the first 8 bytes of a transport header.
static __always_inline void parse_ports(struct packet *p, const struct l4_head *head)
{
	switch (p->proto) {
	case PROTO_TCP:
	case PROTO_UDP:
	case PROTO_SCTP:
		p->src_port_be = head->src_port_be;
		p->dst_port_be = head->dst_port_be;
		break;
	case PROTO_ICMP:
	case PROTO_ICMP6:
		p->icmp_type = *(const __u8 *)head;
		p->icmp_kind = icmp_kind_of(p->v6, p->icmp_type);
		if (p->icmp_kind == ICMP_REQUEST || p->icmp_kind == ICMP_REPLY)
			p->src_port_be = p->dst_port_be = head->third_be;
		break;
	}
}

static __always_inline bool is_ext_header(__u8 proto)
{
	return proto == EXT_HOP_BY_HOP || proto == EXT_ROUTING || proto == EXT_FRAGMENT ||
	       proto == EXT_DESTINATION;
}

/// Walks over extension headers up to the transport header, or to a later fragment's data.
/// `at`: offset of the IPv6 header. PARSED or a verdict. Unrolled: Linux 6.1 refuses a loop whose
/// end lies right before its beginning, which is how clang likes to lay it out.
static __attribute__((noinline)) int walk_ext_headers(struct __sk_buff *skb, __u32 at,
						      struct packet *p)
{
#pragma clang loop unroll(full)
	for (int i = 0; i <= MOST_EXT_HEADERS; i++) {
		struct {
			__u8 next, length;
			__be16 offset_be;
			__u32 id_be;
		} ext;
		if (!is_ext_header(p->proto))
			return PARSED;
		if (i == MOST_EXT_HEADERS)
			break;
		if (p->l4 + sizeof(ext) > p->length ||
		    bpf_skb_load_bytes(skb, at + p->l4, &ext, sizeof(ext)))
			return SP_DROP_TOO_SHORT;
		if (p->proto != EXT_FRAGMENT) {
			p->l4 += (ext.length + 1u) * 8;
			p->proto = ext.next;
			continue;
		}
		if (p->fragment)
			return SP_DROP_EXT_HEADERS;
		p->l4 += 8;
		p->proto = p->fragment_proto = ext.next;
		p->fragment_id_be = ext.id_be;
		__u32 units = bpf_ntohs(ext.offset_be) >> 3;
		if (units) {
			p->fragment = FRAGMENT_LATER;
			return units < LEAST_LATER_FRAGMENT ? SP_DROP_FRAGMENT_TINY : PARSED;
		}
		if (ext.offset_be & bpf_htons(1))
			p->fragment = FRAGMENT_FIRST;
	}
	return SP_DROP_EXT_HEADERS;
}

static __always_inline void parse_v4_fragment(struct packet *p, const struct iphdr *ip)
{
	if (ip->frag_off & bpf_htons(0x1fff))
		p->fragment = FRAGMENT_LATER;
	else if (ip->frag_off & bpf_htons(0x2000))
		p->fragment = FRAGMENT_FIRST;
	else
		return;
	p->fragment_id_be = ip->id;
	p->fragment_proto = p->proto;
}

/// Lengths against what is there. A GSO packet of more than 65,535 bytes says 0 (BIG TCP).
static __always_inline bool check_length(const struct __sk_buff *skb, struct packet *p,
					 bool none_said)
{
	if (none_said && skb->gso_size)
		p->length = skb->len;
	return p->length >= p->l4 && p->length <= skb->len;
}

static __always_inline int parse_v4(struct __sk_buff *skb, struct packet *p, const struct iphdr *ip)
{
	p->l4 = ip->ihl * 4u;
	p->length = bpf_ntohs(ip->tot_len);
	p->proto = ip->protocol;
	p->src = address_v4(ip->saddr);
	p->dst = address_v4(ip->daddr);
	if (p->l4 < sizeof(*ip) || !check_length(skb, p, p->length == 0))
		return SP_DROP_MALFORMED;
	if (p->proto == PROTO_ICMP6)
		return SP_DROP_MALFORMED;
	if (ip->frag_off & bpf_htons(0x3fff)) {
		parse_v4_fragment(p, ip);
		if (p->fragment == FRAGMENT_LATER &&
		    (bpf_ntohs(ip->frag_off) & 0x1fff) < LEAST_LATER_FRAGMENT)
			return SP_DROP_FRAGMENT_TINY;
	}
	return PARSED;
}

static __always_inline int parse_v6(struct __sk_buff *skb, struct packet *p,
				    const struct ipv6hdr *ip)
{
	__u16 payload = bpf_ntohs(ip->payload_len);
	p->v6 = 1;
	p->l4 = sizeof(*ip);
	p->length = sizeof(*ip) + payload;
	p->proto = ip->nexthdr;
	__builtin_memcpy(&p->src, &ip->saddr, 16);
	__builtin_memcpy(&p->dst, &ip->daddr, 16);
	/* ::ffff:a.b.c.d on the wire would be taken for IPv4 from here on. */
	if (!check_length(skb, p, payload == 0) || is_mapped_v4(&p->src) || is_mapped_v4(&p->dst))
		return SP_DROP_MALFORMED;
	return PARSED;
}

/// The transport header, if this packet has one. The header may lie anywhere behind extension
/// headers.
static __always_inline int parse_l4(struct __sk_buff *skb, struct packet *p)
{
	const __u32 least = least_l4_bytes(p->proto);
	if (p->fragment == FRAGMENT_LATER || least == 0)
		return PARSED;
	const int too_short = p->fragment ? SP_DROP_FRAGMENT_TINY : SP_DROP_TOO_SHORT;
	if (p->length - p->l4 < least)
		return too_short;

	__u64 at = p->l4;
	asm volatile("" : "+r"(at)); /* the check below must bound the register that is added */
	if (at > 0x3fff)
		return SP_DROP_EXT_HEADERS;
	const __u8 *data = (const __u8 *)(long)skb->data;
	const struct l4_head *head = (const struct l4_head *)(data + at);
	if (p->proto == PROTO_TCP) {
		if ((const __u8 *)head + 20 > (const __u8 *)(long)skb->data_end)
			return too_short;
		p->src_port_be = head->src_port_be;
		p->dst_port_be = head->dst_port_be;
		p->tcp_flags = head->tcp_flags;
		const __u32 bytes = (head->tcp_offset >> 4) * 4u;
		if (bytes < 20 || (!p->fragment && bytes > p->length - p->l4))
			return SP_DROP_MALFORMED;
		return PARSED;
	}
	if ((const __u8 *)head + 8 > (const __u8 *)(long)skb->data_end)
		return too_short;
	parse_ports(p, head);
	return PARSED;
}

/// Fills `p`. PARSED, or the verdict (SP_DROP_*) for what cannot be judged. May move packet data.
static __always_inline int parse_packet(struct __sk_buff *skb, struct packet *p)
{
	__builtin_memset(p, 0, sizeof(*p));
	if (skb->len < sizeof(struct iphdr))
		return SP_DROP_TOO_SHORT;
	__u64 want = skb->len < MOST_HEADER_BYTES ? skb->len : MOST_HEADER_BYTES;
	if (skb->data + want > skb->data_end && bpf_skb_pull_data(skb, (__u32)want))
		return SP_DROP_TOO_SHORT;
	const __u8 *data = (const __u8 *)(long)skb->data, *end = (const __u8 *)(long)skb->data_end;
	if (data + sizeof(struct iphdr) > end)
		return SP_DROP_TOO_SHORT;
	int fault;
	if (data[0] >> 4 == 4) {
		fault = parse_v4(skb, p, (const struct iphdr *)data);
	} else if (data[0] >> 4 == 6) {
		if (data + sizeof(struct ipv6hdr) > end)
			return SP_DROP_TOO_SHORT;
		fault = parse_v6(skb, p, (const struct ipv6hdr *)data);
		if (fault == PARSED && is_ext_header(p->proto)) {
			fault = walk_ext_headers(skb, 0, p);
			if (fault == PARSED && p->l4 > p->length)
				fault = SP_DROP_TOO_SHORT;
			if (fault == PARSED && p->l4 + 20 > MOST_HEADER_BYTES)
				bpf_skb_pull_data(skb,
						  p->l4 + 20 < skb->len ? p->l4 + 20 : skb->len);
		}
		if (fault == PARSED && p->proto == PROTO_ICMP)
			fault = SP_DROP_MALFORMED;
	} else {
		return SP_DROP_MALFORMED;
	}
	return fault == PARSED ? parse_l4(skb, p) : fault;
}

/// The packet that an ICMP error at `at` (offset of the quote) quotes. Only addresses, protocol and
/// ports: a quote is cut after 8 bytes of its transport header. False: nothing to find a flow by.
static __always_inline bool parse_quote(struct __sk_buff *skb, __u32 at, bool v6, struct packet *p)
{
	struct l4_head head = {};
	__builtin_memset(p, 0, sizeof(*p));
	if (v6) {
		struct ipv6hdr ip;
		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 6)
			return false;
		p->v6 = 1;
		p->l4 = sizeof(ip);
		p->proto = ip.nexthdr;
		p->length = skb->len - at; /* what is there of it */
		__builtin_memcpy(&p->src, &ip.saddr, 16);
		__builtin_memcpy(&p->dst, &ip.daddr, 16);
		if (is_mapped_v4(&p->src) || is_mapped_v4(&p->dst) || p->proto == PROTO_ICMP)
			return false;
		if (is_ext_header(p->proto) && walk_ext_headers(skb, at, p) != PARSED)
			return false;
	} else {
		struct iphdr ip;
		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
			return false;
		p->l4 = ip.ihl * 4u;
		p->proto = ip.protocol;
		p->src = address_v4(ip.saddr);
		p->dst = address_v4(ip.daddr);
		if (p->proto == PROTO_ICMP6)
			return false;
		parse_v4_fragment(p, &ip);
	}
	if (p->fragment == FRAGMENT_LATER)
		return false;
	if (least_l4_bytes(p->proto) && bpf_skb_load_bytes(skb, at + p->l4, &head, 8))
		return false;
	parse_ports(p, &head);
	return p->icmp_kind != ICMP_ERROR && p->icmp_kind != ICMP_OTHER;
}
