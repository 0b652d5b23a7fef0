// SPDX-License-Identifier: BSD-3-Clause
/// Programs on network devices: tcx links, or clsact filters where the kernel is older than 6.6.
/// What is attached outlives the process: a tcx link by its pin, a clsact filter by itself, with a
/// pin of its program beside it to say that it is ours.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/model/kernel_state.h"

namespace sallyport {

enum class HookKind : uint8_t { kAuto, kTcx, kClsact };

/// One program of ours on one device, as its pin tells it.
struct PinnedAttachment {
  std::string pin;  // file name in the pin directory
  uint32_t ifindex = 0;
  Hook hook = Hook::kTailnetIn;
  HookKind kind = HookKind::kTcx;
  bool own_qdisc = false;  // clsact: we made it, so we remove it
};

/// Our attachments in one pin directory. Devices are those of the process's network namespace.
class BpfAttachments {
 public:
  /// kAuto: tcx, and clsact where the kernel refuses that. An empty directory: nothing is pinned,
  /// so a tcx link lives as long as this object.
  BpfAttachments(std::string pin_dir, HookKind kind) : pin_dir_(std::move(pin_dir)), kind_(kind) {}

  /// Puts the program there, or swaps it in for the one that is there without a gap.
  Result<void> attach(uint32_t ifindex, Hook hook, int program_fd);
  /// Not there: fine.
  Result<void> detach(uint32_t ifindex, Hook hook);
  /// What is attached now, sorted by device and hook. Pins of devices that are gone are removed.
  Result<std::vector<PinnedAttachment>> observe();
  /// What attach() last used; kAuto before the first one.
  [[nodiscard]] HookKind kind_in_use() const { return in_use_; }

 private:
  struct HeldLink {
    uint32_t ifindex;
    Hook hook;
    Fd link;
  };
  Result<void> attach_tcx(uint32_t ifindex, Hook hook, int program_fd);
  Result<void> attach_clsact(uint32_t ifindex, Hook hook, int program_fd);
  Result<void> remove(const PinnedAttachment& attachment);
  [[nodiscard]] std::string path_of(std::string_view name) const;

  std::string pin_dir_;
  HookKind kind_;
  HookKind in_use_ = HookKind::kAuto;
  std::vector<HeldLink> held_;  // only without a pin directory
};

}  // namespace sallyport
