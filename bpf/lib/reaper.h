/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// Expired flows are taken away in the kernel, by one timer, whether or not a process of ours runs.
#pragma once

#include "bpf/lib/flow.h"

#define REAP_EVERY_NS	 1000000000ull
#define REAP_AT_MOST_NS	 50000000ull /* between two passes asked for by a full table */
#define CLOCK_MONOTONIC_ 1

struct reaper_state {
	struct bpf_timer timer;
	__u64 passes;
	__u64 reaped;
	__u64 began_ns; /* CLOCK_MONOTONIC_COARSE of the last pass */
	__u64 full_ns;	/* when the table was last found full; 0: never */
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct reaper_state);
} reaper SEC(".maps");

struct reap_context {
	__u64 now_ns;
	__u64 reaped;
};

static long reap_one(void *map, struct sp_flow_key *key, struct sp_flow *flow,
		     struct reap_context *context)
{
	const __u32 zero = 0;
	const struct sp_settings *s = bpf_map_lookup_elem(&settings, &zero);
	if (!s)
		return 1;
	const __u64 last_ns = flow->last_ns;
	if (last_ns == 0 || !is_expired(last_ns, context->now_ns,
					timeout_of(s, key->proto, flow->state) + REAP_GRACE_NS))
		return 0;
	if (__sync_val_compare_and_swap(&flow->last_ns, last_ns, 0) != last_ns)
		return 0;
	const __u32 peer = flow->peer;
	if (bpf_map_delete_elem(map, key) == 0) {
		count_flow_out(peer);
		context->reaped++;
	}
	return 0;
}

static __attribute__((noinline)) __u64 reap(void)
{
	struct reap_context context = {.now_ns = bpf_ktime_get_coarse_ns()};
	bpf_for_each_map_elem(&flows, reap_one, &context, 0);
	return context.reaped;
}

static int on_reaper_timer(void *map, __u32 *index, struct reaper_state *state)
{
	state->began_ns = bpf_ktime_get_coarse_ns();
	state->reaped += reap();
	state->passes++;
	bpf_timer_start(&state->timer, REAP_EVERY_NS, 0);
	return 0;
}

/// Starts the timer, or gives a running one this program's callback. 0: done.
static __always_inline long start_reaper(void)
{
	const __u32 zero = 0;
	struct reaper_state *state = bpf_map_lookup_elem(&reaper, &zero);
	if (!state)
		return -1;
	bpf_timer_init(&state->timer, &reaper, CLOCK_MONOTONIC_); /* -EBUSY: it is already */
	long fault = bpf_timer_set_callback(&state->timer, on_reaper_timer);
	return fault ? fault : bpf_timer_start(&state->timer, REAP_EVERY_NS, 0);
}

/// The table is full: look now, unless that has just been done.
static __always_inline void reap_soon(__u64 now_ns)
{
	const __u32 zero = 0;
	struct reaper_state *state = bpf_map_lookup_elem(&reaper, &zero);
	if (!state)
		return;
	state->full_ns = now_ns;
	if (now_ns - state->began_ns > REAP_AT_MOST_NS) {
		state->began_ns = now_ns;
		bpf_timer_start(&state->timer, 0, 0);
	}
}

/// Has the table been full within the last ten seconds? Then a reply may lack its flow for that
/// reason.
static __always_inline bool was_full(__u64 now_ns)
{
	const __u32 zero = 0;
	const struct reaper_state *state = bpf_map_lookup_elem(&reaper, &zero);
	return state && state->full_ns && now_ns - state->full_ns < 10000000000ull;
}
