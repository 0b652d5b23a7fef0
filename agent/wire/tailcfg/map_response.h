// SPDX-License-Identifier: BSD-3-Clause
/// A frame of the map stream: the whole netmap, or what has changed in it.
/// Source: tailscale tailcfg MapResponse.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/netmap.h"
#include "agent/wire/tailcfg/json_error.h"
#include "agent/wire/tailcfg/ping.h"

namespace sallyport::tailcfg {

/// 10,000 peers take about 12 MB.
constexpr size_t kMaxMapResponse = size_t{32} * 1024 * 1024;

/// The relays, or what has changed about them; an absent member stays.
struct DerpMapUpdate {
  std::optional<std::map<uint16_t, DerpRegion>> regions;
  std::optional<std::map<uint16_t, double>> region_score;
  bool omit_default_regions = false;
  friend bool operator==(const DerpMapUpdate&, const DerpMapUpdate&) = default;
};

/// Changes members of one peer; an absent member stays.
struct PeerChange {
  NodeId node_id{};
  uint16_t derp_region = 0;  // 0: stays
  uint32_t cap = 0;          // 0: stays
  std::optional<CapMap> cap_map;
  std::optional<std::vector<Endpoint>> endpoints;
  std::optional<NodeKey> node_key;
  std::optional<Bytes> key_signature;
  std::optional<DiscoKey> disco_key;
  std::optional<bool> online;
  std::optional<WallTime> last_seen;
  /// The outer: whether the member is there; the inner: never expires.
  std::optional<std::optional<WallTime>> key_expiry;
  friend bool operator==(const PeerChange&, const PeerChange&) = default;
};

/// Where to find the control server, by order of priority.
struct ControlCandidate {
  std::optional<IpAddress> ip;
  std::string ace_host;
  double dial_start_delay_s = 0;
  double dial_timeout_s = 0;
  int32_t priority = 0;
  friend bool operator==(const ControlCandidate&, const ControlCandidate&) = default;
};
struct ControlDialPlan {
  std::vector<ControlCandidate> candidates;
  friend bool operator==(const ControlDialPlan&, const ControlDialPlan&) = default;
};

struct ClientVersion {
  bool running_latest = false;
  std::string latest_version;
  bool urgent_security_update = false;
  bool notify = false;
  std::string notify_url;
  std::string notify_text;
  friend bool operator==(const ClientVersion&, const ClientVersion&) = default;
};

struct MapDebug {
  double sleep_seconds = 0;
  bool disable_log_tail = false;
  std::optional<int32_t> exit;
  friend bool operator==(const MapDebug&, const MapDebug&) = default;
};

/// An absent member says nothing about what it names, unlike one that is there and empty; the
/// reference takes null for absent, and so do we. Two exceptions are maps whose null values mean
/// "remove": `packet_filters` and `display_messages`, where the name "*" stands for all.
struct MapResponse {
  std::string map_session_handle;
  int64_t seq = 0;
  bool keep_alive = false;
  std::optional<PingRequest> ping_request;
  std::string pop_browser_url;
  std::optional<NetmapNode> node;
  std::optional<DerpMapUpdate> derp_map;
  std::vector<NetmapNode> peers;  // empty: the same as absent
  std::vector<NetmapNode> peers_changed;
  std::vector<NodeId> peers_removed;
  std::vector<PeerChange> peers_changed_patch;
  std::map<NodeId, bool> peer_seen_change;
  std::map<NodeId, bool> online_change;
  std::optional<DnsConfig> dns_config;
  std::string domain;
  std::optional<bool> collect_services;
  std::optional<std::vector<FilterRule>> packet_filter;
  std::optional<std::map<std::string, std::optional<std::vector<FilterRule>>>> packet_filters;
  std::vector<UserProfile> user_profiles;
  std::optional<std::vector<std::string>> health;
  std::optional<std::map<std::string, std::optional<DisplayMessage>>> display_messages;
  std::optional<RawJson> ssh_policy;
  std::optional<WallTime> control_time;
  std::optional<TkaInfo> tka_info;
  std::optional<MapDebug> debug;
  std::optional<ControlDialPlan> control_dial_plan;
  std::optional<ClientVersion> client_version;
  friend bool operator==(const MapResponse&, const MapResponse&) = default;
};

/// The payload of one frame, decompressed. Bounds: kMaxMapResponse and those of json_reader.h.
/// Time and memory are linear in its length.
Result<MapResponse, JsonError> parse_map_response(std::string_view json);
std::string write_map_response(const MapResponse& response);

/// A DERP map by itself, as tools and files have it.
Result<DerpMapUpdate, JsonError> parse_derp_map(std::string_view json);
std::string write_derp_map(const DerpMapUpdate& map);

}  // namespace sallyport::tailcfg
