/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// Asking the compiled policy. The walk itself is bpf/abi/policy_blob.h, shared with the agent.
#pragma once

#include "bpf/lib/maps.h"
#include "bpf/lib/packet.h"

/// In: the upper part. Out: the lower part, all 0 if there is no such policy.
struct question {
	struct address src, dst;
	__u8 proto;
	__u8 pad[1];
	__u16 port; /* host order: destination port */

	__u16 rule; /* 0: denied */
	__u16 deny_reason;
	__u32 src_peer, dst_peer; /* indices into "peers", 0, or SP_PEER_SELF */
};

/// Which rule of the policy in `slot` serves the question. A function of its own, which the
/// verifier looks at once: the searches would multiply at each place that asks. 0: answered.
__attribute__((noinline)) int ask_policy(__u32 slot, struct question *q)
{
	const __u32 zero = 0;
	if (!q)
		return -1;
	q->rule = 0;
	q->deny_reason = SP_DROP_NO_POLICY;
	q->src_peer = q->dst_peer = 0;
	void *inner = bpf_map_lookup_elem(&policies, &slot);
	if (!inner)
		return -1;
	const __u8 *policy = bpf_map_lookup_elem(inner, &zero);
	if (!policy || ((const struct sp_policy_header *)policy)->magic != SP_POLICY_MAGIC)
		return -1;
	struct sp_policy_address src =
	    sp_policy_address_of(policy, address_high(&q->src), address_low(&q->src));
	struct sp_policy_address dst =
	    sp_policy_address_of(policy, address_high(&q->dst), address_low(&q->dst));
	struct sp_policy_match match = sp_policy_match(policy, src, dst, q->proto, q->port);
	q->rule = match.rule;
	/* A broken policy must not turn a denial into anything else. */
	q->deny_reason = match.deny_reason > SP_LAST_ALLOW && match.deny_reason < SP_VERDICT_COUNT
			     ? match.deny_reason
			     : SP_DROP_NO_RULE;
	q->src_peer = src.peer;
	q->dst_peer = dst.peer;
	return 0;
}

static __always_inline bool is_peer(__u32 index)
{
	return index != 0 && index != SP_PEER_SELF;
}

#define MOST_SLOT_HOPS 4

/// The word that holds now: the settings' one, or what its slot names as its successor. 0: none.
/// The clock is read only where a slot has an end.
static __always_inline __u64 current_word(const struct sp_settings *s)
{
	__u64 word = *(const volatile __u64 *)&s->word;
#pragma clang loop unroll(full)
	for (int i = 0; i < MOST_SLOT_HOPS; i++) {
		const __u32 index = SP_WORD_SLOT(word);
		const struct sp_slot *slot = bpf_map_lookup_elem(&slots, &index);
		if (!slot || slot->valid_until_ns == 0 ||
		    bpf_ktime_get_boot_ns() < slot->valid_until_ns)
			return slot ? word : 0;
		word = slot->next_word;
	}
	return 0;
}
