// SPDX-License-Identifier: BSD-3-Clause
/// What we ask of the kernel, and what we find there: the two sides that guard/reconcile compares.
/// Values only; kmod-glue reads and writes them. Everything `plan` can ask for can be observed.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/model/endpoint.h"
#include "agent/model/ip.h"
#include "agent/model/keys.h"

namespace sallyport {

enum class Family : uint8_t { kV4, kV6 };

/// One peer of a WireGuard device. Endpoints are moved by the kernel on every authenticated packet,
/// so a desired endpoint is only sent when the peer is new or its configured endpoint changed.
struct WgPeer {
  PublicKey public_key;
  std::optional<PresharedKey> preshared_key;
  std::optional<Endpoint> endpoint;
  uint16_t keepalive_s = 0;
  std::vector<Prefix> allowed_ips;  // sorted, no host bits
  friend bool operator==(const WgPeer&, const WgPeer&) = default;
};
/// Only observed.
struct WgPeerStats {
  int64_t last_handshake_unix_s = 0;  // 0: never
  uint64_t rx_bytes = 0;
  uint64_t tx_bytes = 0;
};

struct WgDevice {
  std::string name;
  std::optional<PrivateKey> private_key;
  uint16_t listen_port = 0;  // 0 in a desired state: any
  uint32_t fwmark = 0;
  std::map<PublicKey, WgPeer> peers;
};

struct Link {
  uint32_t mtu = 0;
  bool up = false;
  friend bool operator==(const Link&, const Link&) = default;
};

enum class RouteKind : uint8_t { kUnicast, kUnreachable };
struct Route {
  Prefix to;
  RouteKind kind = RouteKind::kUnicast;
  std::string device;  // empty for kUnreachable
  uint32_t table = 0;
  uint32_t metric = 0;
  friend auto operator<=>(const Route&, const Route&) = default;
};

/// A policy routing rule (ip-rule(8)).
struct RoutingRule {
  Family family = Family::kV4;
  uint32_t priority = 0;
  uint32_t mark = 0;
  uint32_t mask = 0;  // 0: any mark
  std::optional<Prefix> to;
  uint32_t table = 0;
  friend auto operator<=>(const RoutingRule&, const RoutingRule&) = default;
};

/// Source NAT for what leaves by `device`, coming from our WireGuard device.
struct Masquerade {
  std::string device;
  std::optional<Prefix> to;  // a LAN; nothing: the exit
  Family family = Family::kV4;
  friend auto operator<=>(const Masquerade&, const Masquerade&) = default;
};
/// Our own nftables table, as values. kmod-glue/nft renders it in one transaction.
struct NftTable {
  std::string wg_device;
  uint16_t wg_port = 0;                 // never the source port of a masqueraded flow
  std::vector<Masquerade> masquerades;  // sorted
  std::vector<std::string>
      wan_devices;  // where the guard chain keeps foreign masquerades off our ports
  /// Of a node that holds paths; 0: there is none. The first is kept as wg_port is; between the
  /// second, on lo, and WireGuard nothing is tracked, so that no foreign masquerade meets it.
  uint16_t agent_port = 0;
  uint16_t relay_port = 0;
  friend bool operator==(const NftTable&, const NftTable&) = default;
};

/// A NIC feature by its ethtool name.
struct Offload {
  std::string device;
  std::string feature;  // "rx-udp-gro-forwarding", "rx-gro-list"
  friend auto operator<=>(const Offload&, const Offload&) = default;
};

/// Where a program of ours is attached. The programs themselves are in bpf/.
enum class Hook : uint8_t {
  kTailnetIn,
  kTailnetOut,
  kPortIn,
  kPortOut,   // only beside a node that holds paths, as the next
  kLoopback,  // what leaves by lo
};
struct Attachment {
  std::string device;
  Hook hook = Hook::kTailnetIn;
  friend auto operator<=>(const Attachment&, const Attachment&) = default;
};

struct KernelState {
  std::optional<WgDevice> wireguard;  // absent: no device of ours
  std::optional<Link> link;           // of the WireGuard device
  std::vector<Prefix> addresses;      // of the WireGuard device; sorted
  std::vector<Route> routes;          // in our table; sorted
  std::vector<RoutingRule> rules;     // at our priorities; sorted
  std::optional<NftTable> nft;
  std::map<std::string, std::string> sysctls;  // "net/ipv4/ip_forward" -> "1"
  std::map<Offload, bool> offloads;
  std::vector<Attachment> attachments;  // sorted
};

/// One step towards a desired state. Each is applied alone and may fail alone.
struct CreateLink {
  std::string device;
};
struct DeleteLink {
  std::string device;
};
struct SetLink {
  std::string device;
  Link link;
};
struct SetDevice {  // without peers
  std::string device;
  std::optional<PrivateKey> private_key;
  std::optional<uint16_t> listen_port;
  std::optional<uint32_t> fwmark;
};
/// Touches one peer. Members that are absent stay as they are.
struct SetPeer {
  std::string device;
  PublicKey public_key;
  bool create = false;  // false: update only, so that a peer just removed is not made again
  bool replace_preshared_key = false;
  std::optional<PresharedKey> preshared_key;  // with replace_preshared_key: absent = none
  std::optional<Endpoint> endpoint;
  std::optional<uint16_t> keepalive_s;
  std::optional<std::vector<Prefix>> allowed_ips;  // replaces them all
};
struct RemovePeer {
  std::string device;
  PublicKey public_key;
};
struct AddAddress {
  std::string device;
  Prefix address;
};
struct DeleteAddress {
  std::string device;
  Prefix address;
};
struct AddRoute {
  Route route;
};  // or replaces the one with the same prefix, table and metric
struct DeleteRoute {
  Route route;
};
struct AddRoutingRule {
  RoutingRule rule;
};
struct DeleteRoutingRule {
  RoutingRule rule;
};
struct ReplaceNftTable {
  NftTable table;
};
struct DeleteNftTable {};
struct SetSysctl {
  std::string key;
  std::string value;
};
struct SetOffload {
  Offload offload;
  bool on = false;
};
struct Attach {
  Attachment attachment;
};
struct Detach {
  Attachment attachment;
};

using Operation =
    std::variant<CreateLink, DeleteLink, SetLink, SetDevice, SetPeer, RemovePeer, AddAddress,
                 DeleteAddress, AddRoute, DeleteRoute, AddRoutingRule, DeleteRoutingRule,
                 ReplaceNftTable, DeleteNftTable, SetSysctl, SetOffload, Attach, Detach>;

/// What the kernel can do; see kmod-glue/probe.
struct Capabilities {
  std::string release;
  bool wireguard = false;
  bool btf = false;
  bool tcx = false;  // else clsact
  bool nftables = false;
  bool masquerade = false;
};

/// A network device as the kernel shows it; foreign ones included.
struct Device {
  uint32_t index = 0;
  std::string name;
  bool loopback = false;
  bool wireguard = false;  // any WireGuard device, ours or not
  bool ethernet = false;   // has a 14-byte header; else packets start with IP
  bool up = false;
  bool default_route = false;     // a WAN
  std::vector<Prefix> addresses;  // with the host's own bits
  friend bool operator==(const Device&, const Device&) = default;
};

}  // namespace sallyport
