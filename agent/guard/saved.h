// SPDX-License-Identifier: BSD-3-Clause
/// Settings of others that we change, as they were before: what `down` puts back.
#pragma once

#include <map>
#include <string>

#include "agent/model/kernel_state.h"

namespace sallyport {

/// Kept in the state directory: it has to outlive the agent.
struct Saved {
  std::map<std::string, std::string> sysctls;
  std::map<Offload, bool> offloads;
  friend bool operator==(const Saved&, const Saved&) = default;
};

/// To be called, and its answer stored, before the operations towards `desired` are applied: adds
/// the observed value of each setting that is about to change for the first time, and forgets those
/// that have been put back (whoever changes them from then on is in his right).
Saved remember(Saved saved, const KernelState& desired, const KernelState& observed);

}  // namespace sallyport
