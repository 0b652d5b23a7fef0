/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// A packet on a port, with a link header in front of IP (Ethernet) or without one (tun, ppp).
#pragma once

#include <linux/if_ether.h>

#include "bpf/lib/packet.h"

/* An Ethernet, an IPv6 and a UDP header, and the first bytes of what that carries. */
#define MOST_LINKED_HEADERS (ETH_HLEN + sizeof(struct ipv6hdr) + 8 + 8)

/// From the IP header on, wherever it begins: the kernel has found it before this program runs.
/// It reads linear data only, and a driver may have left the headers in a page: then they are
/// fetched. 0: read.
static __always_inline long load_from_ip(struct __sk_buff *skb, __u32 at, void *to, __u32 bytes)
{
	if (bpf_skb_load_bytes_relative(skb, at, to, bytes, BPF_HDR_START_NET) == 0)
		return 0;
	if (bpf_skb_pull_data(skb, skb->len < MOST_LINKED_HEADERS ? skb->len : MOST_LINKED_HEADERS))
		return -1;
	return bpf_skb_load_bytes_relative(skb, at, to, bytes, BPF_HDR_START_NET);
}

/// Addresses, protocol and length. False: it ends within its header.
static __always_inline bool read_header(struct __sk_buff *skb, bool v6, struct packet *p)
{
	__builtin_memset(p, 0, sizeof(*p));
	if (v6) {
		struct ipv6hdr ip;
		if (load_from_ip(skb, 0, &ip, sizeof(ip)))
			return false;
		p->v6 = 1;
		p->proto = ip.nexthdr;
		p->l4 = sizeof(ip);
		p->length = sizeof(ip) + bpf_ntohs(ip.payload_len);
		__builtin_memcpy(&p->src, &ip.saddr, 16);
		__builtin_memcpy(&p->dst, &ip.daddr, 16);
		return true;
	}
	struct iphdr ip;
	if (load_from_ip(skb, 0, &ip, sizeof(ip)))
		return false;
	p->proto = ip.protocol;
	p->l4 = ip.ihl * 4u;
	p->length = bpf_ntohs(ip.tot_len);
	p->src = address_v4(ip.saddr);
	p->dst = address_v4(ip.daddr);
	parse_v4_fragment(p, &ip);
	return true;
}

#define NO_LINK_HEADER_KNOWN (-1)

/// Where IP begins, 0 or ETH_HLEN: no helper tells, so the same bytes are read both ways. Only what
/// is about to be rewritten pays for this.
static __attribute__((noinline)) int link_header_bytes(struct __sk_buff *skb)
{
	__u64 ip[2], there[2];
	if (bpf_skb_load_bytes_relative(skb, 0, ip, sizeof(ip), BPF_HDR_START_NET))
		return NO_LINK_HEADER_KNOWN;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, there, sizeof(there)) == 0 && ip[0] == there[0] &&
	    ip[1] == there[1])
		return ETH_HLEN;
	if (bpf_skb_load_bytes(skb, 0, there, sizeof(there)) == 0 && ip[0] == there[0] &&
	    ip[1] == there[1])
		return 0;
	return NO_LINK_HEADER_KNOWN;
}
