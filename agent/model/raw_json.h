// SPDX-License-Identifier: BSD-3-Clause
/// A piece of JSON that is carried, not understood.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace sallyport {

/// Well-formed JSON without insignificant white space.
struct RawJson {
  std::string text;
  friend auto operator<=>(const RawJson&, const RawJson&) = default;
};

/// Capabilities by name, each with what belongs to it (often nothing).
/// Source: tailscale tailcfg NodeCapMap, PeerCapMap.
using CapMap = std::map<std::string, std::vector<RawJson>>;

}  // namespace sallyport
