// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/node_object_codec.h"

#include <algorithm>

#include "agent/base/overloaded.h"

namespace sallyport::channel {
namespace {

constexpr uint8_t kV4 = 4;
constexpr uint8_t kV6 = 6;
constexpr uint16_t kMinutesADay = 1440;

Fail<ChannelError> bad() { return {ChannelError::kBadValue}; }

// Addresses.

void write_family(ByteWriter& out, const IpAddress& address) {
  out.u8(address.is_v4() ? kV4 : kV6);
}
void write_bytes(ByteWriter& out, const IpAddress& address) {
  if (address.is_v4()) {
    out.u32(address.v4_number());
  } else {
    out.bytes(address.bytes);
  }
}

Result<IpAddress, ChannelError> parse_address(ByteReader& in, uint8_t family) {
  if (family == kV4) {
    const uint32_t number = in.u32();
    if (!in.ok()) return Fail{ChannelError::kTruncated};
    return IpAddress::v4(number);
  }
  if (family != kV6) return Fail{in.ok() ? ChannelError::kUnknownKind : ChannelError::kTruncated};
  const auto bytes = in.array<16>();
  if (!in.ok()) return Fail{ChannelError::kTruncated};
  const IpAddress address = IpAddress::v6(bytes);
  if (address.is_v4()) return bad();  // ::ffff:0:0/96 would be a second spelling
  return address;
}

}  // namespace

void write_prefix(ByteWriter& out, const Prefix& prefix) {
  write_family(out, prefix.address);
  out.u8(prefix.length);
  write_bytes(out, prefix.address);
}
Result<Prefix, ChannelError> parse_prefix(ByteReader& in) {
  const uint8_t family = in.u8();
  const uint8_t length = in.u8();
  const IpAddress address = TRY(parse_address(in, family));
  if (length > address.bits()) return bad();
  return Prefix{address, length};
}

namespace {

void write_range(ByteWriter& out, const IpRange& range) {
  write_family(out, range.first);
  write_bytes(out, range.first);
  write_bytes(out, range.last);
}
Result<IpRange, ChannelError> parse_range(ByteReader& in) {
  const uint8_t family = in.u8();
  const IpAddress first = TRY(parse_address(in, family));
  const IpAddress last = TRY(parse_address(in, family));
  if (last < first) return bad();
  return IpRange{first, last};
}

}  // namespace

void write_endpoint(ByteWriter& out, const Endpoint& endpoint) {
  write_family(out, endpoint.address);
  write_bytes(out, endpoint.address);
  out.u16(endpoint.port);
}
Result<Endpoint, ChannelError> parse_endpoint(ByteReader& in) {
  const uint8_t family = in.u8();
  const IpAddress address = TRY(parse_address(in, family));
  const uint16_t port = in.u16();
  if (!in.ok()) return Fail{ChannelError::kTruncated};
  return Endpoint{address, port};
}

void write_address(ByteWriter& out, const IpAddress& address) {
  write_family(out, address);
  write_bytes(out, address);
}
Result<IpAddress, ChannelError> parse_address(ByteReader& in) {
  const uint8_t family = in.u8();
  return parse_address(in, family);
}

namespace {

// Lists: a 16-bit count and the members.

template <class T, class Write>
bool write_list(ByteWriter& out, const std::vector<T>& list, size_t most, Write write) {
  if (list.size() > most) return false;
  out.u16(static_cast<uint16_t>(list.size()));
  return std::ranges::all_of(list, [&](const T& member) {
    if constexpr (std::is_same_v<decltype(write(out, member)), bool>) {
      return write(out, member);
    } else {
      write(out, member);
      return true;
    }
  });
}

/// `precedes(a, b)`: may b follow a? One order, so that a value has one spelling.
template <class T, class Parse, class Precedes>
Result<std::vector<T>, ChannelError> parse_list(ByteReader& in, size_t most, Parse parse,
                                                Precedes precedes) {
  const uint16_t count = in.u16();
  if (count > most) return Fail{ChannelError::kTooMany};
  std::vector<T> list;
  for (uint16_t i = 0; i < count; ++i) {
    T member = TRY(parse(in));
    if (!in.ok()) return Fail{ChannelError::kTruncated};
    if (!list.empty() && !precedes(list.back(), member)) return bad();
    list.push_back(std::move(member));
  }
  return list;
}

/// Normalised: IPv4 first, and a gap of at least one address between two ranges of a family.
bool apart(const IpRange& a, const IpRange& b) {
  if (a.first.is_v4() != b.first.is_v4()) return a.first.is_v4();
  const auto next = a.last.next();
  return next && *next < b.first;
}

Result<std::vector<IpRange>, ChannelError> parse_ranges(ByteReader& in) {
  return parse_list<IpRange>(in, kMaxRanges, parse_range, apart);
}

// The objects.

void write_time(ByteWriter& out, const std::optional<WallTime>& time) {
  out.u8(time ? 1 : 0);
  if (time) out.u64(static_cast<uint64_t>(time->time_since_epoch().count()));
}
Result<std::optional<WallTime>, ChannelError> parse_time(ByteReader& in) {
  const uint8_t present = in.u8();
  if (present > 1) return bad();
  if (present == 0) return std::optional<WallTime>{};
  return std::optional(WallTime{Duration{static_cast<int64_t>(in.u64())}});
}

bool write_window(ByteWriter& out, const TimeWindow& window) {
  out.u8(window.days);
  out.u16(window.start_minute);
  out.u16(window.end_minute);
  return write_text(out, window.zone, kMaxText) && write_text(out, window.text, kMaxText);
}
Result<TimeWindow, ChannelError> parse_window(ByteReader& in) {
  TimeWindow window;
  window.days = in.u8();
  window.start_minute = in.u16();
  window.end_minute = in.u16();
  window.zone = TRY(parse_text(in, kMaxText));
  window.text = TRY(parse_text(in, kMaxText));
  if (window.days > 0x7f || window.start_minute >= kMinutesADay ||
      window.end_minute > kMinutesADay || window.zone.empty())
    return bad();
  return window;
}

/// Without `where` and `counter`: the first is not the node's to say, the second the agent assigns.
bool write_rule(ByteWriter& out, const Rule& rule) {
  if (!write_text(out, rule.id, kMaxText)) return false;
  if (!write_list(out, rule.from, kMaxRanges, write_range)) return false;
  if (!write_list(out, rule.to, kMaxRanges, write_range)) return false;
  const auto write_proto = [](ByteWriter& o, IpProto p) { o.u8(static_cast<uint8_t>(p)); };
  if (!write_list(out, rule.protos, kMaxProtos, write_proto)) return false;
  const auto write_ports = [](ByteWriter& o, const PortRange& p) {
    o.u16(p.first);
    o.u16(p.last);
  };
  if (!write_list(out, rule.ports, kMaxPorts, write_ports)) return false;
  if (!write_list(out, rule.when, kMaxWindows, write_window)) return false;
  write_time(out, rule.not_before);
  write_time(out, rule.not_after);
  return true;
}
Result<Rule, ChannelError> parse_rule(ByteReader& in) {
  Rule rule;
  rule.id = TRY(parse_text(in, kMaxText));
  rule.from = TRY(parse_ranges(in));
  rule.to = TRY(parse_ranges(in));
  const auto parse_proto = [](ByteReader& i) -> Result<IpProto, ChannelError> {
    return static_cast<IpProto>(i.u8());
  };
  rule.protos = TRY(parse_list<IpProto>(in, kMaxProtos, parse_proto, std::less{}));
  const auto parse_ports = [](ByteReader& i) -> Result<PortRange, ChannelError> {
    const uint16_t first = i.u16();
    const uint16_t last = i.u16();
    if (last < first) return bad();
    return PortRange{first, last};
  };
  const auto follows = [](const PortRange& a, const PortRange& b) { return a.last < b.first; };
  rule.ports = TRY(parse_list<PortRange>(in, kMaxPorts, parse_ports, follows));
  const auto any = [](const TimeWindow&, const TimeWindow&) { return true; };
  rule.when = TRY(parse_list<TimeWindow>(in, kMaxWindows, parse_window, any));
  rule.not_before = TRY(parse_time(in));
  rule.not_after = TRY(parse_time(in));
  return rule;
}

constexpr uint8_t kHasEndpoint = 1;
constexpr uint8_t kIsJailed = 2;
constexpr uint8_t kIsWireGuardOnly = 4;
constexpr uint8_t kHasMasqueradeV4 = 8;
constexpr uint8_t kHasMasqueradeV6 = 16;
constexpr uint8_t kHasParking = 32;
constexpr uint8_t kDoesNotYield = 64;
constexpr uint8_t kAllPeerFlags = 127;

uint8_t flags_of(const TailnetPeer& peer) {
  return static_cast<uint8_t>((peer.endpoint ? kHasEndpoint : 0) | (peer.jailed ? kIsJailed : 0) |
                              (peer.wireguard_only ? kIsWireGuardOnly : 0) |
                              (peer.masquerade_v4 ? kHasMasqueradeV4 : 0) |
                              (peer.masquerade_v6 ? kHasMasqueradeV6 : 0) |
                              (peer.parking ? kHasParking : 0) | (peer.yields ? 0 : kDoesNotYield));
}

bool write_peer(ByteWriter& out, const TailnetPeer& peer) {
  if (peer.masquerade_v4 && !peer.masquerade_v4->is_v4()) return false;
  if (peer.masquerade_v6 && peer.masquerade_v6->is_v4()) return false;
  if (peer.parking && !peer.parking->is_v4()) return false;
  out.bytes(peer.node_key.bytes);
  out.u8(flags_of(peer));
  out.u16(peer.keepalive_s);
  if (!write_text(out, peer.name, kMaxText) || !write_text(out, peer.user, kMaxText)) return false;
  if (peer.endpoint) write_endpoint(out, *peer.endpoint);
  for (const auto& address : {peer.masquerade_v4, peer.masquerade_v6, peer.parking}) {
    if (address) write_bytes(out, *address);
  }
  return write_list(out, peer.allowed_ips, kMaxAllowedIps, write_prefix);
}
Result<TailnetPeer, ChannelError> parse_peer(ByteReader& in) {
  TailnetPeer peer;
  peer.node_key.bytes = in.array<32>();
  const uint8_t flags = in.u8();
  if (flags > kAllPeerFlags) return bad();
  peer.jailed = (flags & kIsJailed) != 0;
  peer.yields = (flags & kDoesNotYield) == 0;
  peer.wireguard_only = (flags & kIsWireGuardOnly) != 0;
  peer.keepalive_s = in.u16();
  peer.name = TRY(parse_text(in, kMaxText));
  peer.user = TRY(parse_text(in, kMaxText));
  if ((flags & kHasEndpoint) != 0) peer.endpoint = TRY(parse_endpoint(in));
  if ((flags & kHasMasqueradeV4) != 0) peer.masquerade_v4 = TRY(parse_address(in, kV4));
  if ((flags & kHasMasqueradeV6) != 0) peer.masquerade_v6 = TRY(parse_address(in, kV6));
  if ((flags & kHasParking) != 0) peer.parking = TRY(parse_address(in, kV4));
  peer.allowed_ips = TRY(parse_list<Prefix>(in, kMaxAllowedIps, parse_prefix, std::less{}));
  return peer;
}

Result<ClockTrust, ChannelError> parse_clock(ByteReader& in) {
  const uint8_t trust = in.u8();
  if (trust > static_cast<uint8_t>(ClockTrust::kCredible)) return bad();
  return static_cast<ClockTrust>(trust);
}

/// An object's or id's kind; nothing for a number that is none.
std::optional<ObjectKind> kind_of(uint8_t number) {
  if (number < static_cast<uint8_t>(ObjectKind::kEndpoint) ||
      number > static_cast<uint8_t>(ObjectKind::kKey))
    return std::nullopt;
  return static_cast<ObjectKind>(number);
}

Result<NodeObject, ChannelError> parse_object_of(ByteReader& in, ObjectKind kind) {
  switch (kind) {
    case ObjectKind::kEndpoint: {
      const PublicKey peer{in.array<32>()};
      return NodeObject{PeerEndpoint{peer, TRY(parse_endpoint(in))}};
    }
    case ObjectKind::kPeer:
      return NodeObject{TRY(parse_peer(in))};
    case ObjectKind::kAddress:
      return NodeObject{OwnAddress{TRY(parse_prefix(in))}};
    case ObjectKind::kRule: {
      const uint16_t position = in.u16();
      return NodeObject{NodeRule{position, TRY(parse_rule(in))}};
    }
    case ObjectKind::kClock:
      return NodeObject{TRY(parse_clock(in))};
    case ObjectKind::kRoute: {
      const Prefix prefix = TRY(parse_prefix(in));
      const uint8_t snat = in.u8();
      if (snat > 1) return bad();
      return NodeObject{ServedRoute{prefix, snat == 1}};
    }
    case ObjectKind::kKey: {
      const auto scalar = in.array<32>();
      return NodeObject{WireguardKey{PrivateKey{Secret<32>(scalar)}}};
    }
  }
  return Fail{ChannelError::kUnknownKind};
}

}  // namespace

Result<std::string, ChannelError> parse_text(ByteReader& in, size_t most) {
  const std::string_view text = in.string16();
  if (!in.ok()) return Fail{ChannelError::kTruncated};
  if (text.size() > most) return Fail{ChannelError::kTooMany};
  const auto control = [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte < 0x20 || byte == 0x7f;
  };
  if (std::ranges::any_of(text, control)) return bad();
  return std::string(text);
}

bool write_text(ByteWriter& out, std::string_view text, size_t most) {
  return text.size() <= most && out.string16(text);
}

Result<NodeObject, ChannelError> parse_object(ByteReader& in) {
  const auto kind = kind_of(in.u8());
  if (!in.ok()) return Fail{ChannelError::kTruncated};
  if (!kind) return Fail{ChannelError::kUnknownKind};
  NodeObject object = TRY(parse_object_of(in, *kind));
  if (!in.ok()) return Fail{ChannelError::kTruncated};
  return object;
}

bool write_object(ByteWriter& out, const NodeObject& object) {
  out.u8(static_cast<uint8_t>(id_of(object).kind));
  return std::visit(Overloaded{
                        [&](const PeerEndpoint& o) {
                          out.bytes(o.peer.bytes);
                          write_endpoint(out, o.endpoint);
                          return true;
                        },
                        [&](const TailnetPeer& o) { return write_peer(out, o); },
                        [&](const OwnAddress& o) {
                          write_prefix(out, o.address);
                          return true;
                        },
                        [&](const NodeRule& o) {
                          out.u16(o.position);
                          return write_rule(out, o.rule);
                        },
                        [&](const ClockTrust& o) {
                          out.u8(static_cast<uint8_t>(o));
                          return true;
                        },
                        [&](const ServedRoute& o) {
                          write_prefix(out, o.prefix);
                          out.u8(o.snat ? 1 : 0);
                          return true;
                        },
                        [&](const WireguardKey& o) {
                          out.bytes(o.key.scalar.reveal());
                          return true;
                        },
                    },
                    object);
}

Result<ObjectId, ChannelError> parse_object_id(ByteReader& in) {
  const auto kind = kind_of(in.u8());
  if (!in.ok()) return Fail{ChannelError::kTruncated};
  if (!kind) return Fail{ChannelError::kUnknownKind};
  ObjectId id;
  id.kind = *kind;
  switch (*kind) {
    case ObjectKind::kEndpoint:
    case ObjectKind::kPeer:
      id.peer.bytes = in.array<32>();
      break;
    case ObjectKind::kAddress:
    case ObjectKind::kRoute:
      id.address = TRY(parse_prefix(in));
      break;
    case ObjectKind::kRule:
      id.position = in.u16();
      break;
    case ObjectKind::kClock:
    case ObjectKind::kKey:
      break;
  }
  if (!in.ok()) return Fail{ChannelError::kTruncated};
  return id;
}

void write_object_id(ByteWriter& out, const ObjectId& id) {
  out.u8(static_cast<uint8_t>(id.kind));
  switch (id.kind) {
    case ObjectKind::kEndpoint:
    case ObjectKind::kPeer:
      out.bytes(id.peer.bytes);
      return;
    case ObjectKind::kAddress:
    case ObjectKind::kRoute:
      write_prefix(out, id.address);
      return;
    case ObjectKind::kRule:
      out.u16(id.position);
      return;
    case ObjectKind::kClock:
    case ObjectKind::kKey:
      return;
  }
}

}  // namespace sallyport::channel
