// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/paths_memory.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/node/netmap_state.h"
#include "agent/node/parking.h"

namespace sallyport {

namespace {

using Json = nlohmann::json;

constexpr int kVersion = 1;
constexpr size_t kMaxSeen = 8;
/// A round trip that was longer was never measured.
constexpr Duration kMaxRtt = kPingTimeout;

Json texts(const std::vector<Endpoint>& endpoints) {
  Json out = Json::array();
  for (const Endpoint& endpoint : endpoints) out.push_back(endpoint.text());
  return out;
}

Json write_peer(const RememberedPeer& peer) {
  Json out = {{"parking", peer.parking.text()}};
  const PathMemory& path = peer.path;
  if (path.kernel.direct) {
    out["direct"] = {{"peer", path.kernel.direct->peer.text()},
                     {"ours", path.kernel.direct->ours.text()},
                     {"ifindex", path.kernel.direct->ifindex},
                     {"rtt_ns", path.rtt.count()}};
  }
  if (!path.kernel.reversed.empty()) out["reversed"] = texts(path.kernel.reversed);
  if (!path.seen.empty()) out["seen"] = texts(path.seen);
  if (path.last_region != 0) out["region"] = path.last_region;
  return out;
}

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::string text_at(const Json& object, const char* name) {
  const Json* const value = member(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

uint64_t number_at(const Json& object, const char* name, uint64_t most) {
  const Json* const value = member(object, name);
  if (value == nullptr || !value->is_number_unsigned()) return 0;
  const auto number = value->get<uint64_t>();
  return number <= most ? number : 0;
}

std::vector<Endpoint> endpoints_at(const Json& object, const char* name) {
  std::vector<Endpoint> out;
  const Json* const list = member(object, name);
  if (list == nullptr || !list->is_array()) return out;
  for (const Json& entry : *list) {
    if (out.size() == kMaxSeen) break;
    if (!entry.is_string()) continue;
    if (const auto endpoint = Endpoint::parse(entry.get<std::string>())) out.push_back(*endpoint);
  }
  return out;
}

std::optional<RememberedPeer> parse_peer(const Json& object) {
  const auto parking = IpAddress::parse(text_at(object, "parking"));
  if (!parking || !is_parking(*parking)) return {};
  RememberedPeer out;
  out.parking = *parking;
  out.path.last_region = static_cast<uint16_t>(number_at(object, "region", UINT16_MAX));
  out.path.seen = endpoints_at(object, "seen");
  out.path.kernel.reversed = endpoints_at(object, "reversed");
  std::ranges::sort(out.path.kernel.reversed);
  const Json* const direct = member(object, "direct");
  if (direct == nullptr) return out;
  const auto peer = Endpoint::parse(text_at(*direct, "peer"));
  const auto ours = IpAddress::parse(text_at(*direct, "ours"));
  if (!peer || !is_possible(*peer)) return {};
  out.path.kernel.direct =
      DirectPath{*peer, ours.value_or(IpAddress{}),
                 static_cast<uint32_t>(number_at(*direct, "ifindex", INT32_MAX))};
  out.path.rtt = Duration(number_at(*direct, "rtt_ns", static_cast<uint64_t>(kMaxRtt.count())));
  return out;
}

}  // namespace

std::string write_paths_memory(const PathsMemory& memory) {
  Json peers = Json::object();
  for (const auto& [key, peer] : memory.peers) peers[node_key_text(key)] = write_peer(peer);
  const Json out = {{"v", kVersion},
                    {"disco_key", reveal_private_key_text(memory.disco)},
                    {"home", memory.home},
                    {"peers", std::move(peers)}};
  return out.dump() + "\n";
}

std::optional<PathsMemory> parse_paths_memory(std::string_view text) {
  if (text.empty() || text.size() > kMaxPathsMemory) return {};
  const Json object = Json::parse(text, nullptr, false);
  if (!object.is_object() || number_at(object, "v", kVersion) != kVersion) return {};
  const auto disco = parse_private_key(text_at(object, "disco_key"));
  if (!disco) return {};
  PathsMemory out;
  out.disco = *disco;
  out.home = static_cast<uint16_t>(number_at(object, "home", UINT16_MAX));
  const Json* const peers = member(object, "peers");
  if (peers == nullptr || !peers->is_object()) return out;
  for (const auto& [name, value] : peers->items()) {
    if (out.peers.size() == kMaxNetmapPeers) break;
    const auto key = parse_node_key(name);
    auto peer = parse_peer(value);
    if (key && peer) out.peers.emplace(*key, std::move(*peer));
  }
  return out;
}

}  // namespace sallyport
