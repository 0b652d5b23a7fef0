// SPDX-License-Identifier: BSD-3-Clause
/// Which member of a struct has which name in JSON: the one list for reading and writing. Private
/// to this room.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "agent/model/netmap.h"
#include "agent/wire/tailcfg/map_request.h"
#include "agent/wire/tailcfg/map_response.h"
#include "agent/wire/tailcfg/ping.h"
#include "agent/wire/tailcfg/registration.h"
#include "agent/wire/tailcfg/server_key.h"

namespace sallyport::tailcfg {

class JsonReader;
using JsonValue = simdjson::dom::element;
using Json = nlohmann::ordered_json;

enum class Presence : uint8_t { kUnlessZero, kAlways };

template <class T>
struct Field {
  std::string_view name;
  Presence presence = Presence::kUnlessZero;
  void (*read)(JsonReader&, JsonValue, T&) = nullptr;  // never called with null
  Json (*write)(const T&) = nullptr;
  bool (*is_zero)(const T&) = nullptr;
};
template <class T>
using Fields = std::span<const Field<T>>;  // at most 64

// node_fields.cc
Fields<NetmapNode> fields_of(const NetmapNode*);
Fields<Hostinfo> fields_of(const Hostinfo*);
Fields<NetInfo> fields_of(const NetInfo*);
Fields<Service> fields_of(const Service*);
Fields<DnsResolver> fields_of(const DnsResolver*);
Fields<UserProfile> fields_of(const UserProfile*);
// map_fields.cc
Fields<MapResponse> fields_of(const MapResponse*);
Fields<PeerChange> fields_of(const PeerChange*);
Fields<DerpMapUpdate> fields_of(const DerpMapUpdate*);
Fields<DerpRegion> fields_of(const DerpRegion*);
Fields<DerpNode> fields_of(const DerpNode*);
Fields<DnsConfig> fields_of(const DnsConfig*);
Fields<DnsRecord> fields_of(const DnsRecord*);
Fields<FilterRule> fields_of(const FilterRule*);
Fields<NetPortRange> fields_of(const NetPortRange*);
Fields<PortRange> fields_of(const PortRange*);
Fields<CapGrant> fields_of(const CapGrant*);
Fields<DisplayMessage> fields_of(const DisplayMessage*);
Fields<TkaInfo> fields_of(const TkaInfo*);
Fields<MapDebug> fields_of(const MapDebug*);
Fields<ControlDialPlan> fields_of(const ControlDialPlan*);
Fields<ControlCandidate> fields_of(const ControlCandidate*);
Fields<ClientVersion> fields_of(const ClientVersion*);
Fields<PingRequest> fields_of(const PingRequest*);
// node_messages.cc
Fields<PingResponse> fields_of(const PingResponse*);
Fields<MapRequest> fields_of(const MapRequest*);
Fields<RegisterRequest> fields_of(const RegisterRequest*);
Fields<RegisterAuth> fields_of(const RegisterAuth*);
Fields<RegisterResponse> fields_of(const RegisterResponse*);
Fields<User> fields_of(const User*);
Fields<Login> fields_of(const Login*);
Fields<ServerKeys> fields_of(const ServerKeys*);
Fields<EarlyNoise> fields_of(const EarlyNoise*);

template <class T>
concept Listed = requires { fields_of(static_cast<const T*>(nullptr)); };

}  // namespace sallyport::tailcfg
