// SPDX-License-Identifier: BSD-3-Clause
/// What the box's owner wants of a tailnet that it has joined: `up`, `set`, and `join:` of
/// config.yaml.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/model/ip.h"

namespace sallyport {

struct JoinPrefs {
  /// LANs that we serve; 0.0.0.0/0 and ::/0: the way to the internet. No host bits.
  std::vector<Prefix> advertise_routes;
  /// Does the LAN see our address (true) or the peer's? For those not named here: true.
  std::map<Prefix, bool> snat;
  bool accept_routes = false;  // LANs that others serve
  std::string exit_node;       // stable id of the peer that is our way to the internet; empty: none
  bool shields_up = false;     // nobody is let in
  friend bool operator==(const JoinPrefs&, const JoinPrefs&) = default;
};

}  // namespace sallyport
