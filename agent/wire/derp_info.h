// SPDX-License-Identifier: BSD-3-Clause
/// What client and server of DERP tell each other at login: JSON in a box between the client's node
/// key and the server's key. Source: tailscale derp.ClientInfo, derp.ServerInfo.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/base/bytes.h"
#include "agent/base/secret.h"
#include "agent/wire/box.h"
#include "agent/wire/derp.h"

namespace sallyport::derp {

/// {"meshKey":"64 hex digits","version":2,"CanAckPings":true,"IsProber":true,"AppName":"..."}
struct ClientInfo {
  std::optional<Secret<32>> mesh_key;  // a member of the mesh; of zeros means none
  int version = kVersion;
  bool can_ack_pings = false;
  bool is_prober = false;
  std::string app_name;  // of a stranger: any UTF-8
  friend bool operator==(const ClientInfo&, const ClientInfo&) = default;
};
/// {"version":2,"TokenBucketBytesPerSecond":n,"TokenBucketBytesBurst":n}
struct ServerInfo {
  int version = kVersion;
  uint64_t bytes_per_second = 0;  // frames' heads included; 0: not said
  uint64_t bytes_burst = 0;
  friend bool operator==(const ServerInfo&, const ServerInfo&) = default;
};

/// A whole frame. `box_key` is between the client and the server. These are for the login only:
/// they allocate.
Bytes write_client_info(const ClientInfo& info, const NodeKey& client, const BoxKey& box_key,
                        const BoxNonce& nonce);
Bytes write_server_info(const ServerInfo& info, const BoxKey& box_key, const BoxNonce& nonce);

/// Nothing: not from the owner of the key that the frame names, or no such JSON. Members may be
/// missing; unknown ones are left alone.
std::optional<ClientInfo> open_client_info(const ClientInfoBox& sealed, const BoxKey& box_key);
std::optional<ServerInfo> open_server_info(const ServerInfoBox& sealed, const BoxKey& box_key);

}  // namespace sallyport::derp
