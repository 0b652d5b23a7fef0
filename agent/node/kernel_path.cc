// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/kernel_path.h"

#include <algorithm>

namespace sallyport {

namespace {

bool pinned(const KernelPath& path) { return path.direct && path.direct->ifindex != 0; }

}  // namespace

std::vector<KernelStep> kernel_steps(const KernelPath& from, const KernelPath& to) {
  std::vector<KernelStep> steps;
  if (pinned(from) && !pinned(to)) steps.push_back(ClearPin{});
  for (const Endpoint& endpoint : from.reversed) {
    if (!std::ranges::binary_search(to.reversed, endpoint)) steps.push_back(ClearReverse{endpoint});
  }
  for (const Endpoint& endpoint : to.reversed) {
    if (!std::ranges::binary_search(from.reversed, endpoint)) steps.push_back(SetReverse{endpoint});
  }
  if (from.direct == to.direct) return steps;
  if (pinned(to)) steps.push_back(SetPin{*to.direct});
  if (!to.direct) {
    steps.push_back(PointAt{});
  } else {
    steps.push_back(PointAt{to.direct->peer, from.direct.has_value()});
  }
  return steps;
}

std::vector<KernelStep> repeat_steps(const KernelPath& path) {
  if (!path.direct) return {PointAt{}};
  std::vector<KernelStep> steps;
  if (pinned(path)) steps.push_back(SetPin{*path.direct});
  steps.push_back(PointAt{path.direct->peer, true});
  return steps;
}

}  // namespace sallyport
