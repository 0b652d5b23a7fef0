// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/modules.h"

#include <fmt/format.h>
#include <libkmod.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace sallyport {
namespace {

struct Unref {
  void operator()(kmod_ctx* context) const { kmod_unref(context); }
  void operator()(kmod_module* module) const { kmod_module_unref(module); }
  void operator()(kmod_list* list) const { kmod_module_unref_list(list); }
};
template <class Thing>
using Owned = std::unique_ptr<Thing, Unref>;

/// Where /lib/modules has no index (a kernel with everything inside) only sysfs knows.
bool in_sysfs(std::string name) {
  std::ranges::replace(name, '-', '_');
  return access(fmt::format("/sys/module/{}", name).c_str(), F_OK) == 0;
}

/// What the kernel said to the module itself; dependencies are loaded by the same call.
Result<ModuleState> insert(kmod_module* module, const std::string& doing) {
  switch (kmod_module_get_initstate(module)) {
    case KMOD_MODULE_BUILTIN:
      return ModuleState::kBuiltIn;
    case KMOD_MODULE_LIVE:
    case KMOD_MODULE_COMING:
      return ModuleState::kAlreadyThere;
    default:
      break;
  }
  const int said = kmod_module_probe_insert_module(module, 0, nullptr, nullptr, nullptr, nullptr);
  if (said != 0) return fail(said < 0 ? -said : EPERM, doing);
  return ModuleState::kLoaded;
}

}  // namespace

Result<ModuleState> load_module(const std::string& name) {
  const std::string doing = fmt::format("load module '{}'", name);
  const Owned<kmod_ctx> context(kmod_new(nullptr, nullptr));
  if (!context) return fail(ENOMEM, doing);
  // Its own lines on stderr would tell what our error tells.
  kmod_set_log_priority(context.get(), 0);

  kmod_list* found = nullptr;
  const int said = kmod_module_new_from_lookup(context.get(), name.c_str(), &found);
  const Owned<kmod_list> list(found);
  if (said < 0 && said != -ENOENT && said != -ENOSYS) return fail(-said, doing);
  if (!list) {
    if (in_sysfs(name)) return ModuleState::kAlreadyThere;
    return fail(ENOENT, doing + ": this kernel has none of that name");
  }
  ModuleState state = ModuleState::kBuiltIn;
  kmod_list* item = nullptr;
  kmod_list_foreach(item, list.get()) {
    const Owned<kmod_module> module(kmod_module_get_module(item));
    state = std::min(state, TRY(insert(module.get(), doing)));
  }
  return state;
}

}  // namespace sallyport
