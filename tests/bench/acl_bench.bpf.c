/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// The judgement and its baselines over one list of flows. Each program writes the next flow's
/// addresses and ports into the packet; what it does then is what differs.
#include <linux/pkt_cls.h>

#include "bpf/lib/count.h"
#include "bpf/lib/judge.h"

#define FLOWS 65536

struct flow_ends {
	__be32 src_be, dst_be;
	__be16 src_port_be, dst_port_be;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FLOWS);
	__type(key, __u32);
	__type(value, struct flow_ends);
} order SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FLOWS);
	__type(key, struct sp_flow_key);
	__type(value, struct sp_flow);
} lru SEC(".maps");

__u32 cursor;
__u64 found;

static __always_inline const struct flow_ends *write_next(struct __sk_buff *skb)
{
	const __u32 index = cursor++ % FLOWS;
	const struct flow_ends *ends = bpf_map_lookup_elem(&order, &index);
	__u8 *data = (__u8 *)(long)skb->data;
	if (!ends || data + 28 > (__u8 *)(long)skb->data_end)
		return NULL;
	*(__be32 *)(data + 12) = ends->src_be;
	*(__be32 *)(data + 16) = ends->dst_be;
	*(__be16 *)(data + 20) = ends->src_port_be;
	*(__be16 *)(data + 22) = ends->dst_port_be;
	return ends;
}

SEC("tc")
int only_write(struct __sk_buff *skb)
{
	return write_next(skb) ? 0 : TC_ACT_SHOT;
}

SEC("tc")
int lru_lookup(struct __sk_buff *skb)
{
	const struct flow_ends *ends = write_next(skb);
	if (!ends)
		return TC_ACT_SHOT;
	struct sp_flow_key key __attribute__((aligned(8))) = {.proto = PROTO_UDP};
	((struct address *)&key)[0] = address_v4(ends->src_be);
	((struct address *)&key)[1] = address_v4(ends->dst_be);
	key.peer_port_be = ends->src_port_be;
	key.other_port_be = ends->dst_port_be;
	if (bpf_map_lookup_elem(&lru, &key))
		found++;
	return 0;
}

static __attribute__((noinline)) int judge_in(struct __sk_buff *skb, struct packet *p,
					      struct judgement *j)
{
	judge(skb, SP_HOOK_TAILNET_IN, p, j);
	return j->verdict <= SP_LAST_ALLOW;
}

/// tailnet_in, less its actions.
SEC("tc")
int judge_all(struct __sk_buff *skb)
{
	struct packet p;
	struct judgement j;
	if (!write_next(skb))
		return TC_ACT_SHOT;
	const bool allowed = judge_in(skb, &p, &j);
	account(skb, &p, &j, true);
	return allowed ? 0 : TC_ACT_SHOT;
}

/// One pass of the reaper over a full table.
SEC("tc")
int reap_all(struct __sk_buff *skb)
{
	found += reap();
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
