/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// Every outcome of a packet, once for BPF, CLI and metrics. Append only: numbers are in pinned
/// maps.
#pragma once

#include <stdint.h>

/// X(identifier, name in JSON and metrics, sentence for a person). Those up to SP_LAST_ALLOW let
/// the packet go on.
// clang-format off: a row is a line
#define SP_VERDICTS(X) \
	X(ALLOW_RULE, "rule", "a rule allows it") \
	X(ALLOW_FLOW, "flow", "it belongs to a flow that a rule allowed") \
	X(ALLOW_RELATED, "related", "it is an ICMP error about an allowed flow") \
	X(ALLOW_FRAGMENT, "fragment", "it is a fragment of an allowed packet") \
	X(ALLOW_OUTBOUND, "outbound", "it goes out to a member of the tailnet") \
	X(ALLOW_ANSWER, "answer", "it is our own answer to a denied packet") \
	X(ALLOW_UNRECORDED, "unrecorded", "a rule allows it, but its peer is at its share of flows") \
	X(ALLOW_FOREIGN, "foreign", "it is none of the tailnet's packets") \
	X(DROP_NO_RULE, "no_rule", "no rule allows it") \
	X(DROP_REVOKED, "revoked", "the rule that allowed its flow is gone") \
	X(DROP_FLOW_EXPIRED, "flow_expired", "its flow was idle for too long and no rule allows it") \
	X(DROP_FLOW_SHARE, "flow_share", "it answers a flow that was not recorded, its peer being at its share") \
	X(DROP_TCP_NO_FLOW, "tcp_no_flow", "it is a TCP packet of no known flow and no rule allows it") \
	X(DROP_ICMP_NO_FLOW, "icmp_no_flow", "it is an ICMP reply or error about no known flow") \
	X(DROP_FRAGMENT_NO_FIRST, "fragment_no_first", "it is a fragment whose first part was not seen") \
	X(DROP_FRAGMENT_DENIED, "fragment_denied", "the first part of this packet was denied") \
	X(DROP_FRAGMENT_TINY, "fragment_tiny", "it is a fragment that would overlay a header") \
	X(DROP_METADATA, "metadata", "169.254.169.254 is reached only if a rule names it") \
	X(DROP_EXIT_LOCAL, "exit_local", "the exit leads to the internet only, not to private or own addresses") \
	X(DROP_CEILING, "ceiling", "a rule allows it, but the ceiling of this box does not") \
	X(DROP_MULTICAST, "multicast", "multicast and broadcast are not carried") \
	X(DROP_LINK_LOCAL, "link_local", "link-local addresses are not carried") \
	X(DROP_TOO_SHORT, "too_short", "it ends within its headers") \
	X(DROP_MALFORMED, "malformed", "its headers contradict each other") \
	X(DROP_EXT_HEADERS, "ext_headers", "its chain of IPv6 extension headers is too long or unknown") \
	X(DROP_SPOOFED, "spoofed_source", "its source belongs to a peer that it did not come from") \
	X(DROP_TAILNET_FROM_WAN, "tailnet_from_wan", "it comes from the internet for an address behind the tunnel") \
	X(DROP_NO_POLICY, "no_policy", "no policy has been loaded yet") \
	X(DROP_NO_PEER, "no_peer", "neither end is a peer") \
	X(DROP_NODE_PORT, "node_port", "it is addressed to a port that only our own programs may name") \
	X(DROP_CROSSING, "crossing_handshake", "it begins a handshake while ours to the same peer is under way")
// clang-format on

#define SP_VERDICT_ENUM(id, name, text) SP_##id,
enum sp_verdict { SP_VERDICTS(SP_VERDICT_ENUM) SP_VERDICT_COUNT };
#undef SP_VERDICT_ENUM
#define SP_LAST_ALLOW SP_ALLOW_FOREIGN

/// Which program judged. Counters are kept per hook: index hook * SP_VERDICT_SLOTS + verdict.
enum sp_hook { SP_HOOK_TAILNET_IN, SP_HOOK_TAILNET_OUT, SP_HOOK_PORT_IN, SP_HOOK_COUNT };
#define SP_VERDICT_SLOTS 64

struct sp_count {
	uint64_t packets; /* a GSO packet counts its segments */
	uint64_t bytes;	  /* of IP */
};
