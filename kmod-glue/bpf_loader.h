// SPDX-License-Identifier: BSD-3-Clause
/// The data plane in the kernel: programs, maps and where they are attached. It outlives the
/// process: everything is pinned, and the next process adopts it, with its flows and counters.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/kernel_state.h"
#include "bpf/abi/flow.h"
#include "bpf/abi/settings.h"
#include "bpf/abi/verdict.h"
#include "kmod-glue/bpf_attach.h"
#include "kmod-glue/bpf_maps.h"
#include "kmod-glue/path_maps.h"

struct acl_bpf;
struct path_bpf;
struct port_bpf;
struct ring_buffer;

namespace sallyport {

struct DataPlaneOptions {
  /// A directory on a BPF file system, made if absent: /sys/fs/bpf/sallyport/ID. Empty: nothing is
  /// pinned, and all of it ends with the object (tests, judging packets without a gateway).
  std::string pin_dir;
  uint32_t flows = 65536;
  /// Slots; index 0 is nobody. An array that user space maps cannot grow under running programs, so
  /// there is room from the start: 1 MB, a ninth of what the flows take.
  uint32_t peers = 16384;
  uint32_t fragments = 4096;
  uint32_t pins = 16384;              // direct paths that are held; memory for those that there are
  uint32_t endpoints = 32768;         // likewise, of peers
  uint32_t answer_mark = 0x01000000;  // one bit each outside 0xff0000, the fwmark's mask
  uint32_t lookalike_mark = 0x02000000;
  uint32_t demuxed_mark = 0x04000000;
  HookKind hook = HookKind::kAuto;
};

/// Sums over all CPUs.
using VerdictCounts = std::array<std::array<sp_count, SP_VERDICT_COUNT>, SP_HOOK_COUNT>;

class DataPlane {
 public:
  /// Loads the programs. Maps that are pinned there are adopted if they are of this SP_ABI_VERSION
  /// and of the sizes asked for; else all are made anew, the settings with defaults and no policy.
  /// Nothing is attached or replaced yet. Errors name what the kernel said (verifier included).
  static Result<std::unique_ptr<DataPlane>> open(const DataPlaneOptions& options);
  ~DataPlane();
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;

  /// Were the maps there before? Then flows, counters, settings and policy continue.
  [[nodiscard]] bool adopted() const { return adopted_; }

  /// Attaches the program of that hook, or swaps it in for an older version without a gap.
  Result<void> attach(const Attachment& attachment);
  Result<void> detach(const Attachment& attachment);
  /// Sorted. What is attached now, by this process or an earlier one.
  Result<std::vector<Attachment>> attachments();
  /// Swaps this process's programs in wherever an earlier one attached its own. Call it after
  /// open(), once the policy is loaded.
  Result<void> replace_programs();
  /// tcx or clsact; kAuto while nothing has been attached.
  [[nodiscard]] HookKind hook_kind() const { return attached_.kind_in_use(); }

  /// Shared with the programs; a change holds from the next packet on. `word` belongs to policy().
  [[nodiscard]] sp_settings& settings() { return *settings_.as<sp_settings>(); }
  [[nodiscard]] PolicySlots& policy() { return policy_; }
  [[nodiscard]] const PolicySlots& policy() const { return policy_; }
  [[nodiscard]] PathMaps& paths() { return paths_; }
  [[nodiscard]] const PathMaps& paths() const { return paths_; }
  /// Indexed as the policy's tables say. Do not touch `flows`, and give no slot to another peer
  /// while its `flows` is not 0.
  [[nodiscard]] std::span<sp_peer> peers() { return {peers_.as<sp_peer>(), mapped_peers_}; }
  /// How many slots there are: at least those that peers() shows.
  [[nodiscard]] uint32_t peer_slots() const { return options_.peers; }
  /// Makes peers() show `count` slots at least; earlier spans are void. What is mapped counts as
  /// ours, so not all of it is from the start. EINVAL: more than there are.
  Result<void> show_peers(uint32_t count);

  [[nodiscard]] Result<VerdictCounts> verdicts() const;
  /// For the counter indices 0 to count - 1.
  [[nodiscard]] Result<std::vector<sp_rule_hits>> rule_hits(uint32_t count) const;
  Result<void> clear_rule_hits(uint32_t index);
  /// Calls `visit` for each entry, expired ones and tombstones included. Entries that come or go
  /// meanwhile may be missed.
  Result<void> for_each_flow(
      const std::function<void(const sp_flow_key&, const sp_flow&)>& visit) const;

  /// Readable when there are drop events. Borrowed.
  [[nodiscard]] int drop_events_fd() const;
  /// Hands over all that are there; how many.
  size_t drain_drop_events(const std::function<void(const sp_drop_event&)>& on_drop);

  Result<void> set_port(uint32_t ifindex, sp_port_role role);
  Result<void> forget_port(uint32_t ifindex);

  /// Kernel memory of all maps, policies included.
  [[nodiscard]] size_t map_bytes() const;
  /// Detaches everything, removes every pin and the directory. The object is of no use afterwards.
  Result<void> remove_all();

  /// Borrowed descriptors, for judging packets by BPF_PROG_TEST_RUN and for benches. The programs
  /// of kPortOut and kLoopback are loaded when they are first asked for.
  Result<int> program_fd(Hook hook);
  /// -1: no such one.
  [[nodiscard]] int map_fd(std::string_view name) const;

 private:
  struct Skeleton {
    void operator()(acl_bpf* skeleton) const;
    void operator()(path_bpf* skeleton) const;
    void operator()(port_bpf* skeleton) const;
  };
  using AclPrograms = std::unique_ptr<acl_bpf, Skeleton>;
  using PathPrograms = std::unique_ptr<path_bpf, Skeleton>;
  using PortPrograms = std::unique_ptr<port_bpf, Skeleton>;
  struct FreeRing {
    void operator()(ring_buffer* ring) const;
  };

  DataPlane(DataPlaneOptions options, AclPrograms acl, PortPrograms port, bool adopted,
            MappedArray settings, MappedArray slots, MappedArray peers);
  static Result<PortPrograms> load_port(const acl_bpf& acl, const DataPlaneOptions& options);
  Result<void> load_path();
  static int on_ring_event(void* self, void* data, size_t size);
  Result<void> start_reaper();
  Result<void> open_ring();

  DataPlaneOptions options_;
  AclPrograms acl_;
  PortPrograms port_;  // with the maps of acl_
  PathPrograms path_;  // likewise; nothing until a node holds paths
  bool adopted_;
  MappedArray settings_;
  MappedArray slots_;
  MappedArray peers_;
  uint32_t mapped_peers_;
  PolicySlots policy_;
  PathMaps paths_;
  BpfAttachments attached_;
  std::unique_ptr<ring_buffer, FreeRing> ring_;
  const std::function<void(const sp_drop_event&)>* on_drop_ = nullptr;  // while draining
};

}  // namespace sallyport
