// SPDX-License-Identifier: BSD-3-Clause
/// What this kernel, and this process in it, can do.
#pragma once

#include <string>
#include <vector>

#include "agent/model/kernel_state.h"

namespace sallyport {

/// Something we want and do not have.
struct Missing {
  std::string what;      // "in-kernel WireGuard"
  std::string effect;    // what is done instead, or that there is nothing to be done
  std::string remedy;    // what to install or change, as an administrator of Debian would type it
  bool required = true;  // false: we serve without it

  /// One sentence of each.
  [[nodiscard]] std::string text() const;
};

struct Probe {
  Capabilities kernel;
  std::vector<Missing> missing;

  /// Something required is missing: exit code 6.
  [[nodiscard]] bool refused() const;
};

/// Tries each thing in the network namespace of the caller and leaves nothing behind: no link is
/// made, no program stays attached, no table stays. Loads modules that are there as files; needs
/// CAP_NET_ADMIN and CAP_BPF, and says so as a thing missing.
Probe probe_kernel();

/// The judgement alone. `cap_effective` is the bit set of capabilities(7), CapEff in /proc.
std::vector<Missing> find_missing(const Capabilities& kernel, uint64_t cap_effective);

}  // namespace sallyport
