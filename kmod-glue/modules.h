// SPDX-License-Identifier: BSD-3-Clause
/// Kernel modules, as modprobe(8) loads them.
#pragma once

#include <cstdint>
#include <string>

#include "agent/base/result.h"

namespace sallyport {

enum class ModuleState : uint8_t {
  kLoaded,        // by us, with what it depends on and the options of modprobe.d
  kAlreadyThere,  // loaded before
  kBuiltIn,
};

/// Needs CAP_SYS_MODULE, but not for one that is there already. `name` may be an alias. ENOENT:
/// this kernel has no such module, neither as a file nor built in.
Result<ModuleState> load_module(const std::string& name);

}  // namespace sallyport
