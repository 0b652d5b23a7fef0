// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bpf/packets.h"

#include <algorithm>
#include <cassert>
#include <optional>

#include "agent/model/ip.h"

namespace sallyport::test {
namespace {

IpAddress address(std::string_view text) {
  const auto out = IpAddress::parse(text);
  assert(out);
  return *out;
}

uint32_t sum(ByteView bytes, uint32_t start = 0) {
  for (size_t i = 0; i < bytes.size(); i++) {
    start += static_cast<uint32_t>(i % 2 == 0 ? bytes[i] << 8 : bytes[i]);
  }
  return start;
}
uint16_t fold(uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}
void put16(Bytes& out, size_t at, uint16_t value) {
  out.at(at) = static_cast<uint8_t>(value >> 8);
  out.at(at + 1) = static_cast<uint8_t>(value);
}

ByteView wire(const IpAddress& a) {
  return a.is_v4() ? ByteView(a.bytes).last(4) : ByteView(a.bytes);
}

void fill_checksum(Bytes& l4, size_t at, const IpAddress& src, const IpAddress& dst,
                   uint8_t proto) {
  const uint32_t pseudo = sum(wire(src), sum(wire(dst), proto + static_cast<uint32_t>(l4.size())));
  put16(l4, at, fold(sum(l4, pseudo)));
}

}  // namespace

Bytes ip(std::string_view src_text, std::string_view dst_text, uint8_t proto,
         const Bytes& payload) {
  const IpAddress src = address(src_text);
  const IpAddress dst = address(dst_text);
  ByteWriter out;
  if (src.is_v4()) {
    out.u32(0x45000000 | static_cast<uint32_t>(20 + payload.size()));
    out.u32(0x00004000);
    out.u8(64);
    out.u8(proto);
    out.u16(0);
  } else {
    out.u32(0x60000000);
    out.u16(static_cast<uint16_t>(payload.size()));
    out.u8(proto);
    out.u8(64);
  }
  out.bytes(wire(src));
  out.bytes(wire(dst));
  out.bytes(payload);
  Bytes packet = std::move(out).finish();
  if (src.is_v4()) put16(packet, 10, fold(sum(ByteView(packet).first(20))));
  return packet;
}

Bytes tcp(std::string_view src, uint16_t sport, std::string_view dst, uint16_t dport, uint8_t flags,
          size_t data) {
  return tcp(src, sport, dst, dport,
             Segment{.flags = flags,
                     .seq = 1000,
                     .ack = (flags & kAck) != 0 ? 2000U : 0U,
                     .window = 65535,
                     .data = data});
}

Bytes tcp(std::string_view src, uint16_t sport, std::string_view dst, uint16_t dport,
          const Segment& segment) {
  ByteWriter out;
  out.u16(sport);
  out.u16(dport);
  out.u32(segment.seq);
  out.u32(segment.ack);
  out.u8(static_cast<uint8_t>((20 + segment.options.size()) / 4 << 4));
  out.u8(segment.flags);
  out.u16(segment.window);
  out.u32(0);
  out.bytes(segment.options);
  out.bytes(Bytes(segment.data, 'x'));
  Bytes l4 = std::move(out).finish();
  fill_checksum(l4, 16, address(src), address(dst), 6);
  return ip(src, dst, 6, l4);
}

Bytes udp(std::string_view src, uint16_t sport, std::string_view dst, uint16_t dport, size_t data) {
  return udp(src, sport, dst, dport, Bytes(data, 'u'));
}

Bytes udp(std::string_view src, uint16_t sport, std::string_view dst, uint16_t dport,
          const Bytes& payload) {
  ByteWriter out;
  out.u16(sport);
  out.u16(dport);
  out.u16(static_cast<uint16_t>(8 + payload.size()));
  out.u16(0);
  out.bytes(payload);
  Bytes l4 = std::move(out).finish();
  fill_checksum(l4, 6, address(src), address(dst), 17);
  return ip(src, dst, 17, l4);
}

Bytes sctp(std::string_view src, uint16_t sport, std::string_view dst, uint16_t dport) {
  ByteWriter out;
  out.u16(sport);
  out.u16(dport);
  out.bytes(Bytes(12, 1));
  return ip(src, dst, 132, std::move(out).finish());
}

Bytes icmp(std::string_view src, std::string_view dst, uint8_t type, uint8_t code, uint16_t id,
           const Bytes& behind) {
  ByteWriter out;
  out.u8(type);
  out.u8(code);
  out.u16(0);
  out.u16(id);
  out.u16(1);
  out.bytes(behind);
  return icmp_message(src, dst, std::move(out).finish());
}

Bytes icmp_message(std::string_view src, std::string_view dst, Bytes message) {
  const IpAddress from = address(src);
  if (from.is_v4()) {
    put16(message, 2, fold(sum(message)));
    return ip(src, dst, 1, message);
  }
  fill_checksum(message, 2, from, address(dst), 58);
  return ip(src, dst, 58, message);
}

Bytes icmp_error(std::string_view src, std::string_view dst, uint8_t type, const Bytes& quoted) {
  const size_t most = quoted.at(0) >> 4 == 4 ? 28 : 1232;
  const Bytes quote(quoted.begin(),
                    quoted.begin() + static_cast<ptrdiff_t>(std::min(most, quoted.size())));
  return icmp(src, dst, type, 0, 0, quote);
}

Bytes with_options(const Bytes& whole, size_t bytes) {
  Bytes out = whole;
  out.insert(out.begin() + 20, bytes, 1);
  out.at(0) = static_cast<uint8_t>(0x40 | (20 + bytes) / 4);
  put16(out, 2, static_cast<uint16_t>(out.size()));
  put16(out, 10, 0);
  put16(out, 10, fold(sum(ByteView(out).first(20 + bytes))));
  return out;
}

Bytes fragment(const Bytes& whole, size_t at, size_t bytes, uint32_t id) {
  const bool v6 = whole.at(0) >> 4 == 6;
  const size_t header = v6 ? 40 : 20;
  const bool more = header + at + bytes < whole.size();
  const auto offset = static_cast<uint16_t>(at / 8);
  const auto from = whole.begin() + static_cast<ptrdiff_t>(header + at);
  const Bytes data(from,
                   from + static_cast<ptrdiff_t>(std::min(bytes, whole.size() - header - at)));
  Bytes out(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(header));
  if (v6) {
    ByteWriter ext;
    ext.u8(whole.at(6));
    ext.u8(0);
    ext.u16(static_cast<uint16_t>(offset << 3 | (more ? 1 : 0)));
    ext.u32(id);
    ext.bytes(data);
    const Bytes rest = std::move(ext).finish();
    out.at(6) = 44;
    put16(out, 4, static_cast<uint16_t>(rest.size()));
    out.insert(out.end(), rest.begin(), rest.end());
    return out;
  }
  out.insert(out.end(), data.begin(), data.end());
  put16(out, 2, static_cast<uint16_t>(out.size()));
  put16(out, 4, static_cast<uint16_t>(id));
  put16(out, 6, static_cast<uint16_t>(offset | (more ? 0x2000 : 0)));
  put16(out, 10, 0);
  put16(out, 10, fold(sum(ByteView(out).first(20))));
  return out;
}

Bytes with_ext_headers(const Bytes& whole, const Bytes& types) {
  Bytes out(whole.begin(), whole.begin() + 40);
  size_t next_at = 6;
  const uint8_t proto = whole.at(6);
  for (const uint8_t type : types) {
    out.at(next_at) = type;
    next_at = out.size();
    const Bytes ext{0, 0, 1, 4, 0, 0, 0, 0};  // a PadN option
    out.insert(out.end(), ext.begin(), ext.end());
  }
  out.at(next_at) = proto;
  out.insert(out.end(), whole.begin() + 40, whole.end());
  put16(out, 4, static_cast<uint16_t>(out.size() - 40));
  return out;
}

}  // namespace sallyport::test
