// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/modules.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <libkmod.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "agent/base/fd.h"

namespace sallyport {
namespace {

/// Where /lib/modules has no index (a kernel with everything inside) only sysfs knows.
bool in_sysfs(std::string name) {
  std::ranges::replace(name, '-', '_');
  return access(fmt::format("/sys/module/{}", name).c_str(), F_OK) == 0;
}

/// libkmod brings libcrypto with it, 1.5 MB that never go again, for a few calls at the first
/// start. So it is opened in a child that ends with its work.
class Kmod {
 public:
  /// False: the library is not installed.
  bool open() {
    library_ = dlopen("libkmod.so.2", RTLD_NOW | RTLD_LOCAL);
    return library_ != nullptr && find(new_, "kmod_new") &&
           find(set_log_priority_, "kmod_set_log_priority") &&
           find(new_from_lookup_, "kmod_module_new_from_lookup") && find(next_, "kmod_list_next") &&
           find(get_module_, "kmod_module_get_module") &&
           find(initstate_, "kmod_module_get_initstate") &&
           find(insert_, "kmod_module_probe_insert_module");
  }

  /// Memory goes with the process.
  Result<ModuleState, int> load(const std::string& name) {
    kmod_ctx* const context = new_(nullptr, nullptr);
    if (context == nullptr) return Fail{ENOMEM};
    // Its own lines on stderr would tell what our error tells.
    set_log_priority_(context, 0);
    kmod_list* list = nullptr;
    const int said = new_from_lookup_(context, name.c_str(), &list);
    if (said < 0 && said != -ENOENT && said != -ENOSYS) return Fail{-said};
    if (list == nullptr) {
      if (in_sysfs(name)) return ModuleState::kAlreadyThere;
      return Fail{ENOENT};
    }
    ModuleState state = ModuleState::kBuiltIn;
    for (const kmod_list* item = list; item != nullptr; item = next_(list, item)) {
      state = std::min(state, TRY(insert(get_module_(item))));
    }
    return state;
  }

 private:
  template <class Function>
  bool find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(library_, name));
    return function != nullptr;
  }

  /// What the kernel said to the module itself; dependencies are loaded by the same call.
  Result<ModuleState, int> insert(kmod_module* module) {
    switch (initstate_(module)) {
      case KMOD_MODULE_BUILTIN:
        return ModuleState::kBuiltIn;
      case KMOD_MODULE_LIVE:
      case KMOD_MODULE_COMING:
        return ModuleState::kAlreadyThere;
      default:
        break;
    }
    const int said = insert_(module, 0, nullptr, nullptr, nullptr, nullptr);
    if (said != 0) return Fail{said < 0 ? -said : EPERM};
    return ModuleState::kLoaded;
  }

  void* library_ = nullptr;
  decltype(&kmod_new) new_ = nullptr;
  decltype(&kmod_set_log_priority) set_log_priority_ = nullptr;
  decltype(&kmod_module_new_from_lookup) new_from_lookup_ = nullptr;
  decltype(&kmod_list_next) next_ = nullptr;
  decltype(&kmod_module_get_module) get_module_ = nullptr;
  decltype(&kmod_module_get_initstate) initstate_ = nullptr;
  decltype(&kmod_module_probe_insert_module) insert_ = nullptr;
};

struct Answer {
  int error = 0;
  ModuleState state = ModuleState::kBuiltIn;
};

Answer load_here(const std::string& name) {
  Kmod kmod;
  if (!kmod.open()) return {ELIBACC, {}};
  const auto state = kmod.load(name);
  return state ? Answer{0, *state} : Answer{state.error(), {}};
}

}  // namespace

Result<ModuleState> load_module(const std::string& name) {
  const std::string doing = fmt::format("load module '{}'", name);
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return fail(errno, doing);
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  const pid_t child = fork();
  if (child < 0) return fail(errno, doing);
  if (child == 0) {
    const Answer answer = load_here(name);
    _exit(write(write_end.raw(), &answer, sizeof answer) == sizeof answer ? 0 : 1);
  }
  write_end.reset();
  Answer answer;
  const bool heard = read(read_end.raw(), &answer, sizeof answer) == sizeof answer;
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (!heard) return fail(ECHILD, doing);
  if (answer.error == ELIBACC) return fail(ELIBACC, doing + ": libkmod.so.2 (package libkmod2)");
  if (answer.error == ENOENT) return fail(ENOENT, doing + ": this kernel has none of that name");
  if (answer.error != 0) return fail(answer.error, doing);
  return answer.state;
}

}  // namespace sallyport
