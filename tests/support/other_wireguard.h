// SPDX-License-Identifier: BSD-3-Clause
/// For an agent upon something that stands for the kernel's WireGuard.
#pragma once

#include <algorithm>
#include <string>

#include "kmod-glue/probe.h"

namespace sallyport {

/// What the kernel can do, as if it had WireGuard.
inline Probe probe_but_for_wireguard() {
  Probe out = probe_kernel();
  out.kernel.wireguard = true;
  std::erase_if(out.missing, [](const Missing& missing) {
    return missing.what.find("WireGuard") != std::string::npos;
  });
  return out;
}

}  // namespace sallyport
