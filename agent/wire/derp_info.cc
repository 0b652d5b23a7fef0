// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/derp_info.h"

#include <sodium.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace sallyport::derp {
namespace {

using Json = nlohmann::json;

Bytes seal(const Json& json, const BoxKey& box_key, const BoxNonce& nonce) {
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  Bytes box(text.size() + kBoxTag);
  box_key.seal(nonce, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}, box);
  return box;
}

/// An object, or nothing.
std::optional<Json> open(const BoxNonce& nonce, ByteView box, const BoxKey& box_key) {
  if (box.size() < kBoxTag) return {};
  Bytes text(box.size() - kBoxTag);
  if (!box_key.open(nonce, box, text)) return {};
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return {};
  return json;
}

// Each reads a member into `out` and leaves it alone if there is none. False: of another type.
bool read(const Json& json, const char* name, bool& out) {
  const auto found = json.find(name);
  if (found == json.end() || found->is_null()) return true;
  if (!found->is_boolean()) return false;
  out = found->get<bool>();
  return true;
}
template <std::integral Number>
bool read(const Json& json, const char* name, Number& out) {
  const auto found = json.find(name);
  if (found == json.end() || found->is_null()) return true;
  if (!found->is_number_integer()) return false;
  const auto value = found->get<int64_t>();
  if (value < 0 || !std::in_range<Number>(value)) return false;
  out = static_cast<Number>(value);
  return true;
}
bool read(const Json& json, const char* name, std::string& out) {
  const auto found = json.find(name);
  if (found == json.end() || found->is_null()) return true;
  if (!found->is_string()) return false;
  out = found->get<std::string>();
  return true;
}

/// False: not a key. An absent one, an empty one and one of zeros are none.
bool read_mesh_key(const Json& json, std::optional<Secret<32>>& out) {
  std::string hex;
  if (!read(json, "meshKey", hex)) return false;
  if (hex.empty()) return true;
  std::array<uint8_t, 32> raw{};
  size_t length = 0;
  if (hex.size() != 2 * raw.size() ||
      sodium_hex2bin(raw.data(), raw.size(), hex.data(), hex.size(), nullptr, &length, nullptr) !=
          0 ||
      length != raw.size()) {
    return false;
  }
  const Secret<32> key{std::span<const uint8_t, 32>(raw)};
  sodium_memzero(raw.data(), raw.size());
  if (key != Secret<32>()) out = key;
  return true;
}

std::string hex_of(const Secret<32>& secret) {
  std::array<char, 65> hex{};
  sodium_bin2hex(hex.data(), hex.size(), secret.reveal().data(), 32);
  std::string out(hex.data());
  sodium_memzero(hex.data(), hex.size());
  return out;
}

template <class Box>
Bytes frame_of(const Box& message, size_t body) {
  Bytes out(kHead + body);
  out.resize(write(message, out).size());
  return out;
}

}  // namespace

Bytes write_client_info(const ClientInfo& info, const NodeKey& client, const BoxKey& box_key,
                        const BoxNonce& nonce) {
  Json json = {{"version", info.version}, {"CanAckPings", info.can_ack_pings}};
  if (info.mesh_key && *info.mesh_key != Secret<32>()) json["meshKey"] = hex_of(*info.mesh_key);
  if (info.is_prober) json["IsProber"] = true;
  if (!info.app_name.empty()) json["AppName"] = info.app_name;
  const Bytes box = seal(json, box_key, nonce);
  return frame_of(ClientInfoBox{client, nonce, box},
                  client.bytes.size() + nonce.size() + box.size());
}

Bytes write_server_info(const ServerInfo& info, const BoxKey& box_key, const BoxNonce& nonce) {
  Json json = {{"version", info.version}};
  if (info.bytes_per_second > 0) json["TokenBucketBytesPerSecond"] = info.bytes_per_second;
  if (info.bytes_burst > 0) json["TokenBucketBytesBurst"] = info.bytes_burst;
  const Bytes box = seal(json, box_key, nonce);
  return frame_of(ServerInfoBox{nonce, box}, nonce.size() + box.size());
}

std::optional<ClientInfo> open_client_info(const ClientInfoBox& sealed, const BoxKey& box_key) {
  const auto json = open(sealed.nonce, sealed.box, box_key);
  if (!json) return {};
  ClientInfo info;
  info.version = 0;
  const bool good = read_mesh_key(*json, info.mesh_key) && read(*json, "version", info.version) &&
                    read(*json, "CanAckPings", info.can_ack_pings) &&
                    read(*json, "IsProber", info.is_prober) &&
                    read(*json, "AppName", info.app_name);
  if (!good) return {};
  return info;
}

std::optional<ServerInfo> open_server_info(const ServerInfoBox& sealed, const BoxKey& box_key) {
  const auto json = open(sealed.nonce, sealed.box, box_key);
  if (!json) return {};
  ServerInfo info;
  info.version = 0;
  const bool good = read(*json, "version", info.version) &&
                    read(*json, "TokenBucketBytesPerSecond", info.bytes_per_second) &&
                    read(*json, "TokenBucketBytesBurst", info.bytes_burst);
  if (!good) return {};
  return info;
}

}  // namespace sallyport::derp
