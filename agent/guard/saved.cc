// SPDX-License-Identifier: BSD-3-Clause
#include "agent/guard/saved.h"

namespace sallyport {
namespace {

template <class Key, class Value>
void remember_in(std::map<Key, Value>& saved, const std::map<Key, Value>& desired,
                 const std::map<Key, Value>& observed) {
  std::erase_if(saved, [&](const auto& entry) {
    const auto want = desired.find(entry.first);
    const auto have = observed.find(entry.first);
    return have != observed.end() && have->second == entry.second &&
           (want == desired.end() || want->second == entry.second);
  });
  for (const auto& [key, value] : desired) {
    const auto have = observed.find(key);
    if (have != observed.end() && have->second != value) saved.try_emplace(key, have->second);
  }
}

}  // namespace

Saved remember(Saved saved, const KernelState& desired, const KernelState& observed) {
  remember_in(saved.sysctls, desired.sysctls, observed.sysctls);
  remember_in(saved.offloads, desired.offloads, observed.offloads);
  return saved;
}

}  // namespace sallyport
