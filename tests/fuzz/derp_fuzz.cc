// SPDX-License-Identifier: BSD-3-Clause
/// A DERP stream: frames that parse are written as themselves, but for bytes that are left unread.
/// The same bytes as the JSON inside the boxes of the login.
#include <algorithm>
#include <cstdlib>

#include "agent/wire/derp.h"
#include "agent/wire/derp_info.h"

namespace {

using namespace sallyport;

void check(bool good) {
  if (!good) std::abort();
}

void check_stream(ByteView stream) {
  constexpr size_t kMost = 4096;
  Bytes buffer(kMost + derp::kHead + 1);  // a PeerGone without its reason is written with it
  for (;;) {
    const auto frame = derp::next_frame(stream, kMost);
    if (!frame || !*frame) return;
    check((*frame)->size() <= stream.size());
    stream = stream.subspan((*frame)->size());
    const auto message = derp::parse(**frame);
    if (!message || std::holds_alternative<derp::Unknown>(*message)) continue;
    const Bytes once = [&] {
      const ByteView written = derp::write(*message, buffer);
      return Bytes(written.begin(), written.end());
    }();
    check(!once.empty());
    const auto again = derp::parse(*derp::next_frame(once, kMost + 1).value());
    check(again && std::ranges::equal(derp::write(*again, buffer), once));
  }
}

const BoxKey& box_key() {
  static const BoxKey kKey = [] {
    const PrivateKey own = clamped({1});
    return BoxKey::between(own, clamped({2}).public_key().bytes).value();
  }();
  return kKey;
}

void check_info(ByteView json) {
  Bytes box(json.size() + kBoxTag);
  box_key().seal({}, json, box);
  if (const auto info = derp::open_client_info({{}, {}, box}, box_key())) {
    const Bytes frame = derp::write_client_info(*info, {}, box_key(), {});
    const auto again = derp::parse(*derp::next_frame(frame, derp::kMaxBody).value()).value();
    check(derp::open_client_info(std::get<derp::ClientInfoBox>(again), box_key()) == info);
  }
  if (const auto info = derp::open_server_info({{}, box}, box_key())) {
    const Bytes frame = derp::write_server_info(*info, box_key(), {});
    const auto again = derp::parse(*derp::next_frame(frame, derp::kMaxBody).value()).value();
    check(derp::open_server_info(std::get<derp::ServerInfoBox>(again), box_key()) == info);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  check_stream({data, size});
  check_info({data, size});
  return 0;
}
