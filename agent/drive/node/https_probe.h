// SPDX-License-Identifier: BSD-3-Clause
/// How far is a relay, where UDP does not pass: one HTTPS request (ProbeHttps).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/clock.h"
#include "agent/drive/node/connection.h"
#include "agent/io/callback.h"
#include "agent/io/loop.h"
#include "agent/io/tls/engine.h"
#include "agent/model/derp_map.h"
#include "agent/wire/http/http1.h"

namespace sallyport {

/// GET /derp/latency-check. Timeouts are whoever's who asks: destroying it gives it up.
class HttpsProbe {
 public:
  /// Once, from the loop, and it may destroy the probe. The time from the request, sent when TLS
  /// is up, to the first byte of its answer: a round trip, as STUN's. Nothing: no answer of 200.
  using Answer = io::Callback<void(std::optional<Duration> latency)>;

  /// `tls` outlives this.
  HttpsProbe(io::Loop& loop, const io::TlsContext& tls, const DerpNode& node, Answer answer);
  HttpsProbe(const HttpsProbe&) = delete;
  HttpsProbe& operator=(const HttpsProbe&) = delete;
  ~HttpsProbe() = default;

  /// As DerpConnection's.
  [[nodiscard]] bool connect();
  [[nodiscard]] const std::string& host() const { return node_.host_name; }
  void connect_to(const std::vector<IpAddress>& found);

 private:
  void on_ready();
  void on_bytes(ByteView bytes);
  void finish(std::optional<Duration> latency);

  DerpNode node_;
  Answer answer_;
  http::ResponseParser response_;
  Instant asked_;
  std::optional<Duration> latency_;
  std::unique_ptr<Connection> connection_;
  io::Timer failing_;  // there was nothing to connect to
};

}  // namespace sallyport
