/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// What a node that holds paths needs beside port_in: port_out, on each port, gives its packets
/// WireGuard's port; loopback_out, on lo, makes what a relay brought look direct. An object of its
/// own, so that a gateway without such a node loads neither.
#include "bpf/lib/pin.h"

/// What goes out by a port, of the node's socket or WireGuard's. The mark tells them from the
/// packets of a LAN host that a masquerade has left on the same port.
static __always_inline void leave(struct __sk_buff *skb, const struct sp_path_settings *s, bool v6)
{
	struct packet p;
	struct datagram d;
	if (!read_header(skb, v6, &p) || !find_datagram(skb, &p, &d))
		return;
	if (d.src_port_be == s->wg_port_be) {
		if (wg_type_of(&d) != WG_INITIATION)
			return;
		struct sp_endpoint_state *e = endpoint_at(&p.dst, d.dst_port_be);
		if (e)
			e->initiation_ns = bpf_ktime_get_coarse_ns();
		return;
	}
	if (d.src_port_be != s->agent_port_be)
		return;
	const int link = link_header_bytes(skb);
	if (link < 0 || !store_port(skb, (__u32)link + p.l4, 0, d.src_port_be, s->wg_port_be))
		count_path(skb, SP_PATH_UNREADABLE);
	else
		count_path(skb, SP_PATH_FROM_NODE);
}

SEC("tc")
int port_out(struct __sk_buff *skb)
{
	const struct sp_path_settings *s = path_settings();
	if (!s || !s->own_mark || (skb->mark & s->own_mark_mask) != s->own_mark)
		return NEXT;
	const bool v6 = skb->protocol == bpf_htons(ETH_P_IPV6);
	if (v6 || skb->protocol == bpf_htons(ETH_P_IP))
		leave(skb, s, v6);
	return NEXT;
}

SEC("tc")
int loopback_out(struct __sk_buff *skb)
{
	struct relayed r;
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return NEXT;
	const struct sp_pin *pin = find_pin(skb, &r);
	if (!pin)
		return NEXT;
	if (!look_direct(skb, &r, pin)) {
		count_path(skb, SP_PATH_UNREADABLE);
		return TC_ACT_SHOT; /* half changed */
	}
	skb->mark = lookalike_mark;
	count_path(skb, SP_PATH_PINNED);
	return (int)ENTERS(pin->ifindex);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
