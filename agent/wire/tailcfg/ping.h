// SPDX-License-Identifier: BSD-3-Clause
/// A control server asks a node to show that it is there, or to answer a small HTTP request (c2n).
/// Source: tailscale tailcfg PingRequest, PingResponse.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "agent/model/ip.h"
#include "agent/wire/tailcfg/json_error.h"

namespace sallyport::tailcfg {

struct PingRequest {
  std::string url;
  bool url_is_noise = false;
  bool log = false;
  /// "": HEAD url. "c2n": answer the HTTP request in `payload` by a POST to url. Else a list with
  /// commas of "disco", "TSMP", "ICMP", "peerapi": ping `ip` and POST a PingResponse.
  std::string types;
  std::optional<IpAddress> ip;
  Bytes payload;
  friend bool operator==(const PingRequest&, const PingRequest&) = default;
};

struct PingResponse {
  std::string type;
  std::string ip;
  std::string node_ip;
  std::string node_name;
  std::string err;
  double latency_seconds = 0;
  std::string endpoint;
  std::string peer_relay;
  uint16_t derp_region_id = 0;
  std::string derp_region_code;
  uint16_t peerapi_port = 0;
  bool is_local_ip = false;
  friend bool operator==(const PingResponse&, const PingResponse&) = default;
};

Result<PingRequest, JsonError> parse_ping_request(std::string_view json);
Result<PingResponse, JsonError> parse_ping_response(std::string_view json);
std::string write_ping_request(const PingRequest& request);
std::string write_ping_response(const PingResponse& response);

}  // namespace sallyport::tailcfg
