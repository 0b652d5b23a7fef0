// SPDX-License-Identifier: BSD-3-Clause
// What a netmap consists of beside its nodes.
#include "agent/wire/tailcfg/field_of.h"

namespace sallyport::tailcfg {
namespace {

constexpr Presence kAlways = Presence::kAlways;

constexpr Field<MapResponse> kMapResponse[] = {
    field<&MapResponse::map_session_handle>("MapSessionHandle"),
    field<&MapResponse::seq>("Seq"),
    field<&MapResponse::keep_alive>("KeepAlive"),
    field<&MapResponse::ping_request>("PingRequest"),
    field<&MapResponse::pop_browser_url>("PopBrowserURL"),
    field<&MapResponse::node>("Node"),
    field<&MapResponse::derp_map>("DERPMap"),
    field<&MapResponse::peers>("Peers"),
    field<&MapResponse::peers_changed>("PeersChanged"),
    field<&MapResponse::peers_removed>("PeersRemoved"),
    field<&MapResponse::peers_changed_patch>("PeersChangedPatch"),
    field<&MapResponse::peer_seen_change>("PeerSeenChange"),
    field<&MapResponse::online_change>("OnlineChange"),
    field<&MapResponse::dns_config>("DNSConfig"),
    field<&MapResponse::domain>("Domain"),
    field<&MapResponse::collect_services>("CollectServices"),
    field<&MapResponse::packet_filter>("PacketFilter"),
    field<&MapResponse::packet_filters>("PacketFilters"),
    field<&MapResponse::user_profiles>("UserProfiles"),
    field<&MapResponse::health>("Health"),
    field<&MapResponse::display_messages>("DisplayMessages"),
    field<&MapResponse::ssh_policy>("SSHPolicy"),
    field<&MapResponse::control_time>("ControlTime"),
    field<&MapResponse::tka_info>("TKAInfo"),
    field<&MapResponse::debug>("Debug"),
    field<&MapResponse::control_dial_plan>("ControlDialPlan"),
    field<&MapResponse::client_version>("ClientVersion"),
};

constexpr Field<PeerChange> kPeerChange[] = {
    field<&PeerChange::node_id>("NodeID", kAlways),
    field<&PeerChange::derp_region>("DERPRegion"),
    field<&PeerChange::cap>("Cap"),
    field<&PeerChange::cap_map>("CapMap"),
    passed_on<&PeerChange::endpoints>("Endpoints"),
    field<&PeerChange::node_key>("Key"),
    field<&PeerChange::key_signature>("KeySignature"),
    field<&PeerChange::disco_key>("DiscoKey"),
    field<&PeerChange::online>("Online"),
    field<&PeerChange::last_seen>("LastSeen"),
    field<&PeerChange::key_expiry>("KeyExpiry"),
};

/// The scores are in an object of their own.
void read_home_params(JsonReader& in, JsonValue value, DerpMapUpdate& out) {
  simdjson::dom::object params;
  if (value.get(params) != simdjson::SUCCESS) return in.fail_type("object");
  JsonValue score;
  if (params.at_key("RegionScore").get(score) != simdjson::SUCCESS || score.is_null()) return;
  const JsonReader::Step step(in, "RegionScore");
  read(in, score, out.region_score);
}
constexpr Field<DerpMapUpdate> kHomeParams{
    .name = "HomeParams",
    .read = read_home_params,
    .write =
        [](const DerpMapUpdate& from) { return Json{{"RegionScore", write(from.region_score)}}; },
    .is_zero = [](const DerpMapUpdate& from) { return !from.region_score; },
};
/// The key is the region's number, whatever the region says. Some servers send null for a region
/// that is gone.
void read_regions(JsonReader& in, JsonValue value, DerpMapUpdate& out) {
  read(in, value, out.regions);
  if (in.failed()) return;
  std::erase_if(*out.regions,
                [](const auto& entry) { return entry.first == 0 || entry.second == DerpRegion{}; });
  for (auto& [id, region] : *out.regions) region.id = id;
}
constexpr Field<DerpMapUpdate> regions() {
  auto out = field<&DerpMapUpdate::regions>("Regions", kAlways);
  out.read = read_regions;
  return out;
}
constexpr Field<DerpMapUpdate> kDerpMap[] = {
    kHomeParams,
    regions(),
    field<&DerpMapUpdate::omit_default_regions>("omitDefaultRegions"),
};

/// Each node names its region again.
constexpr Field<DerpRegion> nodes() {
  auto out = field<&DerpRegion::nodes>("Nodes", kAlways);
  out.write = [](const DerpRegion& from) {
    Json list = Json::array();
    for (const DerpNode& node : from.nodes) {
      Json one = write(node);
      one["RegionID"] = from.id;
      list.push_back(std::move(one));
    }
    return list;
  };
  return out;
}
constexpr Field<DerpRegion> kDerpRegion[] = {
    field<&DerpRegion::id>("RegionID", kAlways),
    field<&DerpRegion::code>("RegionCode", kAlways),
    field<&DerpRegion::name>("RegionName", kAlways),
    field<&DerpRegion::avoid>("Avoid"),
    field<&DerpRegion::no_measure_no_home>("NoMeasureNoHome"),
    nodes(),
};
constexpr Field<DerpNode> kDerpNode[] = {
    field<&DerpNode::name>("Name", kAlways),
    field<&DerpNode::host_name>("HostName", kAlways),
    field<&DerpNode::cert_name>("CertName"),
    field<&DerpNode::ipv4>("IPv4"),
    field<&DerpNode::ipv6>("IPv6"),
    field<&DerpNode::stun_port>("STUNPort"),
    field<&DerpNode::stun_only>("STUNOnly"),
    field<&DerpNode::derp_port>("DERPPort"),
    field<&DerpNode::insecure_for_tests>("InsecureForTests"),
    field<&DerpNode::stun_test_ip>("STUNTestIP"),
    field<&DerpNode::can_port80>("CanPort80"),
};

constexpr Field<DnsConfig> kDnsConfig[] = {
    field<&DnsConfig::resolvers>("Resolvers"),
    field<&DnsConfig::routes>("Routes"),
    field<&DnsConfig::fallback_resolvers>("FallbackResolvers"),
    field<&DnsConfig::domains>("Domains"),
    field<&DnsConfig::proxied>("Proxied"),
    field<&DnsConfig::cert_domains>("CertDomains"),
    field<&DnsConfig::extra_records>("ExtraRecords"),
    field<&DnsConfig::exit_node_filtered_set>("ExitNodeFilteredSet"),
};
constexpr Field<DnsRecord> kDnsRecord[] = {
    field<&DnsRecord::name>("Name", kAlways),
    field<&DnsRecord::type>("Type"),
    field<&DnsRecord::value>("Value", kAlways),
};

constexpr Field<FilterRule> kFilterRule[] = {
    field<&FilterRule::src_ips>("SrcIPs", kAlways), field<&FilterRule::src_bits>("SrcBits"),
    field<&FilterRule::dst_ports>("DstPorts"),      field<&FilterRule::ip_proto>("IPProto"),
    field<&FilterRule::cap_grants>("CapGrant"),
};
constexpr Field<NetPortRange> kNetPortRange[] = {
    field<&NetPortRange::ip>("IP", kAlways),
    field<&NetPortRange::bits>("Bits"),
    field<&NetPortRange::ports>("Ports", kAlways),
};
constexpr Field<PortRange> kPortRange[] = {
    field<&PortRange::first>("First", kAlways),
    field<&PortRange::last>("Last", kAlways),
};
constexpr Field<CapGrant> kCapGrant[] = {
    field<&CapGrant::dsts>("Dsts", kAlways),
    field<&CapGrant::caps>("Caps"),
    field<&CapGrant::cap_map>("CapMap"),
};

/// A message's button is an object of its own.
void read_action(JsonReader& in, JsonValue value, DisplayMessage& out) {
  std::map<std::string, std::string> action;
  read(in, value, action);
  out.action_url = action["URL"];
  out.action_label = action["Label"];
}
constexpr Field<DisplayMessage> kAction{
    .name = "PrimaryAction",
    .read = read_action,
    .write =
        [](const DisplayMessage& from) {
          return Json{{"URL", from.action_url}, {"Label", from.action_label}};
        },
    .is_zero =
        [](const DisplayMessage& from) {
          return from.action_url.empty() && from.action_label.empty();
        },
};
constexpr Field<DisplayMessage> kDisplayMessage[] = {
    field<&DisplayMessage::title>("Title", kAlways),
    field<&DisplayMessage::text>("Text", kAlways),
    field<&DisplayMessage::severity>("Severity", kAlways),
    field<&DisplayMessage::impacts_connectivity>("ImpactsConnectivity"),
    kAction,
};

constexpr Field<TkaInfo> kTkaInfo[] = {
    field<&TkaInfo::head>("Head"),
    field<&TkaInfo::disabled>("Disabled"),
};
constexpr Field<MapDebug> kMapDebug[] = {
    field<&MapDebug::sleep_seconds>("SleepSeconds"),
    field<&MapDebug::disable_log_tail>("DisableLogTail"),
    field<&MapDebug::exit>("Exit"),
};
constexpr Field<ControlDialPlan> kControlDialPlan[] = {
    field<&ControlDialPlan::candidates>("Candidates", kAlways),
};
constexpr Field<ControlCandidate> kControlCandidate[] = {
    field<&ControlCandidate::ip>("IP"),
    field<&ControlCandidate::ace_host>("ACEHost"),
    field<&ControlCandidate::dial_start_delay_s>("DialStartDelaySec"),
    field<&ControlCandidate::dial_timeout_s>("DialTimeoutSec"),
    field<&ControlCandidate::priority>("Priority"),
};
constexpr Field<ClientVersion> kClientVersion[] = {
    field<&ClientVersion::running_latest>("RunningLatest"),
    field<&ClientVersion::latest_version>("LatestVersion"),
    field<&ClientVersion::urgent_security_update>("UrgentSecurityUpdate"),
    field<&ClientVersion::notify>("Notify"),
    field<&ClientVersion::notify_url>("NotifyURL"),
    field<&ClientVersion::notify_text>("NotifyText"),
};

constexpr Field<PingRequest> kPingRequest[] = {
    field<&PingRequest::url>("URL", kAlways),
    field<&PingRequest::url_is_noise>("URLIsNoise"),
    field<&PingRequest::log>("Log"),
    field<&PingRequest::types>("Types"),
    field<&PingRequest::ip>("IP"),
    field<&PingRequest::payload>("Payload"),
};

}  // namespace

Fields<MapResponse> fields_of(const MapResponse*) { return kMapResponse; }
Fields<PeerChange> fields_of(const PeerChange*) { return kPeerChange; }
Fields<DerpMapUpdate> fields_of(const DerpMapUpdate*) { return kDerpMap; }
Fields<DerpRegion> fields_of(const DerpRegion*) { return kDerpRegion; }
Fields<DerpNode> fields_of(const DerpNode*) { return kDerpNode; }
Fields<DnsConfig> fields_of(const DnsConfig*) { return kDnsConfig; }
Fields<DnsRecord> fields_of(const DnsRecord*) { return kDnsRecord; }
Fields<FilterRule> fields_of(const FilterRule*) { return kFilterRule; }
Fields<NetPortRange> fields_of(const NetPortRange*) { return kNetPortRange; }
Fields<PortRange> fields_of(const PortRange*) { return kPortRange; }
Fields<CapGrant> fields_of(const CapGrant*) { return kCapGrant; }
Fields<DisplayMessage> fields_of(const DisplayMessage*) { return kDisplayMessage; }
Fields<TkaInfo> fields_of(const TkaInfo*) { return kTkaInfo; }
Fields<MapDebug> fields_of(const MapDebug*) { return kMapDebug; }
Fields<ControlDialPlan> fields_of(const ControlDialPlan*) { return kControlDialPlan; }
Fields<ControlCandidate> fields_of(const ControlCandidate*) { return kControlCandidate; }
Fields<ClientVersion> fields_of(const ClientVersion*) { return kClientVersion; }
Fields<PingRequest> fields_of(const PingRequest*) { return kPingRequest; }

Result<MapResponse, JsonError> parse_map_response(std::string_view json) {
  return parse<MapResponse>(json, kMaxMapResponse);
}
std::string write_map_response(const MapResponse& response) { return text_of(write(response)); }

Result<DerpMapUpdate, JsonError> parse_derp_map(std::string_view json) {
  return parse<DerpMapUpdate>(json, kMaxBody);
}
std::string write_derp_map(const DerpMapUpdate& map) { return text_of(write(map)); }

Result<PingRequest, JsonError> parse_ping_request(std::string_view json) {
  return parse<PingRequest>(json, 2 * kMaxBinary);
}
std::string write_ping_request(const PingRequest& request) { return text_of(write(request)); }

}  // namespace sallyport::tailcfg
