// SPDX-License-Identifier: BSD-3-Clause
// Nodes and what they say of themselves.
#include <charconv>

#include "agent/wire/tailcfg/field_of.h"

namespace sallyport::tailcfg {
namespace {

constexpr Presence kAlways = Presence::kAlways;

/// "127.3.3.40:17" is how old servers say that the home is region 17. Never written.
/// Source: tailscale tailcfg DerpMagicIP.
void read_legacy_derp(JsonReader& in, JsonValue value, NetmapNode& out) {
  constexpr std::string_view kMagic = "127.3.3.40:";
  std::string_view text;
  if (!in.string(value, text) || !text.starts_with(kMagic) || out.home_derp != 0) return;
  text.remove_prefix(kMagic.size());
  uint16_t region = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), region);
  if (error == std::errc{} && end == text.data() + text.size()) out.home_derp = region;
}
/// 0 beside an old "DERP" says nothing.
void read_home_derp(JsonReader& in, JsonValue value, NetmapNode& out) {
  uint16_t region = 0;
  read(in, value, region);
  if (region != 0) out.home_derp = region;
}

constexpr Field<NetmapNode> kLegacyDerp{
    .name = "DERP",
    .read = read_legacy_derp,
    .write = [](const NetmapNode&) { return Json(nullptr); },
    .is_zero = [](const NetmapNode&) { return true; },
};
constexpr Field<NetmapNode> home_derp() {
  auto out = field<&NetmapNode::home_derp>("HomeDERP");
  out.read = read_home_derp;
  return out;
}

constexpr Field<NetmapNode> kNode[] = {
    field<&NetmapNode::id>("ID", kAlways),
    field<&NetmapNode::stable_id>("StableID", kAlways),
    field<&NetmapNode::name>("Name", kAlways),
    field<&NetmapNode::user>("User", kAlways),
    field<&NetmapNode::sharer>("Sharer"),
    field<&NetmapNode::node_key>("Key", kAlways),
    field<&NetmapNode::key_expiry>("KeyExpiry"),
    field<&NetmapNode::key_signature>("KeySignature"),
    field<&NetmapNode::machine_key>("Machine"),
    field<&NetmapNode::disco_key>("DiscoKey"),
    field<&NetmapNode::addresses>("Addresses", kAlways),
    field<&NetmapNode::allowed_ips>("AllowedIPs"),
    passed_on<&NetmapNode::endpoints>("Endpoints"),
    kLegacyDerp,
    home_derp(),
    passed_on<&NetmapNode::hostinfo>("Hostinfo"),
    field<&NetmapNode::created>("Created"),
    field<&NetmapNode::cap>("Cap"),
    field<&NetmapNode::tags>("Tags"),
    field<&NetmapNode::primary_routes>("PrimaryRoutes"),
    field<&NetmapNode::last_seen>("LastSeen"),
    field<&NetmapNode::online>("Online"),
    field<&NetmapNode::machine_authorized>("MachineAuthorized"),
    field<&NetmapNode::capabilities>("Capabilities"),
    field<&NetmapNode::cap_map>("CapMap"),
    field<&NetmapNode::unsigned_peerapi_only>("UnsignedPeerAPIOnly"),
    field<&NetmapNode::expired>("Expired"),
    field<&NetmapNode::masquerade_v4>("SelfNodeV4MasqAddrForThisPeer"),
    field<&NetmapNode::masquerade_v6>("SelfNodeV6MasqAddrForThisPeer"),
    field<&NetmapNode::wireguard_only>("IsWireGuardOnly"),
    field<&NetmapNode::jailed>("IsJailed"),
    field<&NetmapNode::exit_node_resolvers>("ExitNodeDNSResolvers"),
};

constexpr Field<Hostinfo> kHostinfo[] = {
    field<&Hostinfo::ipn_version>("IPNVersion"),
    field<&Hostinfo::backend_log_id>("BackendLogID"),
    field<&Hostinfo::os>("OS"),
    field<&Hostinfo::os_version>("OSVersion"),
    field<&Hostinfo::distro>("Distro"),
    field<&Hostinfo::distro_version>("DistroVersion"),
    field<&Hostinfo::app>("App"),
    field<&Hostinfo::package>("Package"),
    field<&Hostinfo::hostname>("Hostname"),
    field<&Hostinfo::shields_up>("ShieldsUp"),
    field<&Hostinfo::no_logs_no_support>("NoLogsNoSupport"),
    field<&Hostinfo::machine>("Machine"),
    field<&Hostinfo::routable_ips>("RoutableIPs"),
    field<&Hostinfo::request_tags>("RequestTags"),
    field<&Hostinfo::services>("Services"),
    field<&Hostinfo::net_info>("NetInfo"),
    field<&Hostinfo::userspace>("Userspace"),
    field<&Hostinfo::userspace_router>("UserspaceRouter"),
    field<&Hostinfo::app_connector>("AppConnector"),
    field<&Hostinfo::peer_relay>("PeerRelay"),
};

constexpr Field<NetInfo> kNetInfo[] = {
    field<&NetInfo::mapping_varies_by_dest_ip>("MappingVariesByDestIP"),
    field<&NetInfo::working_ipv6>("WorkingIPv6"),
    field<&NetInfo::os_has_ipv6>("OSHasIPv6"),
    field<&NetInfo::working_udp>("WorkingUDP"),
    field<&NetInfo::working_icmp_v4>("WorkingICMPv4"),
    field<&NetInfo::have_port_map>("HavePortMap"),
    field<&NetInfo::upnp>("UPnP"),
    field<&NetInfo::pmp>("PMP"),
    field<&NetInfo::pcp>("PCP"),
    field<&NetInfo::preferred_derp>("PreferredDERP"),
    field<&NetInfo::link_type>("LinkType"),
    field<&NetInfo::derp_latency_s>("DERPLatency"),
    field<&NetInfo::firewall_mode>("FirewallMode"),
};

constexpr Field<Service> kService[] = {
    field<&Service::proto>("Proto", kAlways),
    field<&Service::port>("Port", kAlways),
    field<&Service::description>("Description"),
};

constexpr Field<DnsResolver> kResolver[] = {
    field<&DnsResolver::addr>("Addr"),
    field<&DnsResolver::bootstrap_resolution>("BootstrapResolution"),
    field<&DnsResolver::use_with_exit_node>("UseWithExitNode"),
};

constexpr Field<UserProfile> kUserProfile[] = {
    field<&UserProfile::id>("ID", kAlways),
    field<&UserProfile::login_name>("LoginName", kAlways),
    field<&UserProfile::display_name>("DisplayName", kAlways),
    field<&UserProfile::profile_pic_url>("ProfilePicURL"),
    field<&UserProfile::groups>("Groups"),
};

}  // namespace

Fields<NetmapNode> fields_of(const NetmapNode*) { return kNode; }
Fields<Hostinfo> fields_of(const Hostinfo*) { return kHostinfo; }
Fields<NetInfo> fields_of(const NetInfo*) { return kNetInfo; }
Fields<Service> fields_of(const Service*) { return kService; }
Fields<DnsResolver> fields_of(const DnsResolver*) { return kResolver; }
Fields<UserProfile> fields_of(const UserProfile*) { return kUserProfile; }

}  // namespace sallyport::tailcfg
