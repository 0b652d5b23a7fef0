// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/tsmp.h"

#include "agent/base/span_writer.h"

namespace sallyport::tsmp {
namespace {

constexpr size_t kIpv4Head = 20;
constexpr size_t kIpv6Head = 40;
constexpr uint8_t kHops = 64;
constexpr uint8_t kMaybeBroken = 1;

enum class Type : uint8_t { kReject = '!', kPing = 'p', kPong = 'o', kDiscoKey = 'a' };

struct Ip {
  IpAddress from;
  IpAddress to;
  uint8_t protocol = 0;
  ByteView payload;
};

std::optional<Ip> parse_ipv4(ByteView packet) {
  ByteReader in(packet);
  const size_t head = size_t{in.u8() & 0xfU} * 4;
  in.u8();
  const size_t total = in.u16();
  in.u16();
  const uint16_t fragment = in.u16();
  in.u8();
  Ip ip;
  ip.protocol = in.u8();
  in.u16();
  ip.from = IpAddress::v4(in.u32());
  ip.to = IpAddress::v4(in.u32());
  const bool is_fragment = (fragment & 0x3fff) != 0;  // more to come, or an offset
  if (!in.ok() || head < kIpv4Head || total < head || total > packet.size() || is_fragment) {
    return {};
  }
  ip.payload = packet.first(total).subspan(head);
  return ip;
}

std::optional<Ip> parse_ipv6(ByteView packet) {
  ByteReader in(packet);
  in.u32();
  const size_t length = in.u16();
  Ip ip;
  ip.protocol = in.u8();
  in.u8();
  ip.from.bytes = in.array<16>();
  ip.to.bytes = in.array<16>();
  ip.payload = in.take(length);
  if (!in.ok() || ip.from.is_v4() || ip.to.is_v4()) return {};
  return ip;
}

std::optional<Ip> parse_ip(ByteView packet) {
  if (packet.empty()) return {};
  const int version = packet[0] >> 4;
  if (version == 4) return parse_ipv4(packet);
  if (version == 6) return parse_ipv6(packet);
  return {};
}

Message parse_reject(ByteReader& in) {
  Reject reject;
  reject.protocol = in.u8();
  reject.reason = static_cast<Reason>(in.u8());
  reject.source_port = in.u16();
  reject.destination_port = in.u16();
  if (in.left() > 0) reject.maybe_broken = (in.u8() & kMaybeBroken) != 0;
  return reject;
}

Message parse_pong(ByteReader& in) {
  Pong pong;
  pong.data = in.array<8>();
  if (in.left() >= sizeof(pong.peer_api_port)) pong.peer_api_port = in.u16();
  return pong;
}

Result<Message, TsmpError> parse_message(ByteReader& in) {
  switch (static_cast<Type>(in.u8())) {
    case Type::kReject:
      return parse_reject(in);
    case Type::kPing:
      return Message{Ping{in.array<8>()}};
    case Type::kPong:
      return parse_pong(in);
    case Type::kDiscoKey:
      return Message{DiscoKeyNews{DiscoKey{in.array<32>()}}};
  }
  return Fail{in.ok() ? TsmpError::kUnknown : TsmpError::kTruncated};
}

struct Writer {
  SpanWriter& out;

  void operator()(const Reject& reject) const {
    head(Type::kReject);
    out.u8(reject.protocol);
    out.u8(static_cast<uint8_t>(reject.reason));
    out.u16(reject.source_port);
    out.u16(reject.destination_port);
    if (reject.maybe_broken) out.u8(kMaybeBroken);
  }
  void operator()(const Ping& ping) const {
    head(Type::kPing);
    out.bytes(ping.data);
  }
  void operator()(const Pong& pong) const {
    head(Type::kPong);
    out.bytes(pong.data);
    out.u16(pong.peer_api_port);
  }
  void operator()(const DiscoKeyNews& news) const {
    head(Type::kDiscoKey);
    out.bytes(news.disco_key.bytes);
  }

 private:
  void head(Type type) const { out.u8(static_cast<uint8_t>(type)); }
};

/// Source: RFC 1071.
uint16_t internet_checksum(ByteView data) {
  uint32_t sum = 0;
  ByteReader in(data);
  while (in.left() > 1) sum += in.u16();
  while (sum > 0xffff) sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<uint16_t>(~sum);
}

void write_ipv4_head(std::span<uint8_t> packet, const Packet& values) {
  SpanWriter out(packet);
  out.u16(0x4500);  // version 4, 5 words, no traffic class
  out.u16(static_cast<uint16_t>(packet.size()));
  out.u32(0);  // no identification, no fragment
  out.u8(kHops);
  out.u8(kIpProtocol);
  const std::span<uint8_t> checksum = out.reserve(2);
  SpanWriter(checksum).u16(0);
  out.u32(values.from.v4_number());
  out.u32(values.to.v4_number());
  SpanWriter(checksum).u16(internet_checksum(out.written()));
}

void write_ipv6_head(std::span<uint8_t> packet, const Packet& values) {
  SpanWriter out(packet);
  out.u32(0x60000000);
  out.u16(static_cast<uint16_t>(packet.size() - kIpv6Head));
  out.u8(kIpProtocol);
  out.u8(kHops);
  out.bytes(values.from.bytes);
  out.bytes(values.to.bytes);
}

}  // namespace

Result<Packet, TsmpError> parse(ByteView ip_packet) {
  const auto ip = parse_ip(ip_packet);
  if (!ip) return Fail{TsmpError::kNotIp};
  if (ip->protocol != kIpProtocol) return Fail{TsmpError::kNotTsmp};
  ByteReader in(ip->payload);
  const Message message = TRY(parse_message(in));
  if (!in.ok()) return Fail{TsmpError::kTruncated};
  return Packet{ip->from, ip->to, message};
}

ByteView write(const Packet& packet, std::span<uint8_t> out) {
  const bool v4 = packet.from.is_v4();
  const size_t head = v4 ? kIpv4Head : kIpv6Head;
  if (packet.to.is_v4() != v4 || out.size() < head) return {};
  SpanWriter payload(out.subspan(head));
  std::visit(Writer{payload}, packet.message);
  if (!payload.ok()) return {};
  const std::span<uint8_t> whole = out.first(head + payload.size());
  v4 ? write_ipv4_head(whole, packet) : write_ipv6_head(whole, packet);
  return whole;
}

}  // namespace sallyport::tsmp
