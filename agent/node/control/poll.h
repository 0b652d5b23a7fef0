// SPDX-License-Identifier: BSD-3-Clause
/// The body of a long poll: frames of map responses out of bytes, and how long to wait for them.
#pragma once

#include <string>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/wire/map_frame/map_frame.h"
#include "agent/wire/tailcfg/map_response.h"

namespace sallyport::control {

/// Servers send something each minute. Source: tailscale control/controlclient/direct.go, watchdog.
constexpr Duration kFrameTimeout = std::chrono::seconds(120);

class Poll {
 public:
  /// `now`: the request was made.
  explicit Poll(Instant now) : last_frame_(now) {}

  /// Errors: why it cannot go on.
  Result<std::vector<tailcfg::MapResponse>, std::string> on_data(ByteView bytes, Instant now);

  [[nodiscard]] Instant deadline() const { return last_frame_ + kFrameTimeout; }

 private:
  Result<tailcfg::MapResponse, std::string> decode(ByteView payload);

  Instant last_frame_;
  bool seen_node_ = false;
  Bytes waiting_;
  Bytes json_;
  map_frame::Decompressor decompressor_{tailcfg::kMaxMapResponse};
};

}  // namespace sallyport::control
