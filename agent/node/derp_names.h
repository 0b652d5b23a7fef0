// SPDX-License-Identifier: BSD-3-Clause
/// Where the relays of a map are: by the addresses that it names, or by those found for their host
/// names.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/model/derp_map.h"
#include "agent/model/endpoint.h"
#include "agent/node/netcheck.h"

namespace sallyport {

/// What was found is asked for again so much later, and meanwhile holds.
constexpr Duration kNameRefresh = std::chrono::minutes(5);
/// Of a map with more, the rest is not looked up.
constexpr size_t kMaxDerpNames = 256;

class DerpNames {
 public:
  /// The hosts to look up for STUN now, each once. Names that the map has no more are forgotten.
  std::vector<std::string> due(const DerpMap& map, bool has_v6, Instant now);
  /// Empty: none found; what was found before holds.
  void on_lookup(const std::string& host, const std::vector<IpAddress>& found);
  /// Is a name under way that nothing is known of yet?
  [[nodiscard]] bool waiting() const;

  /// Nothing: not known (yet), or there is none.
  [[nodiscard]] std::optional<Endpoint> stun_server(const DerpNode& node, IpFamily family) const;

 private:
  struct Name {
    Instant asked;
    bool under_way = false;
    std::vector<IpAddress> found;
  };
  std::map<std::string, Name> names_;
};

}  // namespace sallyport
