// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/netlink/wg_message.h"

#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/time_types.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "kmod-glue/netlink/attrs.h"

namespace sallyport {
namespace {

// Lists have no types in them; wg(8) sends 0 as well.
constexpr uint16_t kElement = 0;

constexpr auto kDevicePolicy = [] {
  AttrPolicy<WGDEVICE_A_MAX + 1> policy{};
  policy[WGDEVICE_A_IFNAME] = {Shape::kString};
  policy[WGDEVICE_A_PRIVATE_KEY] = {Shape::kExact, WG_KEY_LEN};
  policy[WGDEVICE_A_LISTEN_PORT] = {Shape::kExact, 2};
  policy[WGDEVICE_A_FWMARK] = {Shape::kExact, 4};
  policy[WGDEVICE_A_PEERS] = {Shape::kNest};
  return policy;
}();
constexpr auto kPeerPolicy = [] {
  AttrPolicy<WGPEER_A_MAX + 1> policy{};
  policy[WGPEER_A_PUBLIC_KEY] = {Shape::kExact, WG_KEY_LEN};
  policy[WGPEER_A_PRESHARED_KEY] = {Shape::kExact, WG_KEY_LEN};
  policy[WGPEER_A_ENDPOINT] = {Shape::kAtLeast, sizeof(sockaddr_in)};
  policy[WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL] = {Shape::kExact, 2};
  policy[WGPEER_A_LAST_HANDSHAKE_TIME] = {Shape::kExact, sizeof(__kernel_timespec)};
  policy[WGPEER_A_RX_BYTES] = {Shape::kExact, 8};
  policy[WGPEER_A_TX_BYTES] = {Shape::kExact, 8};
  policy[WGPEER_A_ALLOWEDIPS] = {Shape::kNest};
  return policy;
}();
constexpr auto kAllowedIpPolicy = [] {
  AttrPolicy<WGALLOWEDIP_A_MAX + 1> policy{};
  policy[WGALLOWEDIP_A_FAMILY] = {Shape::kExact, 2};
  policy[WGALLOWEDIP_A_IPADDR] = {Shape::kAtLeast, sizeof(in_addr)};
  policy[WGALLOWEDIP_A_CIDR_MASK] = {Shape::kExact, 1};
  return policy;
}();

bool begin(Message& message, uint16_t family, uint8_t command, std::string_view device) {
  message.begin_generic(family, command, WG_GENL_VERSION);
  return message.put_string(WGDEVICE_A_IFNAME, device);
}

bool put_endpoint(Message& message, const Endpoint& endpoint) {
  if (endpoint.address.is_v4()) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    address.sin_addr.s_addr = htonl(endpoint.address.v4_number());
    return message.put_value(WGPEER_A_ENDPOINT, address);
  }
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(endpoint.port);
  std::memcpy(&address.sin6_addr, endpoint.address.bytes.data(), sizeof(address.sin6_addr));
  return message.put_value(WGPEER_A_ENDPOINT, address);
}

bool put_allowed_ip(Message& message, const Prefix& prefix) {
  return message.put_nested(kElement, [&] {
    const ByteView bytes = prefix.address.bytes;
    const bool v4 = prefix.address.is_v4();
    return message.put_u16(WGALLOWEDIP_A_FAMILY, v4 ? AF_INET : AF_INET6) &&
           message.put(WGALLOWEDIP_A_IPADDR, v4 ? bytes.last(sizeof(in_addr)) : bytes) &&
           message.put_u8(WGALLOWEDIP_A_CIDR_MASK, prefix.length);
  });
}

/// What is said once of a peer, in its first message.
bool put_settings(Message& message, const SetPeer& peer) {
  if (peer.replace_preshared_key) {
    // Zeros take the key away.
    const bool put = peer.preshared_key
                         ? message.put(WGPEER_A_PRESHARED_KEY, peer.preshared_key->bytes.reveal())
                         : message.put_value(WGPEER_A_PRESHARED_KEY, std::array<uint8_t, 32>{});
    if (!put) return false;
  }
  if (peer.endpoint && !put_endpoint(message, *peer.endpoint)) return false;
  return !peer.keepalive_s ||
         message.put_u16(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, *peer.keepalive_s);
}

/// Puts the peer's allowed IPs from `at` on, as far as they fit, and moves `at`.
bool put_allowed_ips(Message& message, const SetPeer& peer, size_t& at) {
  if (!peer.allowed_ips || at == peer.allowed_ips->size()) return true;
  return message.put_nested(WGPEER_A_ALLOWEDIPS, [&] {
    const size_t before = at;
    while (at < peer.allowed_ips->size() && put_allowed_ip(message, (*peer.allowed_ips)[at])) ++at;
    return at > before;
  });
}

/// Puts one peer, or nothing. `at` is the first of its allowed IPs to send, and then the next.
bool put_peer(Message& message, const SetPeer& peer, size_t& at) {
  const bool first = at == 0;
  const uint32_t flags = (first && peer.create ? 0U : uint32_t{WGPEER_F_UPDATE_ONLY}) |
                         (first && peer.allowed_ips ? uint32_t{WGPEER_F_REPLACE_ALLOWEDIPS} : 0U);
  return message.put_nested(kElement, [&] {
    return message.put_value(WGPEER_A_PUBLIC_KEY, peer.public_key.bytes) &&
           message.put_u32(WGPEER_A_FLAGS, flags) && (!first || put_settings(message, peer)) &&
           put_allowed_ips(message, peer, at);
  });
}

/// An address of 4 or 16 bytes. IPv6 of the form ::ffff:a.b.c.d has no place in our values; the
/// kernel never routes it.
std::optional<IpAddress> read_address(uint16_t family, ByteView bytes) {
  if (family == AF_INET && bytes.size() >= sizeof(in_addr)) {
    ByteReader reader(bytes);
    return IpAddress::v4(reader.u32());
  }
  if (family == AF_INET6 && bytes.size() >= sizeof(in6_addr)) {
    return IpAddress::v6(bytes.first<sizeof(in6_addr)>());
  }
  return std::nullopt;
}

std::optional<Endpoint> read_endpoint(ByteView bytes) {
  ByteReader reader(bytes);
  sa_family_t family = 0;
  const ByteView raw = reader.take(sizeof(family));
  if (raw.empty()) return std::nullopt;
  std::memcpy(&family, raw.data(), sizeof(family));
  const uint16_t port = reader.u16();
  if (family == AF_INET6) reader.u32();  // flow label
  const auto address = read_address(family, reader.take(reader.left()));
  if (!address || (family == AF_INET6 && address->is_v4())) return std::nullopt;
  return Endpoint{*address, port};
}

/// Appends the allowed IPs of one message. False: malformed.
bool read_allowed_ips(ByteView list, std::vector<Prefix>& to) {
  AttrWalk walk(list);
  while (const auto element = walk.next()) {
    const auto attrs = Attrs<kAllowedIpPolicy.size()>::parse(element->value, kAllowedIpPolicy);
    if (!attrs) return false;
    const auto family = attrs->value<uint16_t>(WGALLOWEDIP_A_FAMILY);
    const auto length = attrs->value<uint8_t>(WGALLOWEDIP_A_CIDR_MASK);
    if (!family || !length) return false;
    const auto address = read_address(*family, attrs->nest(WGALLOWEDIP_A_IPADDR));
    if (!address) return false;
    if (*family == AF_INET6 && address->is_v4()) continue;
    if (*length > address->bits()) return false;
    to.push_back({*address, *length});
  }
  return !walk.malformed();
}

}  // namespace

bool write_get_device(Message& message, uint16_t family, std::string_view device) {
  return begin(message, family, WG_CMD_GET_DEVICE, device);
}

bool write_set_device(Message& message, uint16_t family, const SetDevice& set) {
  return begin(message, family, WG_CMD_SET_DEVICE, set.device) &&
         (!set.private_key ||
          message.put(WGDEVICE_A_PRIVATE_KEY, set.private_key->scalar.reveal())) &&
         (!set.listen_port || message.put_u16(WGDEVICE_A_LISTEN_PORT, *set.listen_port)) &&
         (!set.fwmark || message.put_u32(WGDEVICE_A_FWMARK, *set.fwmark));
}

bool write_remove_peer(Message& message, uint16_t family, const RemovePeer& remove) {
  return begin(message, family, WG_CMD_SET_DEVICE, remove.device) &&
         message.put_nested(WGDEVICE_A_PEERS, [&] {
           return message.put_nested(kElement, [&] {
             // UPDATE_ONLY: else a peer that is gone would be made in order to be removed.
             return message.put_value(WGPEER_A_PUBLIC_KEY, remove.public_key.bytes) &&
                    message.put_u32(WGPEER_A_FLAGS, WGPEER_F_REMOVE_ME | WGPEER_F_UPDATE_ONLY);
           });
         });
}

PeerCursor write_set_peers(Message& message, uint16_t family, std::span<const SetPeer> peers,
                           PeerCursor from) {
  if (from.peer >= peers.size()) return from;
  const std::string& device = peers[from.peer].device;
  PeerCursor next = from;
  const bool put = begin(message, family, WG_CMD_SET_DEVICE, device) &&
                   message.put_nested(WGDEVICE_A_PEERS, [&] {
                     while (next.peer < peers.size() && peers[next.peer].device == device) {
                       const SetPeer& peer = peers[next.peer];
                       if (!put_peer(message, peer, next.allowed_ip)) break;
                       const bool whole =
                           !peer.allowed_ips || next.allowed_ip == peer.allowed_ips->size();
                       if (!whole) break;
                       next = {next.peer + 1, 0};
                     }
                     return next != from;
                   });
  return put ? next : from;
}

bool WgDumpReader::on_message(ByteView attrs) {
  const auto device = Attrs<kDevicePolicy.size()>::parse(attrs, kDevicePolicy);
  if (!device) return false;
  WgDevice& into = seen_.device;
  if (into.name.empty()) into.name = device->string(WGDEVICE_A_IFNAME);
  if (const auto key = device->raw(WGDEVICE_A_PRIVATE_KEY)) {
    into.private_key = PrivateKey{Secret<32>(key->first<32>())};
  }
  if (const auto port = device->value<uint16_t>(WGDEVICE_A_LISTEN_PORT)) into.listen_port = *port;
  if (const auto mark = device->value<uint32_t>(WGDEVICE_A_FWMARK)) into.fwmark = *mark;

  AttrWalk peers(device->nest(WGDEVICE_A_PEERS));
  while (const auto element = peers.next()) {
    if (!on_peer(element->value)) return false;
  }
  return !peers.malformed();
}

bool WgDumpReader::on_peer(ByteView attrs) {
  const auto found = Attrs<kPeerPolicy.size()>::parse(attrs, kPeerPolicy);
  if (!found) return false;
  const auto key = found->value<std::array<uint8_t, 32>>(WGPEER_A_PUBLIC_KEY);
  if (!key) return false;

  WgPeer& peer = seen_.device.peers[PublicKey{*key}];
  WgPeerStats& stats = seen_.stats[PublicKey{*key}];
  peer.public_key.bytes = *key;
  if (const auto psk = found->raw(WGPEER_A_PRESHARED_KEY)) {
    // The kernel says zeros where there is none.
    const Secret<32> secret(psk->first<32>());
    if (secret != Secret<32>{}) peer.preshared_key = PresharedKey{secret};
  }
  if (const auto to = found->raw(WGPEER_A_ENDPOINT)) peer.endpoint = read_endpoint(*to);
  peer.keepalive_s =
      found->value<uint16_t>(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL).value_or(peer.keepalive_s);
  if (const auto at = found->value<__kernel_timespec>(WGPEER_A_LAST_HANDSHAKE_TIME)) {
    stats.last_handshake_unix_s = at->tv_sec;
  }
  stats.rx_bytes = found->value<uint64_t>(WGPEER_A_RX_BYTES).value_or(stats.rx_bytes);
  stats.tx_bytes = found->value<uint64_t>(WGPEER_A_TX_BYTES).value_or(stats.tx_bytes);
  return read_allowed_ips(found->nest(WGPEER_A_ALLOWEDIPS), peer.allowed_ips);
}

WgObserved WgDumpReader::finish() && {
  for (auto& [key, peer] : seen_.device.peers) std::ranges::sort(peer.allowed_ips);
  return std::move(seen_);
}

}  // namespace sallyport
