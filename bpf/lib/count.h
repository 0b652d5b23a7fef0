/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// Every outcome has a name and a counter; a drop has an event too, as many as the rate allows.
#pragma once

#include "bpf/lib/flow.h"

struct event_limit {
	__u64 full_ns; /* GCRA: when this CPU's bucket is full again */
	__u32 suppressed;
	__u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event_limit);
} event_limits SEC(".maps");

static __always_inline __u32 segments_of(const struct __sk_buff *skb)
{
	return skb->gso_segs ? skb->gso_segs : 1;
}

static __always_inline void count_verdict(const struct __sk_buff *skb, __u32 hook, __u32 verdict,
					  __u32 bytes)
{
	const __u32 index = hook * SP_VERDICT_SLOTS + verdict;
	struct sp_count *count = bpf_map_lookup_elem(&verdicts, &index);
	if (!count)
		return;
	count->packets += segments_of(skb);
	count->bytes += bytes;
}

static __always_inline void count_rule(const struct __sk_buff *skb, __u32 rule, __u64 now_ns,
				       __u32 bytes)
{
	struct sp_rule_hits *hits = bpf_map_lookup_elem(&rule_hits, &rule);
	if (!hits)
		return;
	hits->packets += segments_of(skb);
	hits->bytes += bytes;
	hits->last_ns = now_ns;
}

/// May this CPU report a drop now? If not, the next report says how many were left out.
static __always_inline bool may_report(struct event_limit *limit, const struct sp_settings *s,
				       __u64 now_ns)
{
	const __u64 base = limit->full_ns > now_ns ? limit->full_ns : now_ns;
	if (base - now_ns > s->event_burst_ns)
		return false;
	limit->full_ns = base + s->event_interval_ns;
	return true;
}

/// Writes an event for `drops`, or counts that there is none.
static __attribute__((noinline)) int report_drop(struct __sk_buff *skb, const struct packet *p,
						 const struct judgement *j)
{
	const __u32 zero = 0;
	struct event_limit *limit = bpf_map_lookup_elem(&event_limits, &zero);
	const struct sp_settings *s = bpf_map_lookup_elem(&settings, &zero);
	if (!limit || !s)
		return 0;
	struct sp_drop_event *event = NULL;
	if (may_report(limit, s, j->now_ns))
		event = bpf_ringbuf_reserve(&drop_events, sizeof(*event), 0);
	if (!event) {
		limit->suppressed++;
		return 0;
	}
	event->at_ns = j->now_ns;
	event->word = j->word;
	__builtin_memcpy(event->src_addr, &p->src, 16);
	__builtin_memcpy(event->dst_addr, &p->dst, 16);
	event->src_port_be = p->src_port_be;
	event->dst_port_be = p->dst_port_be;
	event->peer = j->peer;
	event->ifindex = skb->ifindex;
	event->suppressed = limit->suppressed;
	/* Before a port's IP header is its link header. */
	__u32 length = skb->len;
	/* Else both loads become one through a chosen pointer, which the verifier refuses. */
	asm volatile("" : "+r"(length));
	if (j->hook == SP_HOOK_PORT_IN)
		length = p->length;
	event->length = length < 0xffff ? (__u16)length : 0xffff;
	event->rule = j->rule;
	event->proto = p->proto;
	event->verdict = (__u8)j->verdict;
	event->hook = (__u8)j->hook;
	event->icmp_type = p->icmp_type;
	limit->suppressed = 0;
	bpf_ringbuf_submit(event, 0);
	return 1;
}

/// Everything that is counted about one judged packet of the tunnel, which was `from_peer` or not.
static __always_inline void account(struct __sk_buff *skb, const struct packet *p,
				    const struct judgement *j, bool from_peer)
{
	const bool allowed = j->verdict <= SP_LAST_ALLOW;
	const __u32 bytes = skb->len;
	count_verdict(skb, j->hook, j->verdict, bytes);
	if (allowed && j->rule)
		count_rule(skb, j->rule, j->now_ns, bytes);
	struct sp_peer *peer = peer_at(j->peer);
	if (peer && from_peer) {
		if (peer->last_rx_ns != j->now_ns)
			peer->last_rx_ns = j->now_ns;
		if (allowed)
			__sync_fetch_and_add(&peer->rx_bytes, bytes);
	} else if (peer && allowed) {
		if (peer->last_tx_ns != j->now_ns)
			peer->last_tx_ns = j->now_ns;
		__sync_fetch_and_add(&peer->tx_bytes, bytes);
	}
	if (!allowed)
		report_drop(skb, p, j);
}
