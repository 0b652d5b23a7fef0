// SPDX-License-Identifier: BSD-3-Clause
/// Addresses that mean something by themselves.
#pragma once

#include <vector>

#include "agent/model/ip.h"

namespace sallyport {

/// What is not the internet: RFC 1918, 100.64/10, loopback, link-local, multicast, reserved; ULA,
/// fe80::/10, ff00::/8, :: and ::1. Normalised.
/// Source: RFC 6890, RFC 6598, RFC 4193.
const std::vector<IpRange>& not_internet();

/// 169.254.169.254, where clouds keep a machine's credentials.
IpAddress metadata_address();
/// The ranges less the metadata address: only a rule that names the address itself reaches it.
std::vector<IpRange> without_metadata(std::vector<IpRange> ranges);

/// 224.0.0.0/4, 255.255.255.255, ff00::/8.
bool is_multicast(const IpAddress& address);
/// 169.254.0.0/16 less the metadata address, fe80::/10.
bool is_link_local(const IpAddress& address);

}  // namespace sallyport
