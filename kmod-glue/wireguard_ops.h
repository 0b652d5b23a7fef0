// SPDX-License-Identifier: BSD-3-Clause
/// The kernel's own WireGuard as Kernel wants it.
#pragma once

#include "kmod-glue/kernel.h"
#include "kmod-glue/wg.h"

namespace sallyport {

class KernelWireGuard : public WireGuardOps {
 public:
  explicit KernelWireGuard(WireGuard wireguard) : wireguard_(std::move(wireguard)) {}

  Result<std::optional<WgDevice>> dump(const std::string& device) override;
  /// A link that is there already is adopted (a restart), one that is gone is deleted already. A
  /// foreign link of that name shows itself at the next step: it has no WireGuard to set.
  Result<void> create_link(const CreateLink& step) override;
  Result<void> delete_link(const DeleteLink& step) override;
  Result<void> set_device(const SetDevice& step) override;
  std::vector<Failure> change_peers(std::span<const Operation> steps) override;

 private:
  std::vector<Failure> set_peers(const std::vector<SetPeer>& peers, size_t first_index);

  WireGuard wireguard_;
};

}  // namespace sallyport
