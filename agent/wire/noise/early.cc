// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/noise/early.h"

#include <sodium.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sallyport::noise {
namespace {

using Json = nlohmann::json;

constexpr std::array<uint8_t, 5> kMagic{0xff, 0xff, 0xff, 'T', 'S'};
constexpr const char* kChallenge = "nodeKeyChallenge";

}  // namespace

std::string handshake_header(const std::array<uint8_t, kInitiation>& initiation) {
  constexpr size_t kLength = sodium_base64_ENCODED_LEN(kInitiation, sodium_base64_VARIANT_ORIGINAL);
  std::array<char, kLength> text{};
  return sodium_bin2base64(text.data(), text.size(), initiation.data(), initiation.size(),
                           sodium_base64_VARIANT_ORIGINAL);
}

std::optional<std::array<uint8_t, kInitiation>> parse_handshake_header(std::string_view base64) {
  std::array<uint8_t, kInitiation> out{};
  size_t length = 0;
  if (sodium_base642bin(out.data(), out.size(), base64.data(), base64.size(), nullptr, &length,
                        nullptr, sodium_base64_VARIANT_ORIGINAL) != 0 ||
      length != out.size()) {
    return {};
  }
  // libsodium 1.0.18 takes some bytes beyond ASCII for digits.
  if (handshake_header(out) != base64) return {};
  return out;
}

Result<std::optional<size_t>, EarlyError> parse_early_head(
    std::span<const uint8_t, kEarlyHead> start) {
  ByteReader in(start);
  if (in.array<kMagic.size()>() != kMagic) return std::optional<size_t>();
  const size_t length = in.u32();
  if (length > kMaxEarly) return Fail{EarlyError::kTooLong};
  return std::optional(length);
}

std::optional<EarlyPayload> parse_early_payload(ByteView json) {
  const Json parsed = Json::parse(json.begin(), json.end(), nullptr, false);
  if (!parsed.is_object()) return {};
  EarlyPayload payload;
  const auto challenge = parsed.find(kChallenge);
  if (challenge == parsed.end() || challenge->is_null()) return payload;
  if (!challenge->is_string()) return {};
  const auto key = ChallengeKey::parse(challenge->get_ref<const std::string&>());
  if (!key) return {};
  payload.node_key_challenge = *key;
  return payload;
}

Bytes write_early_payload(const EarlyPayload& payload) {
  const std::string json = Json{{kChallenge, payload.node_key_challenge.text()}}.dump();
  ByteWriter out;
  out.bytes(kMagic);
  out.u32(static_cast<uint32_t>(json.size()));
  out.bytes({reinterpret_cast<const uint8_t*>(json.data()), json.size()});
  return std::move(out).finish();
}

}  // namespace sallyport::noise
