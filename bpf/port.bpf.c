/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// Every other port of the box: nobody but the tunnel may speak for a peer, and the internet does
/// not reach what lies behind the tunnel. Everything else is none of our business and goes on.
///
/// This runs on each packet that the box receives, so what passes is counted nowhere: the port's
/// own statistics have it. One policy lookup on a LAN, two on a WAN.
#include "bpf/lib/demux.h"

#define VLAN_ID 0x0fff

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
	/* Our own, a peer's packet that came by a relay. No wire gives a packet a mark. */
	if (skb->mark & lookalike_mark) {
		skb->mark &= ~lookalike_mark;
		count_path(skb, SP_PATH_PINNED_SEEN);
		return NEXT;
	}
	/* It is the VLAN's, which is a port of its own and may have another role than its carrier.
	 */
	if (skb->vlan_present && skb->vlan_tci & VLAN_ID)
		return NEXT;
	if (read_header(skb, v6, &p))
		j.verdict = (__u32)judge_port(&p, &j, skb->ifindex);
	else
		j.verdict =
		    SP_DROP_TOO_SHORT; /* as the stack would: what cannot be read, cannot pass */
	if (j.verdict <= SP_LAST_ALLOW) {
		const int way = demux(skb, &p, &j);
		if (way != TC_ACT_SHOT)
			return way;
	}
	return drop(skb, &p, &j);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
