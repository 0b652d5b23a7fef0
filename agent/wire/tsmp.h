// SPDX-License-Identifier: BSD-3-Clause
/// TSMP, what nodes say to each other inside the tunnel: whole IP packets of protocol 99. Integers
/// big-endian.
///
///   reject      '!' + u8 protocol + u8 reason + u16 source port + u16 destination port [+ u8
///   flags] ping        'p' + 8 bytes pong        'o' + the ping's 8 bytes [+ u16 port of the
///   PeerAPI, 0: none] disco key   'a' + disco key (32)
///
/// Bytes after these are left unread. Source: tailscale net/packet/tsmp.go.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "agent/model/ip.h"
#include "agent/model/tailnet_keys.h"

namespace sallyport::tsmp {

constexpr uint8_t kIpProtocol = 99;
/// The longest that write() makes: a disco key in IPv6.
constexpr size_t kMaxPacket = 40 + 33;

enum class Reason : uint8_t {
  kAcl = 'A',
  kShieldsUp = 'S',
  kNoForwarding = 'F',  // the node does not forward IP
  kHostFirewall = 'W',
  kTransitUnknown = 'T',  // an app connector knows no such transit address
};
/// Sent to the initiator of a flow that was refused; the ports are as that flow's packets had them.
struct Reject {
  uint8_t protocol = 0;          // of the flow: IANA's number
  Reason reason = Reason::kAcl;  // may hold a value that is not listed
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  bool maybe_broken = false;  // flag 1: only a possible cause, so go on trying
  friend bool operator==(const Reject&, const Reject&) = default;
};
struct Ping {
  std::array<uint8_t, 8> data{};
  friend bool operator==(const Ping&, const Ping&) = default;
};
struct Pong {
  std::array<uint8_t, 8> data{};
  uint16_t peer_api_port = 0;
  friend bool operator==(const Pong&, const Pong&) = default;
};
/// The sender's disco key, new since the receiver's netmap was.
struct DiscoKeyNews {
  DiscoKey disco_key;
  friend bool operator==(const DiscoKeyNews&, const DiscoKeyNews&) = default;
};
using Message = std::variant<Reject, Ping, Pong, DiscoKeyNews>;

struct Packet {
  IpAddress from;
  IpAddress to;
  Message message;
  friend bool operator==(const Packet&, const Packet&) = default;
};

enum class TsmpError : uint8_t {
  kNotIp,      // no whole IPv4 or IPv6 packet, a fragment, or an IPv4-mapped IPv6 address
  kNotTsmp,    // another protocol; IPv6 extension headers count as such
  kUnknown,    // a message that is not known here
  kTruncated,  // one that ends too early
};

/// IPv4's header checksum is not looked at: the packet came out of a tunnel that authenticates.
Result<Packet, TsmpError> parse(ByteView ip_packet);

/// An IP packet in `out`, hop limit 64, IPv4 with its checksum. Empty: no room, or addresses of two
/// families.
ByteView write(const Packet& packet, std::span<uint8_t> out);

}  // namespace sallyport::tsmp
