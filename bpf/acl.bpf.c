/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// The access rules, on the WireGuard device: tailnet_in judges what comes out of the tunnel,
/// tailnet_out what goes into it.
#include "bpf/lib/answer.h"
#include "bpf/lib/count.h"
#include "bpf/lib/judge.h"
#include "bpf/lib/mss.h"

#define NEXT (-1) /* TCX_NEXT, and to clsact TC_ACT_UNSPEC */

/// Our answer to a denied packet comes round: it is not judged.
static __always_inline bool is_own_answer(struct __sk_buff *skb, __u32 hook)
{
	if (answer_mark == 0 || (skb->mark & answer_mark) != answer_mark)
		return false;
	skb->mark &= ~answer_mark;
	count_verdict(skb, hook, SP_ALLOW_ANSWER, skb->len);
	return true;
}

/* Functions of their own: their stack is given back before a packet is acted upon. */
static __attribute__((noinline)) int judge_in(struct __sk_buff *skb, struct packet *p,
					      struct judgement *j)
{
	judge(skb, SP_HOOK_TAILNET_IN, p, j);
	return j->verdict <= SP_LAST_ALLOW;
}

static __attribute__((noinline)) int judge_out(struct __sk_buff *skb, struct packet *p,
					       struct judgement *j)
{
	judge(skb, SP_HOOK_TAILNET_OUT, p, j);
	return j->verdict <= SP_LAST_ALLOW;
}

SEC("tc")
int tailnet_in(struct __sk_buff *skb)
{
	struct packet p;
	struct judgement j;
	if (is_own_answer(skb, SP_HOOK_TAILNET_IN))
		return NEXT;
	const bool allowed = judge_in(skb, &p, &j);
	account(skb, &p, &j, true);
	if (!allowed)
		return answer(skb, &p, &j);
	clamp_mss(skb, &p);
	return NEXT;
}

SEC("tc")
int tailnet_out(struct __sk_buff *skb)
{
	struct packet p;
	struct judgement j;
	if (is_own_answer(skb, SP_HOOK_TAILNET_OUT))
		return NEXT;
	const bool allowed = judge_out(skb, &p, &j);
	account(skb, &p, &j, false);
	if (!allowed)
		return answer(skb, &p, &j);
	clamp_mss(skb, &p);
	return NEXT;
}

/// Run once by the loader (BPF_PROG_TEST_RUN), after each load: the timer goes on with this
/// version.
SEC("tc")
int reaper_start(struct __sk_buff *skb)
{
	return (int)start_reaper();
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
