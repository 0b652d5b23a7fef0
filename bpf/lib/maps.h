/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/// Every map, once for all programs: the loader pins them by these names and shares them between
/// objects. Sizes that depend on the machine are set by the loader.
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bpf/abi/flow.h"
#include "bpf/abi/policy_blob.h"
#include "bpf/abi/settings.h"
#include "bpf/abi/verdict.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sp_settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SP_POLICY_SLOTS);
	__type(key, __u32);
	__type(value, struct sp_slot);
} slots SEC(".maps");

struct policy_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, SP_POLICY_BYTES);
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SP_POLICY_SLOTS);
	__type(key, __u32);
	__array(values, struct policy_map);
} policies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct sp_flow_key);
	__type(value, struct sp_flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct sp_fragment_key);
	__type(value, struct sp_fragment);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct sp_peer);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SP_HOOK_COUNT *SP_VERDICT_SLOTS);
	__type(key, __u32);
	__type(value, struct sp_count);
} verdicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SP_MAX_RULES);
	__type(key, __u32);
	__type(value, struct sp_rule_hits);
} rule_hits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024); /* 819 events; those without room are told with the next */
} drop_events SEC(".maps");

/// Ports other than the WireGuard device: ifindex -> enum sp_port_role.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} ports SEC(".maps");

/// Without preallocation: only the agent adds entries.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, struct sp_pin);
} pins SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct sp_endpoint);
	__type(value, struct sp_endpoint_state);
} endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SP_PATH_COUNT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} path_counts SEC(".maps");
