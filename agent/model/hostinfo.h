// SPDX-License-Identifier: BSD-3-Clause
/// What a node says about itself and its network.
/// Source: tailscale tailcfg Hostinfo, NetInfo, Service; members that we neither send nor look at
/// are left out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/ip.h"

namespace sallyport {

/// What a node found out about the network that it is in. An absent flag: not known.
struct NetInfo {
  std::optional<bool> mapping_varies_by_dest_ip;  // a hard NAT
  std::optional<bool> working_ipv6;
  std::optional<bool> os_has_ipv6;
  std::optional<bool> working_udp;
  std::optional<bool> working_icmp_v4;
  bool have_port_map = false;
  std::optional<bool> upnp;
  std::optional<bool> pmp;
  std::optional<bool> pcp;
  uint16_t preferred_derp = 0;  // home; 0: none
  std::string link_type;
  std::map<std::string, double> derp_latency_s;  // "1-v4" -> seconds
  std::string firewall_mode;
  friend bool operator==(const NetInfo&, const NetInfo&) = default;
};

/// Something that a node serves. "peerapi4" and "peerapi6" say where its PeerAPI listens,
/// "peerapi-dns-proxy" (port 1) that it resolves names for users of the exit.
struct Service {
  std::string proto;
  uint16_t port = 0;
  std::string description;
  friend bool operator==(const Service&, const Service&) = default;
};

struct Hostinfo {
  std::string ipn_version;
  std::string backend_log_id;
  std::string os;
  std::string os_version;
  std::string distro;
  std::string distro_version;
  std::string app;
  std::string package;
  std::string hostname;
  bool shields_up = false;
  bool no_logs_no_support = false;
  std::string machine;  // architecture
  std::vector<Prefix> routable_ips;
  std::vector<std::string> request_tags;
  std::vector<Service> services;
  std::optional<NetInfo> net_info;
  std::optional<bool> userspace;
  std::optional<bool> userspace_router;
  std::optional<bool> app_connector;
  bool peer_relay = false;
  friend bool operator==(const Hostinfo&, const Hostinfo&) = default;
};

}  // namespace sallyport
