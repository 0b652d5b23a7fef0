// SPDX-License-Identifier: BSD-3-Clause
/// Our nftables table in nft(8)'s language. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/model/kernel_state.h"
#include "agent/model/rule.h"

namespace sallyport {

/// Family inet. The only table that we ever touch.
constexpr std::string_view kNftTable = "sallyport";

/// Source ports for what we masquerade: 20000-50000, or the longest part of it beside our ports. A
/// LAN host that was given one of them would take WireGuard's packets from us for as long as its
/// flow lives. Source: seen in the lab; conntrack alone does not keep the port.
PortRange masquerade_ports(uint16_t wg_port, uint16_t agent_port = 0);

/// One transaction that makes our table anew, whether there is one or not. EINVAL: a device name
/// that cannot be said in nft's language without meaning something else ("eth*" is a pattern).
Result<std::string> render_nft(const NftTable& table);
/// One transaction that leaves no table of ours, whether there is one or not.
std::string render_nft_removal();

}  // namespace sallyport
