// SPDX-License-Identifier: BSD-3-Clause
// A DERP server's part of a login.
#pragma once

#include <optional>

#include "agent/wire/derp.h"
#include "agent/wire/derp_info.h"

namespace sallyport {

inline derp::Message parsed(const Bytes& frame) {
  return derp::parse(**derp::next_frame(frame, derp::kMaxBody)).value();
}

/// The other side of the login.
struct DerpLogin {
  PrivateKey key = PrivateKey::generate();
  std::optional<derp::ClientInfo> client;
  derp::ServerInfo info{.bytes_per_second = 1000, .bytes_burst = 70000};
  Bytes sealed;

  [[nodiscard]] derp::ServerKey hello() const { return {key.public_key()}; }
  /// The answer to the client's info; borrows from this.
  derp::Message answer(const Bytes& client_info) {
    const derp::Message message = parsed(client_info);
    const auto& box = std::get<derp::ClientInfoBox>(message);
    const auto box_key = BoxKey::between(key, box.client.bytes);
    client = derp::open_client_info(box, *box_key);
    sealed = derp::write_server_info(info, *box_key, BoxNonce{5});
    return parsed(sealed);
  }
};

}  // namespace sallyport
