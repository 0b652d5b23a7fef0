// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/control/channel.h"

#include <algorithm>
#include <array>

namespace sallyport::control {
namespace {

constexpr http::Limits kUpgradeLimits{.head_bytes = 16 * 1024, .body_bytes = 0};
constexpr size_t kShownBytes = 200;  // of what a stranger says

Fail<ChannelError> failed(std::string why, bool wrong_key = false) {
  return Fail{ChannelError{std::move(why), wrong_key}};
}

std::string upgrade_request(const ControlUrl& url, const noise::Initiator& initiator) {
  return http::write(http::Request{.method = "POST",
                                   .target = std::string(noise::kUpgradePath),
                                   .fields = {{"Host", url.authority()},
                                              {"Upgrade", std::string(noise::kUpgradeProtocol)},
                                              {"Connection", "upgrade"},
                                              {std::string(noise::kHandshakeHeader),
                                               noise::handshake_header(*initiator.initiation())},
                                              {"Content-Length", "0"}}});
}

}  // namespace

Channel::Channel(const ControlUrl& url, const PrivateKey& machine, const MachineKey& server,
                 const PrivateKey& ephemeral)
    : authority_(url.authority()),
      initiator_(machine, server, kCapabilityVersion, ephemeral),
      upgrade_(kUpgradeLimits, true),  // whatever body a refusal has, the head says enough
      http2_(http::Http2::client()) {
  if (!initiator_.initiation()) return;  // receive() will say so
  const std::string request = upgrade_request(url, initiator_);
  out_.assign(request.begin(), request.end());
}

Result<std::vector<http::Event>, ChannelError> Channel::receive(ByteView bytes) {
  std::vector<http::Event> events;
  if (!initiator_.initiation()) return failed("the server's key is no key", true);
  in_.insert(in_.end(), bytes.begin(), bytes.end());
  if (!upgraded_) TRY(read_upgrade());
  if (upgraded_ && !transport_) TRY(read_response());
  if (transport_) TRY(read_records(events));
  return events;
}

Result<void, ChannelError> Channel::read_upgrade() {
  const auto used = upgrade_.read(in_);
  if (!used) return failed(std::string("answer to the upgrade: ") + http::text_of(used.error()));
  in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(*used));
  if (!upgrade_.done()) return {};
  const http::Response answer = upgrade_.take();
  if (answer.status != 101 || http::find(answer.fields, "upgrade") != noise::kUpgradeProtocol) {
    return failed("no control server here: status " + std::to_string(answer.status));
  }
  upgraded_ = true;
  return {};
}

Result<void, ChannelError> Channel::read_response() {
  const size_t needed = noise::Initiator::response_size(in_);
  if (in_.size() < needed) return {};
  const ByteView response = ByteView(in_).first(needed);
  auto transport = initiator_.on_response(response);
  if (!transport && transport.error() == noise::HandshakeError::kRefused) {
    return failed("the server refuses: " +
                      std::string(noise::Initiator::error_text(response).substr(0, kShownBytes)),
                  true);
  }
  if (!transport) return failed("the server does not prove its key", true);
  in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(needed));
  transport_ = std::move(transport).value();
  return {};
}

Result<void, ChannelError> Channel::read_records(std::vector<http::Event>& events) {
  size_t at = 0;
  std::array<uint8_t, noise::kMaxPlain> plain;  // NOLINT: written before it is read
  while (true) {
    const auto record = noise::next_record(ByteView(in_).subspan(at));
    if (!record) return failed("a broken record");
    if (!*record) break;
    at += (*record)->size();
    const auto opened = transport_->from_peer.open(**record, plain);
    if (!opened) return failed("a forged record");
    TRY(on_plain(*opened, events));
  }
  in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(at));
  return {};
}

Result<void, ChannelError> Channel::on_plain(ByteView plain, std::vector<http::Event>& events) {
  TRY(skip_early(plain, events));
  if (plain.empty()) return {};
  return to_http2(plain, events);
}

/// Removes an early payload from the beginning; `plain` becomes what is left for HTTP/2.
Result<void, ChannelError> Channel::skip_early(ByteView& plain, std::vector<http::Event>& events) {
  if (!early_known_) {
    const size_t wanted = std::min(noise::kEarlyHead - early_head_.size(), plain.size());
    early_head_.insert(early_head_.end(), plain.begin(),
                       plain.begin() + static_cast<ptrdiff_t>(wanted));
    plain = plain.subspan(wanted);
    if (early_head_.size() < noise::kEarlyHead) return {};
    early_known_ = true;
    const auto length = noise::parse_early_head(
        std::span<const uint8_t, noise::kEarlyHead>(early_head_.data(), noise::kEarlyHead));
    if (!length) return failed("an early payload that is too long");
    if (!*length) TRY(to_http2(early_head_, events));
    early_left_ = length->value_or(0);
  }
  const size_t skipped = std::min(early_left_, plain.size());
  early_left_ -= skipped;
  plain = plain.subspan(skipped);
  return {};
}

Result<void, ChannelError> Channel::to_http2(ByteView plain, std::vector<http::Event>& events) {
  auto received = http2_.receive(plain);
  if (!received) return failed(received.error().doing);
  std::ranges::move(*received, std::back_inserter(events));
  return {};
}

Bytes Channel::take_outgoing() {
  Bytes out = std::exchange(out_, {});
  if (!transport_) return out;
  std::array<uint8_t, noise::kMaxRecord> record;  // NOLINT: written before it is read
  for (Bytes plain = http2_.take_outgoing(); !plain.empty(); plain = http2_.take_outgoing()) {
    for (ByteView rest = plain; !rest.empty();) {
      const size_t count = std::min(rest.size(), noise::kMaxPlain);
      const ByteView sealed = transport_->to_peer.seal(rest.first(count), record);
      out.insert(out.end(), sealed.begin(), sealed.end());
      rest = rest.subspan(count);
    }
  }
  return out;
}

Result<http::StreamId> Channel::request(const std::string& method, const std::string& path,
                                        std::string body, http::Fields fields) {
  return http2_.request(
      {.method = method, .path = path, .authority = authority_, .fields = std::move(fields)},
      std::move(body));
}

}  // namespace sallyport::control
