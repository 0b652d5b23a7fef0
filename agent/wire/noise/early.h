// SPDX-License-Identifier: BSD-3-Clause
/// How a control connection begins, around the handshake.
///
/// The client asks for it over plain HTTP or TLS, by HTTP/1.1 only, at the host's root whatever the
/// login URL's path, with the initiation in base64 (standard alphabet, padded) in a header:
///
///   POST /ts2021 HTTP/1.1
///   Upgrade: tailscale-control-protocol
///   Connection: upgrade
///   X-Tailscale-Handshake: <base64 of 101 bytes>
///
/// The server answers 101 with the same Upgrade (compared exactly) and Connection, then on the raw
/// stream the response, then records. Within these the server may begin with an early payload:
///
///   ff ff ff 54 53 + u32 length (big-endian, at most 10 MiB) + JSON
///   {"nodeKeyChallenge":"chalpub:.."}
///
/// If the first 9 bytes begin otherwise, they are HTTP/2's first frame head and belong to it.
/// Source: tailscale control/controlhttp, control/ts2021/conn.go.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "agent/model/tailnet_keys.h"
#include "agent/wire/noise/handshake.h"

namespace sallyport::noise {

constexpr std::string_view kUpgradePath = "/ts2021";
constexpr std::string_view kUpgradeProtocol = "tailscale-control-protocol";
constexpr std::string_view kHandshakeHeader = "X-Tailscale-Handshake";

/// A value for kHandshakeHeader, and back. Nothing: not the base64 of as many bytes.
std::string handshake_header(const std::array<uint8_t, kInitiation>& initiation);
std::optional<std::array<uint8_t, kInitiation>> parse_handshake_header(std::string_view base64);

constexpr size_t kEarlyHead = 9;
constexpr size_t kMaxEarly = size_t{10} * 1024 * 1024;

enum class EarlyError : uint8_t { kTooLong };
/// The first kEarlyHead bytes of what the server says. Nothing: no early payload, and these bytes
/// are HTTP/2's. Else the length of the JSON after them.
Result<std::optional<size_t>, EarlyError> parse_early_head(
    std::span<const uint8_t, kEarlyHead> start);

struct EarlyPayload {
  /// Zero: none. No current client answers it.
  ChallengeKey node_key_challenge;
  friend bool operator==(const EarlyPayload&, const EarlyPayload&) = default;
};
/// Nothing: no JSON object, or a challenge that is no key.
std::optional<EarlyPayload> parse_early_payload(ByteView json);
/// Head and JSON.
Bytes write_early_payload(const EarlyPayload& payload);

}  // namespace sallyport::noise
