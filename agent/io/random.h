// SPDX-License-Identifier: BSD-3-Clause
/// The kernel's randomness.
#pragma once

#include "agent/base/random.h"

namespace sallyport::io {

/// Fit for keys. Waits, early in the boot of a machine, until the kernel's pool is ready.
class KernelRandom final : public RandomSource {
 public:
  void fill(std::span<uint8_t> out) override;
};

}  // namespace sallyport::io
