// SPDX-License-Identifier: BSD-3-Clause
#include "agent/model/netmap_node.h"

#include <algorithm>

namespace sallyport {

bool NetmapNode::has_cap(const std::string& cap_name) const {
  return cap_map.contains(cap_name) ||
         std::ranges::find(capabilities, cap_name) != capabilities.end();
}

}  // namespace sallyport
