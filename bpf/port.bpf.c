/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// Every other port of the box: nobody but the tunnel may speak for a peer, and the internet does
/// not reach what lies behind the tunnel. Everything else is none of our business and goes on.
///
/// This runs on each packet that the box receives, so what passes is counted nowhere: the port's
/// own statistics have it. One policy lookup on a LAN, two on a WAN.
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include "bpf/lib/count.h"

#define NEXT	   (-1) /* TCX_NEXT, and to clsact TC_ACT_UNSPEC */
#define VLAN_ID	   0x0fff
#define MOST_L2_L3 (ETH_HLEN + sizeof(struct ipv6hdr))

/// From the IP header on, wherever it begins: the kernel has found it before this program runs,
/// with a link header in front of it (Ethernet) or without (tun, ppp). It reads linear data only,
/// and a driver may have left the headers in a page: then they are fetched. 0: read.
static __always_inline long load_from_ip(struct __sk_buff *skb, __u32 at, void *to, __u32 bytes)
{
	if (bpf_skb_load_bytes_relative(skb, at, to, bytes, BPF_HDR_START_NET) == 0)
		return 0;
	if (bpf_skb_pull_data(skb, skb->len < MOST_L2_L3 ? skb->len : MOST_L2_L3))
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

/// fe80::/10 and 169.254.0.0/16 mean another host on each link, and the tunnel carries none: the
/// provider's router may well be fe80::1, as we are on the LAN.
static __always_inline bool is_link_local(const struct packet *p)
{
	return p->v6 ? address_high(&p->src) >> 54 == 0xfe80 >> 6
		     : (__u32)address_low(&p->src) >> 16 == 0xa9fe;
}

static __always_inline __u32 owner_of(const __u8 *policy, const struct address *a)
{
	return sp_policy_address_of(policy, address_high(a), address_low(a)).peer;
}

/// The policy that holds now; NULL: none, and then the tunnel carries nothing either.
static __always_inline const __u8 *current_policy(__u64 *word)
{
	const __u32 zero = 0;
	const struct sp_settings *s = bpf_map_lookup_elem(&settings, &zero);
	*word = s ? current_word(s) : 0;
	if (!*word)
		return NULL;
	const __u32 slot = SP_WORD_SLOT(*word);
	void *inner = bpf_map_lookup_elem(&policies, &slot);
	const __u8 *policy = inner ? bpf_map_lookup_elem(inner, &zero) : NULL;
	if (!policy || ((const struct sp_policy_header *)policy)->magic != SP_POLICY_MAGIC)
		return NULL;
	return policy;
}

/// SP_ALLOW_FOREIGN or a drop. Our own addresses are nobody else's either: the kernel refuses them
/// as IPv4 sources, but forwards them in IPv6, and the rules would take them for us.
static __attribute__((noinline)) int judge_port(struct packet *p, struct judgement *j, __u32 port)
{
	const __u8 *policy = current_policy(&j->word);
	if (!policy)
		return SP_ALLOW_FOREIGN;
	__u32 owner = is_link_local(p) ? 0 : owner_of(policy, &p->src);
	if (owner) {
		j->peer = is_peer(owner) ? owner : 0;
		return SP_DROP_SPOOFED;
	}
	const __u32 *role = bpf_map_lookup_elem(&ports, &port);
	if (!role || *role != SP_PORT_WAN)
		return SP_ALLOW_FOREIGN;
	owner = owner_of(policy, &p->dst);
	if (!is_peer(owner))
		return SP_ALLOW_FOREIGN;
	j->peer = owner;
	return SP_DROP_TAILNET_FROM_WAN;
}

/// For the event only: what `drops` shows beside the addresses.
static __always_inline void read_ports(struct __sk_buff *skb, struct packet *p)
{
	struct l4_head head = {};
	if (p->fragment != FRAGMENT_LATER &&
	    bpf_skb_load_bytes_relative(skb, p->l4, &head, 8, BPF_HDR_START_NET) == 0)
		parse_ports(p, &head);
}

static __attribute__((noinline)) int drop(struct __sk_buff *skb, struct packet *p,
					  struct judgement *j)
{
	read_ports(skb, p);
	j->now_ns = bpf_ktime_get_coarse_ns();
	count_verdict(skb, SP_HOOK_PORT_IN, j->verdict, p->length);
	report_drop(skb, p, j);
	return TC_ACT_SHOT;
}

SEC("tc")
int port_in(struct __sk_buff *skb)
{
	struct packet p;
	struct judgement j = {.hook = SP_HOOK_PORT_IN};
	const bool v6 = skb->protocol == bpf_htons(ETH_P_IPV6);
	if (!v6 && skb->protocol != bpf_htons(ETH_P_IP))
		return NEXT;
	/* It is the VLAN's, which is a port of its own and may have another role than its carrier.
	 */
	if (skb->vlan_present && skb->vlan_tci & VLAN_ID)
		return NEXT;
	if (read_header(skb, v6, &p))
		j.verdict = (__u32)judge_port(&p, &j, skb->ifindex);
	else
		j.verdict =
		    SP_DROP_TOO_SHORT; /* as the stack would: what cannot be read, cannot pass */
	if (j.verdict <= SP_LAST_ALLOW)
		return NEXT;
	return drop(skb, &p, &j);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
