/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// The MSS of a TCP connection through the tunnel, lowered in both SYNs to what fits into it: path
/// MTU discovery fails wherever somebody swallows ICMP. Costs one test of a flag for all others.
#pragma once

#include <stddef.h>

#include "bpf/lib/flow.h"

#define TCP_CHECK_AT	    16
#define TCP_OFFSET_AT	    12
#define TCP_OPTIONS_AT	    20
#define OPTION_END	    0
#define OPTION_NONE	    1
#define OPTION_MSS	    2
#define OPTION_MSS_BYTES    4
#define MOST_OPTIONS_WALKED 16 /* stacks put the MSS first; 40 would be all that there can be */

struct tcp_option {
	__u8 kind, bytes;
	__be16 mss_be;
};

static __always_inline __u16 swapped_if_odd(__u16 word, __u32 offset)
{
	return offset & 1 ? __builtin_bswap16(word) : word;
}

/// Lowers the MSS option at `at` to `most`. The checksum follows the field: one that the device
/// completes (CHECKSUM_PARTIAL) stays as it is.
static __always_inline int lower_mss(struct __sk_buff *skb, const struct packet *p, __u32 at,
				     __be16 mss_be, __u32 most)
{
	if (bpf_ntohs(mss_be) <= most)
		return 0;
	const __be16 most_be = bpf_htons((__u16)most);
	const __u32 field = at + offsetof(struct tcp_option, mss_be);
	/* A sum goes by words from the header's start; the field may lie across two. */
	const __u32 across = field - p->l4;
	if (bpf_l4_csum_replace(skb, p->l4 + TCP_CHECK_AT, swapped_if_odd(mss_be, across),
				swapped_if_odd(most_be, across), 2))
		return -1;
	return (int)bpf_skb_store_bytes(skb, field, &most_be, sizeof(most_be), 0);
}

static __attribute__((noinline)) int clamp_mss_of_syn(struct __sk_buff *skb, const struct packet *p)
{
	const __u32 zero = 0, headers = TCP_OPTIONS_AT + (p->v6 ? 40 : 20);
	const struct sp_settings *s = bpf_map_lookup_elem(&settings, &zero);
	__u8 offset;
	if (!s || s->wg_mtu <= headers || s->wg_mtu > 0xffff ||
	    bpf_skb_load_bytes(skb, p->l4 + TCP_OFFSET_AT, &offset, 1))
		return 0;
	const __u32 most = s->wg_mtu - headers;
	const __u32 end = p->l4 + (offset >> 4) * 4u;
	__u32 at = p->l4 + TCP_OPTIONS_AT;
#pragma clang loop unroll(full)
	for (int i = 0; i < MOST_OPTIONS_WALKED; i++) {
		struct tcp_option option;
		if (at + OPTION_MSS_BYTES > end ||
		    bpf_skb_load_bytes(skb, at, &option, sizeof(option)))
			return 0;
		if (option.kind == OPTION_NONE) {
			at++;
			continue;
		}
		if (option.kind == OPTION_MSS && option.bytes == OPTION_MSS_BYTES)
			return lower_mss(skb, p, at, option.mss_be, most);
		if (option.kind == OPTION_END || option.kind == OPTION_MSS || option.bytes < 2)
			return 0;
		at += option.bytes;
	}
	return 0;
}

/// For packets that pass, in both directions. A fragmented SYN is left alone.
static __always_inline void clamp_mss(struct __sk_buff *skb, const struct packet *p)
{
	if (p->tcp_flags & TCP_SYN && !p->fragment)
		clamp_mss_of_syn(skb, p);
}
