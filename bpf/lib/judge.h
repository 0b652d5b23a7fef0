/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// The judgement of a packet that comes out of the tunnel (SP_HOOK_TAILNET_IN) or goes into it
/// (SP_HOOK_TAILNET_OUT). Classifies and keeps flows; counting is bpf/lib/count.h, acting the
/// program's.
///
/// An established flow costs one lookup. Its stamp is the word {generation, slot} under which it
/// was judged; under another word it is judged again, as the packet of whoever began it. So a rule
/// that is taken away ends its flows at their next packet, in both directions.
#pragma once

#include "bpf/lib/reaper.h"

#define FRAGMENT_KEPT_NS 15000000000ull

/// What every step of one packet's judgement needs.
struct scene {
	const struct sp_settings *s;
	bool from_peer; /* constant in each program */
};

static __always_inline void ask_about(const struct packet *p, struct question *q)
{
	q->src = p->src;
	q->dst = p->dst;
	q->proto = p->proto;
	q->port = bpf_ntohs(p->dst_port_be);
}

static __always_inline bool is_open_outbound(const struct question *q)
{
	const struct sp_peer *to = peer_at(q->dst_peer);
	return to && to->flags & SP_PEER_OUTBOUND_OPEN;
}

/// Judges a known flow anew, as the packet of its initiator, and stamps it.
static __attribute__((noinline)) int judge_flow_again(struct sp_flow_key *key, struct sp_flow *flow,
						      __u64 word)
{
	const struct address *peer = (const struct address *)key->peer_addr;
	const struct address *other = (const struct address *)key->other_addr;
	const bool from_peer = flow->flags & SP_FLOW_FROM_PEER;
	struct question q = {
	    .src = from_peer ? *peer : *other,
	    .dst = from_peer ? *other : *peer,
	    .proto = key->proto,
	    .port = bpf_ntohs(from_peer ? key->other_port_be : key->peer_port_be),
	};
	ask_policy(SP_WORD_SLOT(word), &q);
	const __u32 now_peer = from_peer ? q.src_peer : q.dst_peer;
	const bool allowed = is_peer(now_peer) && (q.rule || (!from_peer && is_open_outbound(&q)));
	if (allowed) {
		const __u32 old_peer = flow->peer;
		struct sp_peer *to = peer_at(now_peer);
		/* Its address has moved to another peer, which it counts for from now on. */
		if (old_peer != now_peer && to &&
		    __sync_val_compare_and_swap(&flow->peer, old_peer, now_peer) == old_peer) {
			count_flow_out(old_peer);
			__sync_fetch_and_add(&to->flows, 1);
		}
		flow->rule = q.rule;
	}
	*(volatile __u64 *)&flow->word = allowed ? word : word | SP_WORD_DENIED;
	return allowed;
}

/// Is the flow allowed under `word`? Refreshes nothing.
static __always_inline bool flow_allowed(struct sp_flow_key *key, struct sp_flow *flow, __u64 word)
{
	const __u64 stamp = *(const volatile __u64 *)&flow->word;
	if (stamp == word)
		return true;
	if (stamp == (word | SP_WORD_DENIED))
		return false;
	return judge_flow_again(key, flow, word);
}

static __always_inline void follow_tcp(const struct packet *p, struct sp_flow *flow, bool reply)
{
	if (p->tcp_flags & (TCP_FIN | TCP_RST)) {
		if (flow->state != SP_FLOW_CLOSING)
			flow->state = SP_FLOW_CLOSING;
	} else if (reply && flow->state == SP_FLOW_OPENING) {
		flow->state = SP_FLOW_OPEN;
	}
}

static __always_inline void judge_flow(const struct __sk_buff *skb, const struct packet *p,
				       const struct scene *scene, struct sp_flow_key *key,
				       struct sp_flow *flow, struct judgement *j)
{
	/* A tombstone too: who keeps sending keeps it dead. */
	if (flow->last_ns != j->now_ns)
		flow->last_ns = j->now_ns;
	const bool allowed = flow_allowed(key, flow, j->word);
	j->peer = flow->peer;
	j->rule = flow->rule;
	if (!allowed) {
		j->verdict = SP_DROP_REVOKED;
		return;
	}
	j->verdict = SP_ALLOW_FLOW;
	const bool reply = scene->from_peer != !!(flow->flags & SP_FLOW_FROM_PEER);
	if (p->proto == PROTO_TCP)
		follow_tcp(p, flow, reply);
	if (reply && !(flow->flags & SP_FLOW_REPLIED))
		flow->flags |= SP_FLOW_REPLIED;
	__sync_fetch_and_add(&flow->packets, skb->gso_segs ? skb->gso_segs : 1);
	__sync_fetch_and_add(&flow->bytes, skb->len);
}

/// Takes over an entry whose flow has ended. Its count stays, if its peer does.
static __always_inline bool take_over(struct sp_flow *flow, __u64 last_ns,
				      const struct sp_flow *fresh, struct sp_peer *peer)
{
	if (last_ns == 0 ||
	    __sync_val_compare_and_swap(&flow->last_ns, last_ns, fresh->last_ns) != last_ns)
		return false;
	const __u32 old_peer = flow->peer;
	if (old_peer != fresh->peer) {
		flow->peer = fresh->peer;
		count_flow_out(old_peer);
		__sync_fetch_and_add(&peer->flows, 1);
	}
	flow->first_ns = fresh->first_ns;
	flow->packets = fresh->packets;
	flow->bytes = fresh->bytes;
	flow->rule = fresh->rule;
	flow->state = fresh->state;
	flow->flags = fresh->flags;
	*(volatile __u64 *)&flow->word = fresh->word;
	return true;
}

/// Records the flow that an allowed packet begins. `old`: an entry of the same key whose flow has
/// ended. False: it has no room.
static __always_inline bool record_flow(const struct __sk_buff *skb, const struct packet *p,
					const struct scene *scene, const struct sp_flow_key *key,
					struct sp_flow *old, __u64 old_last_ns,
					const struct judgement *j)
{
	struct sp_peer *peer = peer_at(j->peer);
	if (!peer)
		return false;
	struct sp_flow fresh = {
	    .word = j->word,
	    .last_ns = j->now_ns,
	    .first_ns = j->now_ns,
	    .packets = skb->gso_segs ? skb->gso_segs : 1,
	    .bytes = skb->len,
	    .peer = j->peer,
	    .rule = j->rule,
	    .state = p->proto != PROTO_TCP		  ? SP_FLOW_OPEN
		     : p->tcp_flags & (TCP_FIN | TCP_RST) ? SP_FLOW_CLOSING
							  : SP_FLOW_OPENING,
	    .flags = scene->from_peer ? SP_FLOW_FROM_PEER : 0,
	};
	if (old)
		return take_over(old, old_last_ns, &fresh, peer);
	if (peer->flows >= scene->s->flows_per_peer)
		return false;
	const long fault = bpf_map_update_elem(&flows, key, &fresh, BPF_NOEXIST);
	if (fault == 0)
		__sync_fetch_and_add(&peer->flows, 1);
	else if (fault != -17) /* EEXIST: another CPU was first, with a packet of the same flow */
		reap_soon(j->now_ns);
	return fault == 0 || fault == -17;
}

/// Would the flow that this packet may answer be allowed, and is it missing because there was no
/// room?
static __always_inline bool lacks_room(const struct packet *p, const struct scene *scene,
				       const struct judgement *j)
{
	const struct sp_peer *peer = peer_at(j->peer);
	if (!peer || is_pure_syn(p) || p->icmp_kind == ICMP_REQUEST)
		return false;
	if (peer->flows < scene->s->flows_per_peer && !was_full(j->now_ns))
		return false;
	struct question q = {
	    .src = p->dst, .dst = p->src, .proto = p->proto, .port = bpf_ntohs(p->src_port_be)};
	ask_policy(SP_WORD_SLOT(j->word), &q);
	return q.rule || is_open_outbound(&q);
}

static __always_inline __u32 denied_as(const struct packet *p, const struct scene *scene,
				       const struct question *q, bool expired,
				       const struct judgement *j)
{
	if (q->deny_reason == SP_DROP_NO_POLICY)
		return SP_DROP_NO_POLICY;
	if (expired)
		return SP_DROP_FLOW_EXPIRED;
	if (lacks_room(p, scene, j))
		return SP_DROP_FLOW_SHARE;
	if (p->icmp_kind == ICMP_REPLY)
		return SP_DROP_ICMP_NO_FLOW;
	if (p->proto == PROTO_TCP && !is_pure_syn(p))
		return SP_DROP_TCP_NO_FLOW;
	return q->deny_reason;
}

/// A packet of no flow: the rules decide in either direction. `old`: see record_flow.
static __always_inline void judge_new(const struct __sk_buff *skb, const struct packet *p,
				      const struct scene *scene, const struct sp_flow_key *key,
				      struct sp_flow *old, __u64 old_last_ns, bool expired,
				      struct judgement *j)
{
	struct question q = {};
	ask_about(p, &q);
	ask_policy(SP_WORD_SLOT(j->word), &q);
	j->peer = scene->from_peer ? q.src_peer : q.dst_peer;
	if (!is_peer(j->peer)) {
		j->peer = 0;
		j->verdict = q.deny_reason == SP_DROP_NO_POLICY ? SP_DROP_NO_POLICY
			     : scene->from_peer			? SP_DROP_SPOOFED
								: SP_DROP_NO_PEER;
		return;
	}
	const bool outbound = !scene->from_peer && is_open_outbound(&q);
	if ((q.rule == 0 && !outbound) || p->icmp_kind == ICMP_REPLY) {
		j->verdict = denied_as(p, scene, &q, expired, j);
		return;
	}
	j->rule = q.rule;
	j->verdict = q.rule ? SP_ALLOW_RULE : SP_ALLOW_OUTBOUND;
	/* What goes out and is no SYN may go, but grants no way back. */
	if ((p->proto == PROTO_TCP && !scene->from_peer && !is_pure_syn(p)) ||
	    p->icmp_kind == ICMP_OTHER)
		return;
	if (!record_flow(skb, p, scene, key, old, old_last_ns, j))
		j->verdict = SP_ALLOW_UNRECORDED;
}

static __always_inline void judge_packet(const struct __sk_buff *skb, const struct packet *p,
					 const struct scene *scene, struct judgement *j)
{
	struct sp_flow_key key __attribute__((aligned(8)));
	make_key(p, scene->from_peer, &key);
	struct sp_flow *flow =
	    p->icmp_kind == ICMP_OTHER ? NULL : bpf_map_lookup_elem(&flows, &key);
	__u64 last_ns = 0;
	bool expired = false;
	if (flow) {
		last_ns = *(const volatile __u64 *)&flow->last_ns;
		const __u8 state = flow->state;
		expired = is_expired(last_ns, j->now_ns, timeout_of(scene->s, p->proto, state));
		/* A client may use the port of a connection that is closing again. */
		const bool anew = p->proto == PROTO_TCP && state == SP_FLOW_CLOSING &&
				  is_pure_syn(p) && !(flow->word & SP_WORD_DENIED);
		if (!expired && !anew) {
			judge_flow(skb, p, scene, &key, flow, j);
			return;
		}
	}
	judge_new(skb, p, scene, &key, flow, last_ns, expired, j);
}

/// An ICMP error passes if it quotes a packet of an allowed flow that went the other way, to where
/// the error comes from. It refreshes nothing: errors must not keep a flow alive.
static __always_inline void judge_icmp_error(struct __sk_buff *skb, const struct packet *p,
					     const struct scene *scene, struct judgement *j)
{
	struct packet quote;
	struct sp_flow_key key __attribute__((aligned(8)));
	j->verdict = SP_DROP_ICMP_NO_FLOW;
	if (scene->from_peer) {
		struct question q = {};
		ask_about(p, &q);
		ask_policy(SP_WORD_SLOT(j->word), &q);
		if (!is_peer(q.src_peer)) {
			j->verdict = q.deny_reason == SP_DROP_NO_POLICY ? SP_DROP_NO_POLICY
									: SP_DROP_SPOOFED;
			return;
		}
		j->peer = q.src_peer;
	}
	if (!parse_quote(skb, p->l4 + 8, p->v6, &quote) || !same_address(&quote.src, &p->dst))
		return;
	make_key(&quote, !scene->from_peer, &key);
	struct sp_flow *flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow ||
	    is_expired(flow->last_ns, j->now_ns, timeout_of(scene->s, quote.proto, flow->state)))
		return;
	/* Nobody speaks about the flows of another peer. */
	if (scene->from_peer && flow->peer != j->peer)
		return;
	const bool allowed = flow_allowed(&key, flow, j->word);
	j->peer = flow->peer;
	j->rule = flow->rule;
	if (allowed)
		j->verdict = SP_ALLOW_RELATED;
}

static __always_inline void make_fragment_key(const struct packet *p, __u8 hook,
					      struct sp_fragment_key *key)
{
	struct address *addresses = (struct address *)key;
	addresses[0] = p->src;
	addresses[1] = p->dst;
	key->id_be = p->fragment_id_be;
	key->proto = p->fragment_proto;
	key->hook = hook;
	key->pad[0] = key->pad[1] = 0;
}

/// A later fragment fares as the first one did. Under a new policy it is judged as the first would
/// be: then false, and `p` has the first one's ports and flags.
static __attribute__((noinline)) int judge_later_fragment(struct packet *p, struct judgement *j)
{
	struct sp_fragment_key key __attribute__((aligned(8)));
	make_fragment_key(p, j->hook, &key);
	const struct sp_fragment *first = bpf_map_lookup_elem(&fragments, &key);
	j->verdict = SP_DROP_FRAGMENT_NO_FIRST;
	if (!first || (__s64)(first->until_ns - j->now_ns) < 0)
		return true;
	j->peer = first->peer;
	j->rule = first->rule;
	j->verdict = first->allowed ? SP_ALLOW_FRAGMENT : SP_DROP_FRAGMENT_DENIED;
	if (first->word == j->word || p->proto != first->proto)
		return true;
	p->src_port_be = first->src_port_be;
	p->dst_port_be = first->dst_port_be;
	p->tcp_flags = first->tcp_flags;
	p->icmp_type = first->icmp_type;
	if (p->proto == PROTO_ICMP || p->proto == PROTO_ICMP6)
		p->icmp_kind = icmp_kind_of(p->v6, p->icmp_type);
	return false;
}

static __attribute__((noinline)) int remember_fragment(const struct packet *p,
						       const struct judgement *j)
{
	struct sp_fragment_key key __attribute__((aligned(8)));
	make_fragment_key(p, j->hook, &key);
	struct sp_fragment first = {
	    .until_ns = j->now_ns + FRAGMENT_KEPT_NS,
	    .word = j->word,
	    .peer = j->peer,
	    .rule = j->rule,
	    .src_port_be = p->src_port_be,
	    .dst_port_be = p->dst_port_be,
	    .allowed = j->verdict <= SP_LAST_ALLOW,
	    .icmp_type = p->icmp_type,
	    .tcp_flags = p->tcp_flags,
	    .proto = p->proto,
	};
	return (int)bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
}

/// Destinations that are never carried. PARSED or a verdict.
static __always_inline int judge_destination(const struct packet *p)
{
	if (p->v6) {
		const __u64 high = address_high(&p->dst);
		if (high >> 56 == 0xff)
			return SP_DROP_MULTICAST;
		return high >> 54 == 0xfe80 >> 6 ? SP_DROP_LINK_LOCAL : PARSED;
	}
	const __u32 to = (__u32)address_low(&p->dst);
	if (to >> 28 == 0xe || to == 0xffffffff)
		return SP_DROP_MULTICAST;
	/* 169.254.169.254 goes on: a rule may name it. */
	return to >> 16 == 0xa9fe && to != 0xa9fea9fe ? SP_DROP_LINK_LOCAL : PARSED;
}

/// Fills `p` and `j`. `hook` is a constant.
static __always_inline void judge(struct __sk_buff *skb, __u8 hook, struct packet *p,
				  struct judgement *j)
{
	const __u32 zero = 0;
	const struct scene scene = {.s = bpf_map_lookup_elem(&settings, &zero),
				    .from_peer = hook == SP_HOOK_TAILNET_IN};
	*j = (struct judgement){.hook = hook, .now_ns = bpf_ktime_get_coarse_ns()};
	int fault = parse_packet(skb, p);
	if (fault == PARSED)
		fault = judge_destination(p);
	if (fault != PARSED) {
		j->verdict = (__u32)fault;
		return;
	}
	j->word = scene.s ? current_word(scene.s) : 0;
	if (!j->word) {
		j->verdict = SP_DROP_NO_POLICY;
		return;
	}
	if (p->fragment == FRAGMENT_LATER && judge_later_fragment(p, j))
		return;
	if (p->icmp_kind == ICMP_ERROR && p->fragment != FRAGMENT_LATER)
		judge_icmp_error(skb, p, &scene, j);
	else
		judge_packet(skb, p, &scene, j);
	if (p->fragment)
		remember_fragment(p, j);
	if (p->fragment == FRAGMENT_LATER && j->verdict <= SP_LAST_ALLOW)
		j->verdict = SP_ALLOW_FRAGMENT;
}
