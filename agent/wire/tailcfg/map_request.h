// SPDX-License-Identifier: BSD-3-Clause
/// What a node tells of itself, and asks for.
/// Source: tailscale tailcfg MapRequest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/netmap.h"
#include "agent/wire/tailcfg/json_error.h"

namespace sallyport::tailcfg {

/// How an endpoint was found. Source: tailscale tailcfg EndpointType.
enum class EndpointType : uint8_t {
  kUnknown = 0,
  kLocal = 1,
  kStun = 2,
  kPortMapped = 3,
  kStun4LocalPort = 4,  // a hard NAT: its address with our own port
  kExplicit = 5,
};

struct MapRequest {
  uint32_t version = 0;  // capability version
  std::string compress;  // "zstd", or "" for none
  bool keep_alive = false;
  NodeKey node_key;
  DiscoKey disco_key;
  bool stream = false;  // the long poll, which changes nothing at the server
  std::optional<Hostinfo> hostinfo;
  std::vector<Endpoint> endpoints;
  std::vector<EndpointType> endpoint_types;  // as many, or none
  std::string tka_head;
  bool read_only = false;
  bool omit_peers = false;
  std::vector<std::string> debug_flags;
  friend bool operator==(const MapRequest&, const MapRequest&) = default;
};

/// Endpoint types beyond the known are read as kUnknown.
Result<MapRequest, JsonError> parse_map_request(std::string_view json);
std::string write_map_request(const MapRequest& request);

}  // namespace sallyport::tailcfg
