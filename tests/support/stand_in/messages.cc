// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/stand_in/messages.h"

#include <utility>
#include <variant>

namespace sallyport::stand_in {
namespace {

Json prefixes(const std::vector<Prefix>& all) {
  Json out = Json::array();
  for (const Prefix& prefix : all) out.push_back(prefix.text());
  return out;
}

std::vector<Prefix> prefixes_from(const Json& json) {
  std::vector<Prefix> out;
  for (const std::string text : json) out.push_back(*Prefix::parse(text));
  return out;
}

// Each kind of step under its own name; absent members are absent.
struct StepToJson {
  Json operator()(const CreateLink& s) const { return {{"create", s.device}}; }
  Json operator()(const DeleteLink& s) const { return {{"delete", s.device}}; }
  Json operator()(const SetDevice& s) const {
    Json out{{"set", s.device}};
    if (s.private_key) out["private_key"] = s.private_key->reveal_text();
    if (s.listen_port) out["listen_port"] = *s.listen_port;
    if (s.fwmark) out["fwmark"] = *s.fwmark;
    return out;
  }
  Json operator()(const SetPeer& s) const {
    Json out{{"peer", s.device},
             {"key", s.public_key.text()},
             {"create", s.create},
             {"replace_preshared_key", s.replace_preshared_key}};
    if (s.preshared_key) out["preshared_key"] = s.preshared_key->reveal_text();
    if (s.endpoint) out["endpoint"] = s.endpoint->text();
    if (s.keepalive_s) out["keepalive_s"] = *s.keepalive_s;
    if (s.allowed_ips) out["allowed_ips"] = prefixes(*s.allowed_ips);
    return out;
  }
  Json operator()(const RemovePeer& s) const {
    return {{"remove", s.device}, {"key", s.public_key.text()}};
  }
  template <class Other>
  Json operator()(const Other&) const {
    return Json::object();  // no step of WireGuard
  }
};

template <class T>
std::optional<T> member(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) return {};
  return found->get<T>();
}
template <class T>
std::optional<T> parsed(const Json& json, const char* name) {
  const auto text = member<std::string>(json, name);
  return text ? T::parse(*text) : std::nullopt;
}

SetPeer set_peer_from(const Json& json) {
  SetPeer out;
  out.device = json.at("peer");
  out.public_key = *parsed<PublicKey>(json, "key");
  out.create = json.at("create");
  out.replace_preshared_key = json.at("replace_preshared_key");
  out.preshared_key = parsed<PresharedKey>(json, "preshared_key");
  out.endpoint = parsed<Endpoint>(json, "endpoint");
  out.keepalive_s = member<uint16_t>(json, "keepalive_s");
  if (json.contains("allowed_ips")) out.allowed_ips = prefixes_from(json["allowed_ips"]);
  return out;
}

std::optional<Operation> step_from(const Json& json) {
  if (json.contains("create") && json["create"].is_string()) return CreateLink{json["create"]};
  if (json.contains("delete")) return DeleteLink{json["delete"]};
  if (json.contains("set")) {
    return SetDevice{.device = json["set"],
                     .private_key = parsed<PrivateKey>(json, "private_key"),
                     .listen_port = member<uint16_t>(json, "listen_port"),
                     .fwmark = member<uint32_t>(json, "fwmark")};
  }
  if (json.contains("peer")) return set_peer_from(json);
  if (json.contains("remove")) {
    return RemovePeer{.device = json["remove"], .public_key = *parsed<PublicKey>(json, "key")};
  }
  return {};
}

}  // namespace

Json dump_request(const std::string& device) { return {{"dump", device}}; }

Json to_json(const std::optional<WgObserved>& seen) {
  if (!seen) return nullptr;
  const WgDevice& device = seen->device;
  Json out{{"name", device.name},
           {"listen_port", device.listen_port},
           {"fwmark", device.fwmark},
           {"peers", Json::array()}};
  if (device.private_key) out["private_key"] = device.private_key->reveal_text();
  for (const auto& [key, peer] : device.peers) {
    const WgPeerStats& stats = seen->stats.at(key);
    Json one{{"key", key.text()},
             {"keepalive_s", peer.keepalive_s},
             {"allowed_ips", prefixes(peer.allowed_ips)},
             {"last_handshake", stats.last_handshake_unix_s},
             {"rx_bytes", stats.rx_bytes},
             {"tx_bytes", stats.tx_bytes}};
    if (peer.preshared_key) one["preshared_key"] = peer.preshared_key->reveal_text();
    if (peer.endpoint) one["endpoint"] = peer.endpoint->text();
    out["peers"].push_back(std::move(one));
  }
  return out;
}

std::optional<WgObserved> observed_from(const Json& json) {
  if (json.is_null()) return {};
  WgObserved out;
  out.device.name = json.at("name");
  out.device.listen_port = json.at("listen_port");
  out.device.fwmark = json.at("fwmark");
  out.device.private_key = parsed<PrivateKey>(json, "private_key");
  for (const Json& one : json.at("peers")) {
    const PublicKey key = *parsed<PublicKey>(one, "key");
    out.device.peers[key] = WgPeer{.public_key = key,
                                   .preshared_key = parsed<PresharedKey>(one, "preshared_key"),
                                   .endpoint = parsed<Endpoint>(one, "endpoint"),
                                   .keepalive_s = one.at("keepalive_s"),
                                   .allowed_ips = prefixes_from(one.at("allowed_ips"))};
    out.stats[key] = {.last_handshake_unix_s = one.at("last_handshake"),
                      .rx_bytes = one.at("rx_bytes"),
                      .tx_bytes = one.at("tx_bytes")};
  }
  return out;
}

Json steps_request(std::span<const Operation> steps) {
  Json all = Json::array();
  for (const Operation& step : steps) all.push_back(std::visit(StepToJson{}, step));
  return {{"steps", std::move(all)}};
}

std::vector<Operation> steps_from(const Json& request) {
  std::vector<Operation> out;
  for (const Json& json : request.at("steps")) {
    if (auto step = step_from(json)) out.push_back(*std::move(step));
  }
  return out;
}

Json to_json(const std::vector<Refusal>& refusals) {
  Json out = Json::array();
  for (const Refusal& one : refusals) out.push_back({one.index, one.error, one.doing});
  return out;
}

std::vector<Refusal> refusals_from(const Json& json) {
  std::vector<Refusal> out;
  for (const Json& one : json) out.push_back({one.at(0), one.at(1), one.at(2)});
  return out;
}

}  // namespace sallyport::stand_in
