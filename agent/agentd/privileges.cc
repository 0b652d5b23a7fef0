// SPDX-License-Identifier: BSD-3-Clause
#include "agent/agentd/privileges.h"

#include <sys/capability.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <span>
#include <type_traits>

namespace sallyport {
namespace {

constexpr std::array<cap_value_t, 4> kAlways{CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON,
                                             CAP_NET_BIND_SERVICE};
constexpr std::array<cap_value_t, 3> kAtStart{CAP_SYS_MODULE, CAP_SETUID, CAP_SETGID};

struct Free {
  void operator()(cap_t caps) const { cap_free(caps); }
};
using Capabilities = std::unique_ptr<std::remove_pointer_t<cap_t>, Free>;

bool has(const Capabilities& caps, cap_value_t which) {
  cap_flag_value_t value = CAP_CLEAR;
  return cap_get_flag(caps.get(), which, CAP_PERMITTED, &value) == 0 && value == CAP_SET;
}

Result<void> keep_only(std::span<const cap_value_t> wanted) {
  const Capabilities now(cap_get_proc());
  const Capabilities next(cap_init());
  if (!now || !next) return fail(errno, "read our capabilities");
  for (const cap_value_t which : wanted) {
    if (!has(now, which)) continue;
    cap_set_flag(next.get(), CAP_PERMITTED, 1, &which, CAP_SET);
    cap_set_flag(next.get(), CAP_EFFECTIVE, 1, &which, CAP_SET);
  }
  if (cap_set_proc(next.get()) != 0) return fail(errno, "give up capabilities");
  return {};
}

}  // namespace

Result<void> keep_start_capabilities() {
  std::array<cap_value_t, kAlways.size() + kAtStart.size()> wanted{};
  std::ranges::copy(kAtStart, std::ranges::copy(kAlways, wanted.begin()).out);
  for (cap_value_t which = 0; which <= CAP_LAST_CAP; ++which) {
    if (std::ranges::find(wanted, which) != wanted.end()) continue;
    // Not ours to drop without SETPCAP: then it was dropped by whoever started us.
    if (cap_get_bound(which) == 1 && cap_drop_bound(which) != 0 && errno != EPERM) {
      return fail(errno, "give up capabilities for what we execute");
    }
  }
  return keep_only(wanted);
}

Result<void> drop_start_capabilities() { return keep_only(kAlways); }

}  // namespace sallyport
