// SPDX-License-Identifier: BSD-3-Clause
/// The address on lo that stands for a relayed peer: kernel WireGuard sends its packets there.
#pragma once

#include <cstdint>
#include <optional>

#include "agent/model/ip.h"
#include "agent/model/tailnet_keys.h"

namespace sallyport {

/// 127.1.0.1 ... 127.255.255.254 without those that end in 0 or 255. The programs of this machine
/// that listen on lo do it in 127.0.0.0/16, which is left alone.
[[nodiscard]] bool is_parking(const IpAddress& address);

/// Where the search for a free address begins: told by the key, so that a peer has the same one
/// every time unless two meet. `attempt` counts up.
IpAddress parking_for(const NodeKey& key, uint32_t attempt);
constexpr uint32_t kParkingAttempts = 64;

}  // namespace sallyport
