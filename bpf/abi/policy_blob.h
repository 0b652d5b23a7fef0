/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// A compiled policy: one flat, read-only block of SP_POLICY_BYTES, and the walk through it. The
/// same functions run in the kernel (BPF) and in the agent (explain, tests), so they cannot
/// disagree.
///
/// address --binary search--> {peer, source class, destination class}
/// (source class, destination class) --matrix--> row --binary search by port--> rule
///
/// Intervals instead of tries: a range costs as much as a prefix, 17 steps reach 100,000 of them,
/// and the walk is a few cache lines. Classes are sets of addresses that no rule tells apart.
#pragma once

#include <stdint.h>

#include "bpf/abi/verdict.h"

/// Bytes of one policy slot, a power of two. Kernel memory is one block for each slot in use.
#define SP_POLICY_BYTES (2u << 20)
#define SP_POLICY_MAGIC 0x53504c31u /* "SPL1" */

/// No entry of the address tables is a peer with this index: our own addresses.
#define SP_PEER_SELF 0xffffffffu

/// At offset 0. All offsets are from the start of the block, in bytes, multiples of 16.
/// Native byte order: a policy never leaves the machine that made it.
struct sp_policy_header {
	uint32_t magic;
	uint32_t bytes;			       /* in use */
	uint32_t v4_keys, v4_values, v4_count; /* uint32_t (host order) -> sp_policy_address */
	uint32_t v6_keys, v6_values, v6_count; /* sp_policy_v6 -> sp_policy_address */
	/// uint32_t offset of a row, [source class * dst_classes + destination class].
	uint32_t matrix;
	uint32_t src_classes, dst_classes;
	uint32_t pad;
};
/// Start of an interval; each reaches to the next one's start. The first key is 0, counts are >= 1.
struct sp_policy_v6 {
	uint64_t high, low; /* host order */
};
struct sp_policy_address {
	uint32_t peer; /* 0: nobody's; SP_PEER_SELF: ours */
	uint16_t src_class;
	uint16_t dst_class;
};
/// Followed by four lists of sp_policy_entry, in the order of their counts. Aligned to 4.
struct sp_policy_row {
	/// The first rule of this pair, whatever its protocol: for ICMP echo. 0: none.
	uint16_t any_rule;
	uint16_t deny_reason; /* enum sp_verdict where no rule matches */
	uint16_t tcp_count, udp_count, sctp_count;
	uint16_t other_count; /* by protocol number, the whole protocol */
};
/// From `start` to the next entry's start (ports in host order, or protocol numbers).
struct sp_policy_entry {
	uint16_t start;
	/// Counter index; 0: none; SP_RULE_CEILING: one matches, but it is above the ceiling.
	uint16_t rule;
};
#define SP_RULE_CEILING 0xffffu

struct sp_policy_match {
	uint16_t rule;	      /* 0: denied */
	uint16_t deny_reason; /* enum sp_verdict; only if denied */
};

/// Reads inside the block whatever the offset says: the verifier sees the bound where it is used,
/// and a broken block cannot lead out of it.
#define SP_POLICY_AT(base, type, offset)                                                           \
	((const type *)((base) +                                                                   \
			((offset) & (SP_POLICY_BYTES - 1) & ~(uint32_t)(sizeof(type) - 1))))

#ifdef __bpf__
/* The compiler must not move the mask away from the access. */
#define SP_POLICY_BOUND(x) asm volatile("" : "+r"(x))
#define SP_POLICY_INLINE   static inline __attribute__((always_inline))
#else
#define SP_POLICY_BOUND(x) (void)(x)
#define SP_POLICY_INLINE   static inline
#endif

/// Index of the last key <= `address` (host order).
SP_POLICY_INLINE uint32_t sp_policy_find_v4(const uint8_t *base, uint32_t keys, uint32_t count,
					    uint32_t address)
{
	uint32_t at = 0, left = count;
	for (int i = 0; i < 18 && left > 1; i++) {
		uint32_t half = left / 2, offset = keys + (at + half) * 4;
		SP_POLICY_BOUND(offset);
		if (*SP_POLICY_AT(base, uint32_t, offset) <= address)
			at += half;
		left -= half;
	}
	return at;
}

SP_POLICY_INLINE uint32_t sp_policy_find_v6(const uint8_t *base, uint32_t keys, uint32_t count,
					    uint64_t high, uint64_t low)
{
	uint32_t at = 0, left = count;
	for (int i = 0; i < 18 && left > 1; i++) {
		uint32_t half = left / 2, offset = keys + (at + half) * 16;
		SP_POLICY_BOUND(offset);
		const struct sp_policy_v6 *key = SP_POLICY_AT(base, struct sp_policy_v6, offset);
		uint64_t key_high = key->high, key_low = key->low;
		if (key_high < high || (key_high == high && key_low <= low))
			at += half;
		left -= half;
	}
	return at;
}

/// The rule of the last entry whose start is <= `value`; 0 for an empty list.
SP_POLICY_INLINE uint16_t sp_policy_find_entry(const uint8_t *base, uint32_t entries,
					       uint32_t count, uint32_t value)
{
	uint32_t at = 0, left = count;
	for (int i = 0; i < 17 && left > 1; i++) {
		uint32_t half = left / 2, offset = entries + (at + half) * 4;
		SP_POLICY_BOUND(offset);
		/* start is the first half-word: read the whole entry at once, it is aligned to 4 */
		const struct sp_policy_entry *entry =
		    SP_POLICY_AT(base, struct sp_policy_entry, offset);
		if (entry->start <= value)
			at += half;
		left -= half;
	}
	if (count == 0)
		return 0;
	uint32_t offset = entries + at * 4;
	SP_POLICY_BOUND(offset);
	const struct sp_policy_entry *entry = SP_POLICY_AT(base, struct sp_policy_entry, offset);
	return entry->start <= value ? entry->rule : 0;
}

/// What the tables know about an address: 16 bytes, IPv4 as ::ffff:a.b.c.d, as two big-endian words
/// turned to host order.
SP_POLICY_INLINE struct sp_policy_address sp_policy_address_of(const uint8_t *base, uint64_t high,
							       uint64_t low)
{
	const struct sp_policy_header *header = (const struct sp_policy_header *)base;
	uint32_t offset;
	if (high == 0 && low >> 32 == 0xffff)
		offset = header->v4_values + 8 * sp_policy_find_v4(base, header->v4_keys,
								   header->v4_count, (uint32_t)low);
	else
		offset = header->v6_values +
			 8 * sp_policy_find_v6(base, header->v6_keys, header->v6_count, high, low);
	SP_POLICY_BOUND(offset);
	return *SP_POLICY_AT(base, struct sp_policy_address, offset);
}

/// Which rule lets a packet from `src` to `dst` pass. `port`: the destination port in host order,
/// for TCP, UDP and SCTP. ICMP (1, 58) stands for an echo request: any rule between the two serves
/// it, as in the reference's filter.
SP_POLICY_INLINE struct sp_policy_match sp_policy_match(const uint8_t *base,
							struct sp_policy_address src,
							struct sp_policy_address dst, uint8_t proto,
							uint16_t port)
{
	const struct sp_policy_header *header = (const struct sp_policy_header *)base;
	uint32_t offset =
	    header->matrix + 4 * (src.src_class * header->dst_classes + dst.dst_class);
	SP_POLICY_BOUND(offset);
	uint32_t row_at = *SP_POLICY_AT(base, uint32_t, offset);
	uint32_t at = row_at;
	SP_POLICY_BOUND(at);
	uint16_t any_rule = *SP_POLICY_AT(base, uint16_t, at);
	at = row_at + 2;
	SP_POLICY_BOUND(at);
	uint16_t deny_reason = *SP_POLICY_AT(base, uint16_t, at);
	at = row_at + 4;
	SP_POLICY_BOUND(at);
	uint16_t tcp = *SP_POLICY_AT(base, uint16_t, at);
	at = row_at + 6;
	SP_POLICY_BOUND(at);
	uint16_t udp = *SP_POLICY_AT(base, uint16_t, at);
	at = row_at + 8;
	SP_POLICY_BOUND(at);
	uint16_t sctp = *SP_POLICY_AT(base, uint16_t, at);
	at = row_at + 10;
	SP_POLICY_BOUND(at);
	uint16_t other = *SP_POLICY_AT(base, uint16_t, at);

	uint32_t entries = row_at + sizeof(struct sp_policy_row), count, value = port;
	uint16_t rule;
	if (proto == 1 || proto == 58) {
		rule = any_rule;
	} else {
		if (proto == 6) {
			count = tcp;
		} else if (proto == 17) {
			entries += 4u * tcp;
			count = udp;
		} else if (proto == 132) {
			entries += 4u * (tcp + udp);
			count = sctp;
		} else {
			entries += 4u * (tcp + udp + sctp);
			count = other;
			value = proto;
		}
		rule = sp_policy_find_entry(base, entries, count, value);
	}
	struct sp_policy_match match = {rule, deny_reason};
	if (rule == SP_RULE_CEILING) {
		match.rule = 0;
		match.deny_reason = SP_DROP_CEILING;
	}
	return match;
}
