// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/stun.h"

#include <algorithm>
#include <string_view>

#include "agent/base/crc32.h"
#include "agent/base/span_writer.h"

namespace sallyport::stun {
namespace {

constexpr std::array<uint8_t, 4> kCookie{0x21, 0x12, 0xa4, 0x42};
constexpr uint16_t kBindingRequest = 0x0001;
constexpr uint16_t kBindingSuccess = 0x0101;
constexpr std::string_view kSoftware = "tailnode";
constexpr uint32_t kFingerprintMask = 0x5354554e;
constexpr size_t kFingerprintAttribute = 8;

enum class Attribute : uint16_t {
  kMappedAddress = 0x0001,
  kXorMappedAddress = 0x0020,
  kSoftware = 0x8022,
  kFingerprint = 0x8028,
  kXorMappedAddressAlt = 0x8020,  // some servers' number for it
};

uint32_t fingerprint(ByteView before) { return crc32(before) ^ kFingerprintMask; }

struct Head {
  uint16_t type = 0;
  uint16_t length = 0;
  TxId tx{};
};

std::optional<Head> parse_head(ByteView datagram) {
  if (datagram.size() < kHead || (datagram[0] & 0xc0) != 0) return {};
  ByteReader in(datagram);
  Head head;
  head.type = in.u16();
  head.length = in.u16();
  if (in.array<4>() != kCookie) return {};
  head.tx = in.array<12>();
  return head;
}

void write_head(SpanWriter& out, uint16_t type, size_t length, const TxId& tx) {
  out.u16(type);
  out.u16(static_cast<uint16_t>(length));
  out.bytes(kCookie);
  out.bytes(tx);
}

/// Calls visit(type, value) for each attribute; false if one ends after the last byte or visit says
/// so.
template <class Visit>
bool each_attribute(ByteView attributes, Visit&& visit) {
  ByteReader in(attributes);
  while (in.left() > 0) {
    const auto type = static_cast<Attribute>(in.u16());
    const size_t length = in.u16();
    const ByteView padded = in.take((length + 3) & ~size_t{3});
    if (!in.ok() || !visit(type, padded.first(length))) return false;
  }
  return true;
}

struct Mask {
  std::array<uint8_t, 16> bytes{};

  explicit Mask(const TxId& tx) {
    std::ranges::copy(kCookie, bytes.begin());
    std::ranges::copy(tx, bytes.begin() + kCookie.size());
  }
  [[nodiscard]] uint16_t port() const { return static_cast<uint16_t>(bytes[0] << 8 | bytes[1]); }
};

std::optional<Endpoint> parse_address(ByteView value) {
  ByteReader in(value);
  in.u8();
  const uint8_t family = in.u8();
  Endpoint out;
  out.port = in.u16();
  if (family == 1) {
    out.address = IpAddress::v4(in.u32());
  } else if (family == 2) {
    out.address.bytes = in.array<16>();
  } else {
    return {};
  }
  if (!in.ok()) return {};
  return out;
}

std::optional<Endpoint> parse_xored_address(ByteView value, const Mask& mask) {
  constexpr size_t kLongest = 20;
  std::array<uint8_t, kLongest> plain{};
  const ByteView used = value.first(std::min(value.size(), plain.size()));
  std::ranges::copy(used, plain.begin());
  for (size_t i = 2; i < 4; ++i) plain[i] ^= mask.bytes[i - 2];
  for (size_t i = 4; i < plain.size(); ++i) plain[i] ^= mask.bytes[i - 4];
  return parse_address(ByteView(plain).first(used.size()));
}

}  // namespace

bool is_binding(ByteView datagram) {
  const auto head = parse_head(datagram);
  return head && (head->type & 0xff) == kBindingRequest;
}

std::array<uint8_t, kRequest> write_request(const TxId& tx) {
  std::array<uint8_t, kRequest> request{};
  SpanWriter out(request);
  write_head(out, kBindingRequest, kRequest - kHead, tx);
  out.u16(static_cast<uint16_t>(Attribute::kSoftware));
  out.u16(static_cast<uint16_t>(kSoftware.size()));
  out.bytes({reinterpret_cast<const uint8_t*>(kSoftware.data()), kSoftware.size()});
  const uint32_t mark = fingerprint(out.written());
  out.u16(static_cast<uint16_t>(Attribute::kFingerprint));
  out.u16(sizeof(mark));
  out.u32(mark);
  return request;
}

Result<TxId, StunError> parse_request(ByteView datagram) {
  const auto head = parse_head(datagram);
  if (!head) return Fail{StunError::kNotStun};
  if (head->type != kBindingRequest) return Fail{StunError::kOtherType};
  bool ours = false;
  bool last_is_fingerprint = false;
  uint32_t found = 0;
  const bool even = each_attribute(datagram.subspan(kHead), [&](Attribute type, ByteView value) {
    ours |= type == Attribute::kSoftware &&
            std::ranges::equal(value, kSoftware, {}, {}, [](char c) { return uint8_t(c); });
    last_is_fingerprint = type == Attribute::kFingerprint && value.size() == 4;
    if (last_is_fingerprint) found = ByteReader(value).u32();
    return true;
  });
  if (!even) return Fail{StunError::kAttributes};
  if (!ours) return Fail{StunError::kSoftware};
  if (!last_is_fingerprint ||
      found != fingerprint(datagram.first(datagram.size() - kFingerprintAttribute))) {
    return Fail{StunError::kFingerprint};
  }
  return head->tx;
}

ByteView write_response(const TxId& tx, const Endpoint& client, std::span<uint8_t> out) {
  const Mask mask(tx);
  const bool v4 = client.address.is_v4();
  const ByteView address = ByteView(client.address.bytes).subspan(v4 ? 12 : 0);
  SpanWriter writer(out);
  write_head(writer, kBindingSuccess, 8 + address.size(), tx);
  writer.u16(static_cast<uint16_t>(Attribute::kXorMappedAddress));
  writer.u16(static_cast<uint16_t>(4 + address.size()));
  writer.u8(0);
  writer.u8(v4 ? 1 : 2);
  writer.u16(client.port ^ mask.port());
  for (size_t i = 0; i < address.size(); ++i) writer.u8(address[i] ^ mask.bytes[i]);
  return writer.written();
}

Result<Response, StunError> parse_response(ByteView datagram) {
  const auto head = parse_head(datagram);
  if (!head) return Fail{StunError::kNotStun};
  if (head->type != kBindingSuccess) return Fail{StunError::kOtherType};
  const ByteView rest = datagram.subspan(kHead);
  if (head->length > rest.size()) return Fail{StunError::kAttributes};
  const Mask mask(head->tx);
  std::optional<Endpoint> xored;
  std::optional<Endpoint> plain;
  const bool even = each_attribute(rest.first(head->length), [&](Attribute type, ByteView value) {
    if (type == Attribute::kXorMappedAddress || type == Attribute::kXorMappedAddressAlt) {
      xored = parse_xored_address(value, mask);
      return xored.has_value();
    }
    if (type != Attribute::kMappedAddress) return true;
    plain = parse_address(value);
    return plain.has_value();
  });
  if (!even) return Fail{StunError::kAttributes};
  if (xored) return Response{head->tx, *xored};
  if (plain) return Response{head->tx, *plain};
  return Fail{StunError::kNoAddress};
}

}  // namespace sallyport::stun
