// SPDX-License-Identifier: BSD-3-Clause
/// The agent's end of the stand-in: WireGuard of this network namespace, which is in the test's
/// process.
#pragma once

#include "kmod-glue/kernel.h"
#include "tests/support/stand_in/messages.h"

namespace sallyport::stand_in {

class Client : public WireGuardOps {
 public:
  Result<std::optional<WgDevice>> dump(const std::string& device) override;
  Result<void> create_link(const CreateLink& step) override { return one(step); }
  Result<void> delete_link(const DeleteLink& step) override { return one(step); }
  Result<void> set_device(const SetDevice& step) override { return one(step); }
  std::vector<Failure> change_peers(std::span<const Operation> steps) override;

  /// With statistics.
  static Result<std::optional<WgObserved>> observe(const std::string& device);

 private:
  static Result<void> one(const Operation& step);
};

}  // namespace sallyport::stand_in
