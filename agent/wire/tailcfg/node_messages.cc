// SPDX-License-Identifier: BSD-3-Clause
// What a node sends, and the answers that are no netmap.
#include "agent/wire/tailcfg/field_of.h"

namespace sallyport::tailcfg {

// Not in the unnamed namespace: that is not searched for a type of this one.
// NOLINTNEXTLINE(misc-use-anonymous-namespace)
static void read(JsonReader& in, JsonValue value, EndpointType& out) {
  int64_t number = 0;
  read_number(in, value, 0, kMaxId, number);
  constexpr auto kLast = static_cast<int64_t>(EndpointType::kExplicit);
  out = number <= kLast ? static_cast<EndpointType>(number) : EndpointType::kUnknown;
}
// NOLINTNEXTLINE(misc-use-anonymous-namespace)
static Json write(EndpointType value) { return static_cast<int>(value); }

namespace {

constexpr Presence kAlways = Presence::kAlways;

constexpr Field<MapRequest> kMapRequest[] = {
    field<&MapRequest::version>("Version", kAlways),
    field<&MapRequest::compress>("Compress"),
    field<&MapRequest::keep_alive>("KeepAlive"),
    field<&MapRequest::node_key>("NodeKey", kAlways),
    field<&MapRequest::disco_key>("DiscoKey", kAlways),
    field<&MapRequest::stream>("Stream"),
    field<&MapRequest::hostinfo>("Hostinfo", kAlways),
    field<&MapRequest::endpoints>("Endpoints"),
    field<&MapRequest::endpoint_types>("EndpointTypes"),
    field<&MapRequest::tka_head>("TKAHead"),
    field<&MapRequest::read_only>("ReadOnly"),
    field<&MapRequest::omit_peers>("OmitPeers"),
    field<&MapRequest::debug_flags>("DebugFlags"),
};

constexpr Field<RegisterAuth> kRegisterAuth[] = {
    field<&RegisterAuth::auth_key>("AuthKey"),
};
constexpr Field<RegisterRequest> kRegisterRequest[] = {
    field<&RegisterRequest::version>("Version", kAlways),
    field<&RegisterRequest::node_key>("NodeKey", kAlways),
    field<&RegisterRequest::old_node_key>("OldNodeKey", kAlways),
    field<&RegisterRequest::lock_key>("NLKey", kAlways),
    field<&RegisterRequest::auth>("Auth"),
    field<&RegisterRequest::expiry>("Expiry", kAlways),
    field<&RegisterRequest::followup>("Followup"),
    field<&RegisterRequest::hostinfo>("Hostinfo", kAlways),
    field<&RegisterRequest::ephemeral>("Ephemeral"),
    field<&RegisterRequest::node_key_signature>("NodeKeySignature"),
    field<&RegisterRequest::tailnet>("Tailnet"),
};

constexpr Field<User> kUser[] = {
    field<&User::id>("ID", kAlways),
    field<&User::display_name>("DisplayName", kAlways),
    field<&User::profile_pic_url>("ProfilePicURL"),
    field<&User::created>("Created"),
};
constexpr Field<Login> kLogin[] = {
    field<&Login::id>("ID", kAlways),
    field<&Login::provider>("Provider", kAlways),
    field<&Login::login_name>("LoginName", kAlways),
    field<&Login::display_name>("DisplayName", kAlways),
    field<&Login::profile_pic_url>("ProfilePicURL"),
};
constexpr Field<RegisterResponse> kRegisterResponse[] = {
    field<&RegisterResponse::user>("User", kAlways),
    field<&RegisterResponse::login>("Login", kAlways),
    field<&RegisterResponse::node_key_expired>("NodeKeyExpired", kAlways),
    field<&RegisterResponse::machine_authorized>("MachineAuthorized", kAlways),
    field<&RegisterResponse::auth_url>("AuthURL", kAlways),
    field<&RegisterResponse::node_key_signature>("NodeKeySignature"),
    field<&RegisterResponse::error>("Error", kAlways),
};

constexpr Field<ServerKeys> kServerKeys[] = {
    field<&ServerKeys::legacy_public_key>("legacyPublicKey", kAlways),
    field<&ServerKeys::public_key>("publicKey", kAlways),
};
constexpr Field<EarlyNoise> kEarlyNoise[] = {
    field<&EarlyNoise::node_key_challenge>("nodeKeyChallenge", kAlways),
};

constexpr Field<PingResponse> kPingResponse[] = {
    field<&PingResponse::type>("Type", kAlways),
    field<&PingResponse::ip>("IP"),
    field<&PingResponse::node_ip>("NodeIP"),
    field<&PingResponse::node_name>("NodeName"),
    field<&PingResponse::err>("Err"),
    field<&PingResponse::latency_seconds>("LatencySeconds"),
    field<&PingResponse::endpoint>("Endpoint"),
    field<&PingResponse::peer_relay>("PeerRelay"),
    field<&PingResponse::derp_region_id>("DERPRegionID"),
    field<&PingResponse::derp_region_code>("DERPRegionCode"),
    field<&PingResponse::peerapi_port>("PeerAPIPort"),
    field<&PingResponse::is_local_ip>("IsLocalIP"),
};

}  // namespace

Fields<MapRequest> fields_of(const MapRequest*) { return kMapRequest; }
Fields<RegisterAuth> fields_of(const RegisterAuth*) { return kRegisterAuth; }
Fields<RegisterRequest> fields_of(const RegisterRequest*) { return kRegisterRequest; }
Fields<User> fields_of(const User*) { return kUser; }
Fields<Login> fields_of(const Login*) { return kLogin; }
Fields<RegisterResponse> fields_of(const RegisterResponse*) { return kRegisterResponse; }
Fields<ServerKeys> fields_of(const ServerKeys*) { return kServerKeys; }
Fields<EarlyNoise> fields_of(const EarlyNoise*) { return kEarlyNoise; }
Fields<PingResponse> fields_of(const PingResponse*) { return kPingResponse; }

Result<MapRequest, JsonError> parse_map_request(std::string_view json) {
  return parse<MapRequest>(json, kMaxBody);
}
std::string write_map_request(const MapRequest& request) { return text_of(write(request)); }

Result<RegisterRequest, JsonError> parse_register_request(std::string_view json) {
  return parse<RegisterRequest>(json, kMaxBody);
}
std::string write_register_request(const RegisterRequest& request) {
  return text_of(write(request));
}

Result<RegisterResponse, JsonError> parse_register_response(std::string_view json) {
  return parse<RegisterResponse>(json, kMaxBody);
}
std::string write_register_response(const RegisterResponse& response) {
  return text_of(write(response));
}

Result<ServerKeys, JsonError> parse_server_keys(std::string_view json) {
  return parse<ServerKeys>(json, kMaxServerKeys);
}
std::string write_server_keys(const ServerKeys& keys) { return text_of(write(keys)); }

Result<EarlyNoise, JsonError> parse_early_noise(std::string_view json) {
  return parse<EarlyNoise>(json, kMaxServerKeys);
}
std::string write_early_noise(const EarlyNoise& early) { return text_of(write(early)); }

Result<PingResponse, JsonError> parse_ping_response(std::string_view json) {
  return parse<PingResponse>(json, kMaxBody);
}
std::string write_ping_response(const PingResponse& response) { return text_of(write(response)); }

}  // namespace sallyport::tailcfg
