// SPDX-License-Identifier: BSD-3-Clause
/// Where a DERP node of the map is, and how it is recognised.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/drive/node/connection.h"
#include "agent/model/derp_map.h"
#include "agent/model/ip.h"

namespace sallyport {

/// One address of a relay gets so much time while there is another one: all of them share what a
/// node has (kDialNode).
constexpr Duration kDerpAddressTimeout = std::chrono::milliseconds(500);

/// TLS asks for the node's host name and verifies its certificate's name or pin if the map has one;
/// a pin counts even where the map asks for no verification. Error EINVAL: a pin that is none.
/// Source: tailscale derp/derphttp, net/tlsdial.
Result<ConnectionTarget> derp_target(const DerpNode& node);

/// The node's addresses, IPv4 first. Of a family whose address the map leaves open, those `found`
/// for its host name; a host name that is an address needs no look-up. Nothing: to be looked up.
std::vector<IpAddress> derp_addresses(const DerpNode& node,
                                      const std::vector<IpAddress>& found = {});

/// The Host field.
std::string derp_authority(const DerpNode& node);

}  // namespace sallyport
