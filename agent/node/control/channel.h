// SPDX-License-Identifier: BSD-3-Clause
/// The control channel on a connection: HTTP upgrade, Noise, then HTTP/2 inside. The client's side;
/// bytes in and out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "agent/model/tailnet_keys.h"
#include "agent/node/control/url.h"
#include "agent/wire/http/http1.h"
#include "agent/wire/http/http2.h"
#include "agent/wire/noise/early.h"
#include "agent/wire/noise/handshake.h"

namespace sallyport::control {

/// What we claim to be able to do; peers act on it. 119 is the last one before the peer relay.
/// Source: tailscale tailcfg CapabilityVersion.
constexpr uint16_t kCapabilityVersion = 119;

struct ChannelError {
  std::string why;
  /// The other side did not prove to have the key that we hold for the server's.
  bool wrong_key = false;
};

class Channel {
 public:
  /// `ephemeral` is drawn for this connection.
  Channel(const ControlUrl& url, const PrivateKey& machine, const MachineKey& server,
          const PrivateKey& ephemeral);

  /// After an error it is of no further use.
  Result<std::vector<http::Event>, ChannelError> receive(ByteView bytes);
  /// What is to be sent now, from the upgrade on.
  [[nodiscard]] Bytes take_outgoing();

  /// The server is the one that has the key; requests may be made.
  [[nodiscard]] bool established() const { return transport_.has_value(); }
  Result<http::StreamId> request(const std::string& method, const std::string& path,
                                 std::string body, http::Fields fields = {});
  void cancel(http::StreamId stream) { http2_.cancel(stream); }
  /// No request can be made any more.
  [[nodiscard]] bool closed() const { return http2_.closed(); }

 private:
  Result<void, ChannelError> read_upgrade();
  Result<void, ChannelError> read_response();
  Result<void, ChannelError> read_records(std::vector<http::Event>& events);
  Result<void, ChannelError> on_plain(ByteView plain, std::vector<http::Event>& events);
  Result<void, ChannelError> skip_early(ByteView& plain, std::vector<http::Event>& events);
  Result<void, ChannelError> to_http2(ByteView plain, std::vector<http::Event>& events);

  std::string authority_;
  noise::Initiator initiator_;
  http::ResponseParser upgrade_;
  bool upgraded_ = false;
  std::optional<noise::Transport> transport_;
  Bytes in_;          // not yet understood
  Bytes out_;         // in clear, before Noise
  Bytes early_head_;  // the first bytes inside, until it is known what they are
  bool early_known_ = false;
  size_t early_left_ = 0;  // of a payload that nothing needs
  http::Http2 http2_;
};

}  // namespace sallyport::control
