// SPDX-License-Identifier: BSD-3-Clause
/// Whose address is it? The one answer for rules, anti-spoofing and the compiled tables.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/model/ip.h"

namespace sallyport {

/// A peer of the WireGuard device. `index`: its slot in the kernel's "peers", never 0.
struct PeerAddresses {
  uint32_t index = 0;
  std::vector<Prefix> addresses;  // its allowed_ips
  friend bool operator==(const PeerAddresses&, const PeerAddresses&) = default;
};

struct OwnedRange {
  IpRange range;
  uint32_t peer = 0;  // an index, or SP_PEER_SELF
  friend bool operator==(const OwnedRange&, const OwnedRange&) = default;
};

/// Disjoint, IPv4 first, ascending; what is in no range is nobody's.
///
/// The most specific prefix wins, as in WireGuard's own table, so a peer with 10.0.0.0/8 does not
/// own another's 10.1.2.3; of two equal ones the first. Our own addresses win over everything.
///
/// A /0 owns nothing. WireGuard accepts any source from such a peer and sends it what nobody else
/// has, but were the whole space "the peer's", each packet of the internet on a WAN port would be a
/// forged one, and a rule that names the peer would let every other source in. Hence only its more
/// specific prefixes are the peer's, and a packet from it with another source is nobody's: no_peer.
std::vector<OwnedRange> owned_ranges(const std::vector<PeerAddresses>& peers,
                                     const std::vector<IpRange>& own);

/// The ranges of one owner, normalised.
std::vector<IpRange> ranges_of(const std::vector<OwnedRange>& owned, uint32_t peer);

}  // namespace sallyport
