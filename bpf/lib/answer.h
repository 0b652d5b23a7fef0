/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// A denied packet is turned round where it is denied, so that whoever sent it learns of it at once
/// instead of waiting: TCP gets a RST, everything else ICMP "administratively prohibited". The skb
/// itself becomes the answer, from the address that it went to: that is inside what the peer
/// accepts from us, and no martian where the answer comes in.
///
/// A peer's packet is sent back out of the device it came by; a LAN host's (or our own), on its way
/// into the tunnel, comes back in by it. So the answer meets our programs a second time, and a mark
/// lets it through. Only for devices without a link header.
///
/// No packet pointers here, so no helper can invalidate any.
#pragma once

#include <linux/pkt_cls.h>
#include <stddef.h>

#include "bpf/lib/flow.h"

/// Mark of our answers. WireGuard clears the mark of what it decrypts, so no peer can forge it. Set
/// by the loader; 0: nothing is answered.
const volatile __u32 answer_mark = 0x01000000;

#define ANSWER_TTL	64
#define PROTO_TSMP	99   /* a Tailscale client's own control messages */
#define V6_MOST_QUOTED	1232 /* IPV6_MIN_MTU less two headers. Source: RFC 4443 2.4 (c) */
#define V4_QUOTED_L4	8    /* Source: RFC 792 */
#define ICMP_HEAD_BYTES 8
#define SUM_BLOCK	128 /* bytes; a power of two */

/// Of either family; linux/icmp.h wants a libc.
struct icmp_head {
	__u8 type, code;
	__sum16 check;
	__be32 unused;
};
/// Source: Tailscale net/packet/tsmp.go, TailscaleRejectedHeader.
struct tsmp_reject {
	__u8 type;   /* '!' */
	__u8 proto;  /* of what was refused */
	__u8 reason; /* 'A': by access rules */
	__be16 src_port_be, dst_port_be;
} __attribute__((packed));

static __always_inline __u32 ip_bytes(const struct packet *p)
{
	return p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
}

static __always_inline __sum16 fold_sum(__s64 sum)
{
	__u32 folded = (__u32)sum;
	folded = (folded & 0xffff) + (folded >> 16);
	folded = (folded & 0xffff) + (folded >> 16);
	return (__sum16)~folded;
}

/// Either address may be in it: the order does not matter to a sum, and the mapped prefix of two
/// IPv4 addresses adds up to zero (ffff twice).
static __always_inline __s64 pseudo_sum(const struct packet *p, __u32 bytes, __u8 proto)
{
	__be32 tail[2] = {bpf_htonl(bytes), bpf_htonl(proto)};
	const __s64 sum = bpf_csum_diff(NULL, 0, (__be32 *)&p->src, 2 * sizeof(p->src), 0);
	return bpf_csum_diff(NULL, 0, tail, sizeof(tail), (__wsum)sum);
}

/// Does anybody wait for an answer to this, and may there be one? Never to errors, to what was no
/// first part, nor to anything that is not one host's. Source: RFC 1122 3.2.2, RFC 4443 2.4 (e).
static __always_inline bool is_answerable(const struct __sk_buff *skb, const struct packet *p)
{
	if (skb->gso_size || p->fragment == FRAGMENT_LATER || p->proto == PROTO_TSMP)
		return false;
	if (p->icmp_kind != ICMP_NONE || p->proto == PROTO_ICMP || p->proto == PROTO_ICMP6) {
		if (p->icmp_type != (p->v6 ? 128 : 8)) /* echo request */
			return false;
	}
	if (p->tcp_flags & TCP_RST)
		return false;
	if (p->v6) {
		const __u64 high = address_high(&p->src);
		return high >> 56 != 0xff && (high | address_low(&p->src) >> 1) != 0; /* ::, ::1 */
	}
	const __u32 from = (__u32)address_low(&p->src);
	return from >> 24 != 0 && from >> 24 != 127 && from >> 28 < 0xe;
}

/// GCRA in one word. Whoever loses the exchange stays silent: another CPU is answering this peer.
static __always_inline bool take_answer(struct sp_peer *peer, const struct sp_settings *s,
					__u64 now_ns)
{
	const __u64 full = *(const volatile __u64 *)&peer->answers_full_ns;
	const __u64 base = full > now_ns ? full : now_ns;
	if (base - now_ns > s->answer_burst_ns)
		return false;
	return __sync_val_compare_and_swap(&peer->answers_full_ns, full,
					   base + s->answer_interval_ns) == full;
}

/// The answer's IP header, with `payload` bytes behind it. 0: done.
static __attribute__((noinline)) int write_ip(struct __sk_buff *skb, const struct packet *p,
					      __u16 payload, __u8 proto)
{
	if (p->v6) {
		struct ipv6hdr ip = {
		    .version = 6,
		    .payload_len = bpf_htons(payload),
		    .nexthdr = proto,
		    .hop_limit = ANSWER_TTL,
		};
		__builtin_memcpy(&ip.saddr, &p->dst, 16);
		__builtin_memcpy(&ip.daddr, &p->src, 16);
		return (int)bpf_skb_store_bytes(skb, 0, &ip, sizeof(ip), 0);
	}
	struct iphdr ip = {
	    .version = 4,
	    .ihl = 5,
	    .tot_len = bpf_htons(sizeof(ip) + payload),
	    .frag_off = bpf_htons(0x4000), /* whole, and not to be cut */
	    .ttl = ANSWER_TTL,
	    .protocol = proto,
	    .saddr = bpf_htonl((__u32)address_low(&p->dst)),
	    .daddr = bpf_htonl((__u32)address_low(&p->src)),
	};
	ip.check = fold_sum(bpf_csum_diff(NULL, 0, (__be32 *)&ip, sizeof(ip), 0));
	return (int)bpf_skb_store_bytes(skb, 0, &ip, sizeof(ip), 0);
}

/// Options and extension headers go, from the front: the kernel refuses to cut a packet's tail
/// below its transport header, and a checksum that is still to be filled in moves along.
static __always_inline long strip_options(struct __sk_buff *skb, const struct packet *p)
{
	const __s32 surplus = (__s32)(p->l4 - ip_bytes(p));
	return surplus ? bpf_skb_adjust_room(skb, -surplus, BPF_ADJ_ROOM_MAC, 0) : 0;
}

/// `refused`: the TCP header that was in the packet. 0: done. Source: RFC 9293 3.10.7.1.
static __always_inline long turn_into_rst(struct __sk_buff *skb, const struct packet *p,
					  const struct tcphdr *refused)
{
	const __u32 data = p->length - p->l4 - refused->doff * 4u;
	struct tcphdr rst = {
	    .source = refused->dest,
	    .dest = refused->source,
	    .doff = 5,
	    .rst = 1,
	    .check = 0xffff, /* zero to a sum, whether it is to be completed or not */
	};
	if (refused->ack) {
		rst.seq = refused->ack_seq;
	} else {
		rst.ack = 1;
		rst.ack_seq =
		    bpf_htonl(bpf_ntohl(refused->seq) + data + refused->syn + refused->fin);
	}
	const __u32 at = ip_bytes(p), check = at + offsetof(struct tcphdr, check);
	if (bpf_skb_change_tail(skb, at + sizeof(rst), 0) ||
	    write_ip(skb, p, sizeof(rst), PROTO_TCP) ||
	    bpf_skb_store_bytes(skb, at, &rst, sizeof(rst), 0))
		return -1;
	/* Where the checksum is left to the device (CHECKSUM_PARTIAL), the field holds the pseudo
	 * header's sum and the second call does nothing; else it holds both. */
	const __u64 pseudo = (__u64)pseudo_sum(p, sizeof(rst), PROTO_TCP);
	const __u64 header = (__u64)bpf_csum_diff(NULL, 0, (__be32 *)&rst, sizeof(rst), 0);
	if (bpf_l4_csum_replace(skb, check, 0, pseudo, BPF_F_PSEUDO_HDR))
		return -1;
	return bpf_l4_csum_replace(skb, check, 0, header, 0);
}

/// What a Tailscale client shows instead of a bare "connection refused".
static __always_inline long turn_into_tsmp(struct __sk_buff *skb, const struct packet *p)
{
	const struct tsmp_reject reject = {
	    .type = '!',
	    .proto = PROTO_TCP,
	    .reason = 'A',
	    .src_port_be = p->src_port_be,
	    .dst_port_be = p->dst_port_be,
	};
	if (bpf_skb_change_tail(skb, ip_bytes(p) + sizeof(reject), 0) ||
	    write_ip(skb, p, sizeof(reject), PROTO_TSMP))
		return -1;
	return bpf_skb_store_bytes(skb, ip_bytes(p), &reject, sizeof(reject), 0);
}

/// Adds the `bytes` bytes at `at` to a sum. Negative: they cannot be read.
static __attribute__((noinline)) __s64 sum_of(struct __sk_buff *skb, __u32 at, __u32 bytes,
					      __u32 sum)
{
	__be32 block[SUM_BLOCK / 4];
#pragma clang loop unroll(full)
	for (int i = 0; i <= (V6_MOST_QUOTED + ICMP_HEAD_BYTES) / SUM_BLOCK; i++) {
		if (bytes >= SUM_BLOCK) {
			if (bpf_skb_load_bytes(skb, at, block, SUM_BLOCK))
				return -1;
			sum = (__u32)bpf_csum_diff(NULL, 0, block, SUM_BLOCK, sum);
			at += SUM_BLOCK;
			bytes -= SUM_BLOCK;
			continue;
		}
		if (bytes == 0)
			return sum;
		/* 1 to 128, where it is used: Linux 6.1 does not remember that it is not 0. */
		__u64 part = bytes - 1;
		asm volatile("%0 &= 127\n%0 += 1" : "+r"(part));
		__builtin_memset(block, 0, sizeof(block));
		if (bpf_skb_load_bytes(skb, at, block, (__u32)part))
			return -1;
		return (__u32)bpf_csum_diff(NULL, 0, block, SUM_BLOCK, sum);
	}
	return sum;
}

/// A packet built on this box (and one from a virtual machine) may leave its checksum to the
/// device, at a place that is now inside the quote, where it would be written over. No helper
/// cancels that, but pulling the place off the front of the packet does; then it is put back.
static __attribute__((noinline)) int forget_partial_checksum(struct __sk_buff *skb, __u32 v6)
{
	__u8 front[44]; /* up to the transport header's fifth byte: the place may not be before */
	const __s32 bytes = v6 ? 44 : 24;
	const __u32 least = v6 ? 84 : 44,
		    length = skb->len; /* the kernel wants an IP header left */
	if (length < least && bpf_skb_change_tail(skb, least, 0))
		return -1;
	if (v6 ? bpf_skb_load_bytes(skb, 0, front, 44) : bpf_skb_load_bytes(skb, 0, front, 24))
		return -1;
	if (bpf_skb_adjust_room(skb, -bytes, BPF_ADJ_ROOM_MAC, 0) ||
	    bpf_skb_adjust_room(skb, bytes, BPF_ADJ_ROOM_MAC, 0))
		return -1;
	if (v6 ? bpf_skb_store_bytes(skb, 0, front, 44, 0)
	       : bpf_skb_store_bytes(skb, 0, front, 24, 0))
		return -1;
	return length < least ? (int)bpf_skb_change_tail(skb, length, 0) : 0;
}

/// `on_the_way_out`: towards a peer, where checksums may be open. 0: done.
static __attribute__((noinline)) int turn_into_icmp(struct __sk_buff *skb, const struct packet *p,
						    __u32 on_the_way_out)
{
	const __u32 most = p->v6 ? V6_MOST_QUOTED : p->l4 + V4_QUOTED_L4;
	const __u32 quoted = p->length < most ? p->length : most;
	const __u32 head_at = ip_bytes(p), payload = ICMP_HEAD_BYTES + quoted;
	struct icmp_head head = {.type = p->v6 ? 1 : 3, .code = p->v6 ? 1 : 13};
	/* A fragment's checksum is complete. Behind options the place is where we do not reach:
	 * rather silence than a wrong answer. */
	if (on_the_way_out && !p->fragment &&
	    (p->l4 != head_at || forget_partial_checksum(skb, p->v6)))
		return -1;
	/* Room by adjust_room: change_head would leave the network header behind, and the redirect
	 * pulls off everything in front of that. */
	if (bpf_skb_change_tail(skb, quoted, 0) ||
	    bpf_skb_adjust_room(skb, (__s32)(head_at + ICMP_HEAD_BYTES), BPF_ADJ_ROOM_MAC, 0))
		return -1;
	const __u8 proto = p->v6 ? PROTO_ICMP6 : PROTO_ICMP;
	__s64 sum = p->v6 ? pseudo_sum(p, payload, proto) : 0;
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&head, sizeof(head), (__wsum)sum);
	sum = sum_of(skb, head_at + ICMP_HEAD_BYTES, quoted, (__u32)sum);
	if (sum < 0)
		return -1;
	head.check = fold_sum(sum);
	if (write_ip(skb, p, (__u16)payload, proto))
		return -1;
	return (int)bpf_skb_store_bytes(skb, head_at, &head, sizeof(head), 0);
}

/// Answers a SYN or another TCP packet. 0: done.
static __attribute__((noinline)) int turn_tcp(struct __sk_buff *skb, const struct packet *p,
					      __u32 with_tsmp)
{
	struct tcphdr refused;
	if (bpf_skb_load_bytes(skb, p->l4, &refused, sizeof(refused)) || strip_options(skb, p))
		return -1;
	/* Before the RST: the copy is made of what lies in the skb. */
	if (with_tsmp && refused.syn && !refused.ack) {
		if (turn_into_tsmp(skb, p))
			return -1;
		bpf_clone_redirect(skb, skb->ifindex, 0);
	}
	return (int)turn_into_rst(skb, p, &refused);
}

/// What to do with a denied packet, which has been counted: TC_ACT_SHOT, or on its way as an
/// answer.
static __attribute__((noinline)) int answer(struct __sk_buff *skb, const struct packet *p,
					    const struct judgement *j)
{
	const __u32 zero = 0;
	const bool from_peer = j->hook == SP_HOOK_TAILNET_IN;
	const struct sp_settings *s = bpf_map_lookup_elem(&settings, &zero);
	/* No peer: malformed, forged, or nobody's. Whom would we answer, and from whose share? */
	struct sp_peer *peer = peer_at(j->peer);
	if (!s || !peer || !(s->flags & SP_DENY_REJECT) || answer_mark == 0)
		return TC_ACT_SHOT;
	if (!is_answerable(skb, p) || !take_answer(peer, s, j->now_ns))
		return TC_ACT_SHOT;
	skb->mark |= answer_mark;
	const int fault = p->proto == PROTO_TCP && !p->fragment
			      ? turn_tcp(skb, p, from_peer && peer->flags & SP_PEER_TSMP)
			      : turn_into_icmp(skb, p, !from_peer);
	if (fault)
		return TC_ACT_SHOT;
	return (int)bpf_redirect(skb->ifindex, from_peer ? 0 : BPF_F_INGRESS);
}
