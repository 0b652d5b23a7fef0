/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// What the agent tells the programs: BPF_MAP_TYPE_ARRAY of one, BPF_F_MMAPABLE, "settings".
#pragma once

#include <stdint.h>

#include "bpf/abi/path.h"

/// Raised when a struct of bpf/abi changes its meaning: maps of another version are not adopted.
#define SP_ABI_VERSION 2

/// {generation, slot}: read once a packet. Which policy holds, and under which number flows are
/// stamped. 0: no policy yet, everything is dropped.
#define SP_WORD_SLOT(word)	  ((uint32_t)(word) & 0xff)
#define SP_WORD_GENERATION(word)  (((word) & ~SP_WORD_DENIED) >> 8)
#define SP_WORD(generation, slot) (((uint64_t)(generation) << 8) | (slot))
#define SP_WORD_DENIED		  (1ull << 63) /* only in a flow: see sp_flow.word */
#define SP_POLICY_SLOTS		  8

#define SP_MAX_RULES 8192 /* counter indices, 0 is none */

/// Order of sp_settings.timeout_ns.
enum sp_timeout {
	SP_TIMEOUT_TCP_OPENING,
	SP_TIMEOUT_TCP_OPEN,
	SP_TIMEOUT_TCP_CLOSING,
	SP_TIMEOUT_UDP,
	SP_TIMEOUT_ICMP,
	SP_TIMEOUT_OTHER,
	SP_TIMEOUT_COUNT,
};
enum sp_settings_flags {
	SP_DENY_REJECT = 1, /* answer a peer's denied packet; else silence */
};

struct sp_settings {
	uint64_t word;
	uint32_t abi_version;
	uint32_t wg_mtu;	 /* bytes of IP that fit into the tunnel: for the MSS clamp */
	uint32_t flags;		 /* enum sp_settings_flags */
	uint32_t flows_per_peer; /* most flows of one peer */
	uint64_t timeout_ns[SP_TIMEOUT_COUNT];
	uint64_t answer_interval_ns; /* one denial a peer in this time on average, ... */
	uint64_t answer_burst_ns;    /* ... and so much of it saved up */
	uint64_t event_interval_ns;  /* one drop event a CPU in this time on average */
	uint64_t event_burst_ns;
	struct sp_path_settings path;
};

/// Until when a slot holds: BPF_MAP_TYPE_ARRAY "slots". A chain of slots lets time windows open and
/// close while no process of ours runs.
struct sp_slot {
	uint64_t valid_until_ns; /* CLOCK_BOOTTIME; 0: for ever */
	uint64_t next_word;	 /* what holds from then on */
};

/// Role of a network port: BPF_MAP_TYPE_HASH "ports", ifindex (uint32_t) -> uint32_t.
enum sp_port_role { SP_PORT_LAN = 0, SP_PORT_WAN = 1 };
