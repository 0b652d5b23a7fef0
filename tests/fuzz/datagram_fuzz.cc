// SPDX-License-Identifier: BSD-3-Clause
/// All that may arrive on the UDP port: what parses is written as the same again.
#include <algorithm>
#include <cstdlib>

#include "agent/wire/datagram_kind.h"
#include "agent/wire/geneve.h"
#include "agent/wire/stun.h"

namespace {

using namespace sallyport;

void check(bool good) {
  if (!good) std::abort();
}

void check_geneve(ByteView datagram) {
  const auto head = geneve::parse(datagram);
  if (head) check(std::ranges::equal(geneve::write(*head), datagram.first(geneve::kHead)));
}

void check_stun(ByteView datagram) {
  if (const auto request = stun::parse_request(datagram)) {
    check(stun::parse_request(stun::write_request(*request)).value() == *request);
  }
  const auto response = stun::parse_response(datagram);
  if (!response) return;
  check(stun::is_binding(datagram));
  std::array<uint8_t, stun::kMaxResponse> buffer{};
  const ByteView written = stun::write_response(response->tx, response->seen, buffer);
  check(stun::parse_response(written).value() == *response);
}

void check_disco(ByteView datagram) {
  const auto envelope = disco::parse_envelope(datagram);
  check(envelope.has_value() == disco::is_disco(datagram));
  if (envelope) check(envelope->box.size() == datagram.size() - disco::kHead);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView datagram(data, size);
  check_geneve(datagram);
  check_stun(datagram);
  check_disco(datagram);
  const DatagramKind kind = datagram_kind(datagram);
  check((kind == DatagramKind::kStun) == stun::is_binding(datagram));
  return 0;
}
