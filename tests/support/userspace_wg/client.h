// SPDX-License-Identifier: BSD-3-Clause
/// The agent's end of a userspace WireGuard that serves this network namespace
/// (tests/interop/wireguard), in the place of the kernel's.
#pragma once

#include "kmod-glue/kernel.h"
#include "kmod-glue/netlink/wg_message.h"

namespace sallyport::userspace_wg {

class Client : public WireGuardOps {
 public:
  Result<std::optional<WgDevice>> dump(const std::string& device) override;
  /// A device that is there already is adopted, one that is gone is deleted already.
  Result<void> create_link(const CreateLink& step) override;
  Result<void> delete_link(const DeleteLink& step) override;
  Result<void> set_device(const SetDevice& step) override;
  std::vector<Failure> change_peers(std::span<const Operation> steps) override;

  /// With statistics.
  static Result<std::optional<WgObserved>> observe(const std::string& device);
  /// Whether somebody serves.
  static bool is_there();
};

}  // namespace sallyport::userspace_wg
