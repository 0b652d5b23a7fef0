// SPDX-License-Identifier: BSD-3-Clause
/// What a control server says before a node is known: its key, over TLS, and the payload that may
/// come first on the Noise channel.
/// Source: tailscale tailcfg OverTLSPublicKeyResponse, EarlyNoise.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/model/tailnet_keys.h"
#include "agent/wire/tailcfg/json_error.h"

namespace sallyport::tailcfg {

/// The reference reads no more of it.
constexpr size_t kMaxServerKeys = size_t{64} * 1024;

struct ServerKeys {
  MachineKey legacy_public_key;
  MachineKey public_key;  // zero: the server is too old
  friend bool operator==(const ServerKeys&, const ServerKeys&) = default;
};
struct EarlyNoise {
  ChallengeKey node_key_challenge;
  friend bool operator==(const EarlyNoise&, const EarlyNoise&) = default;
};

Result<ServerKeys, JsonError> parse_server_keys(std::string_view json);
Result<EarlyNoise, JsonError> parse_early_noise(std::string_view json);
std::string write_server_keys(const ServerKeys& keys);
std::string write_early_noise(const EarlyNoise& early);

}  // namespace sallyport::tailcfg
