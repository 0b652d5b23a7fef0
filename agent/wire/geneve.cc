// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/geneve.h"

#include "agent/base/span_writer.h"

namespace sallyport::geneve {
namespace {

constexpr uint8_t kControl = 0x80;

}  // namespace

std::optional<Head> parse(ByteView datagram) {
  ByteReader in(datagram);
  const uint8_t version_and_options = in.u8();
  const uint8_t flags = in.u8();
  Head head;
  head.control = (flags & kControl) != 0;
  head.protocol = static_cast<Protocol>(in.u16());
  const uint32_t vni_and_reserved = in.u32();
  head.vni = vni_and_reserved >> 8;
  const bool plain =
      version_and_options == 0 && (flags & ~kControl) == 0 && (vni_and_reserved & 0xff) == 0;
  const bool known = head.protocol == Protocol::kDisco || head.protocol == Protocol::kWireGuard;
  if (!in.ok() || !plain || !known) return {};
  return head;
}

std::array<uint8_t, kHead> write(const Head& head) {
  std::array<uint8_t, kHead> bytes{};
  SpanWriter out(bytes);
  out.u8(0);
  out.u8(head.control ? kControl : 0);
  out.u16(static_cast<uint16_t>(head.protocol));
  out.u32(head.vni << 8);
  return bytes;
}

}  // namespace sallyport::geneve
