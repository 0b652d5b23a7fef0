// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/https_probe.h"

#include <string_view>
#include <utility>

#include "agent/drive/node/derp_target.h"
#include "agent/io/clock.h"

namespace sallyport {
namespace {

/// Source: tailscale derpserver.Handler, net/netcheck.
constexpr std::string_view kLatencyCheck = "/derp/latency-check";
constexpr unsigned kOk = 200;

}  // namespace

HttpsProbe::HttpsProbe(io::Loop& loop, const io::TlsContext& tls, const DerpNode& node,
                       Answer answer)
    : node_(node), answer_(std::move(answer)), failing_(loop, [this] { finish({}); }) {
  auto target = derp_target(node_);
  if (!target) return;
  connection_ = std::make_unique<Connection>(
      loop, tls, std::move(target).value(),
      ConnectionCallbacks{.on_connected = [this] { on_ready(); },
                          .on_bytes = [this](ByteView bytes) { on_bytes(bytes); },
                          .on_closed = [this](const std::string&) { finish({}); }});
}

bool HttpsProbe::connect() {
  if (derp_addresses(node_).empty() && connection_) return false;
  connect_to({});
  return true;
}

void HttpsProbe::connect_to(const std::vector<IpAddress>& found) {
  if (connection_) return connection_->connect_to(derp_addresses(node_, found));
  failing_.arm(io::boot_now());
}

void HttpsProbe::on_ready() {
  const std::string request = http::write(
      http::Request{.method = "GET",
                    .target = std::string(kLatencyCheck),
                    .fields = {{"Host", derp_authority(node_)}, {"Connection", "close"}}});
  asked_ = io::boot_now();
  const ByteView bytes(reinterpret_cast<const uint8_t*>(request.data()), request.size());
  if (!connection_->write(bytes)) finish({});
}

void HttpsProbe::on_bytes(ByteView bytes) {
  if (!latency_) latency_ = io::boot_now() - asked_;
  if (!response_.read(bytes)) return finish({});
  if (!response_.done()) return;
  finish(response_.take().status == kOk ? latency_ : std::nullopt);
}

void HttpsProbe::finish(std::optional<Duration> latency) {
  const auto answer = std::exchange(answer_, {});
  answer(latency);
}

}  // namespace sallyport
