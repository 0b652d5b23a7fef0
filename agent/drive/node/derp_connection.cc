// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/derp_connection.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "agent/drive/node/derp_target.h"
#include "agent/io/clock.h"
#include "agent/io/tls/certificate.h"

namespace sallyport {
namespace {

constexpr unsigned kSwitchingProtocols = 101;
// What is offered to TLS at once: a few records.
constexpr size_t kSlice = size_t{64} * 1024;
// A buffer that has grown over this for a large frame is given back.
constexpr size_t kKeptBytes = size_t{128} * 1024;

/// A server may add a certificate to its chain whose name is its key and whose serial number is the
/// protocol's version; TLS 1.3 vouches for it as for the rest of what the server said.
/// Source: tailscale derpserver.MetaCert, derphttp parseMetaCert.
std::optional<PublicKey> certified_key(const Connection& connection) {
  if (!connection.is_tls13()) return std::nullopt;
  constexpr std::string_view kPrefix = "derpkey";
  for (const Bytes& der : connection.peer_certificates()) {
    const auto subject = io::read_subject(der);
    if (!subject || !subject->common_name.starts_with(kPrefix)) continue;
    if (subject->serial != static_cast<uint64_t>(derp::kVersion)) continue;
    return parse_node_key("nodekey:" + subject->common_name.substr(kPrefix.size()));
  }
  return std::nullopt;
}

/// How many bytes are wanting to what has begun: to its head first.
size_t missing(ByteView begun) {
  if (begun.size() < derp::kHead) return derp::kHead - begun.size();
  ByteReader head(begun.subspan(1));
  return derp::kHead + head.u32() - begun.size();
}

}  // namespace

DerpConnection::DerpConnection(io::Loop& loop, const io::TlsContext& tls, const DerpNode& node,
                               DerpConnectionHooks hooks, std::string ideal_node)
    : loop_(loop),
      node_(node),
      ideal_node_(std::move(ideal_node)),
      on_(std::move(hooks)),
      self_(std::make_shared<DerpConnection*>(this)),
      failing_(loop, [this] { close(std::string(refused_)); }) {
  auto target = derp_target(node_);
  if (!target) {
    refused_ = target.error().text();
    return;
  }
  connection_ = std::make_unique<Connection>(
      loop, tls, std::move(target).value(),
      ConnectionCallbacks{.on_connected = [this] { on_ready(); },
                          .on_bytes = [this](ByteView bytes) { on_bytes(bytes); },
                          .on_closed =
                              [this](const std::string& why) {
                                close(why.empty() ? "the server has closed the connection" : why);
                              },
                          .on_writable = [this] { flush(); }});
}

bool DerpConnection::connect() {
  const auto addresses = derp_addresses(node_);
  if (addresses.empty() && connection_) return false;
  connect_to({});
  return true;
}

void DerpConnection::connect_to(const std::vector<IpAddress>& found) {
  if (connection_) return connection_->connect_to(derp_addresses(node_, found));
  failing_.arm(io::boot_now());
}

void DerpConnection::on_ready() {
  http::Request request{.method = "GET",
                        .target = std::string(derp::kPath),
                        .fields = {{"Host", derp_authority(node_)},
                                   {"Connection", "Upgrade"},
                                   {"Upgrade", std::string(derp::kUpgrade)}}};
  if (!ideal_node_.empty()) {
    request.fields.push_back({std::string(derp::kIdealNodeHeader), ideal_node_});
  }
  certified_ = certified_key(*connection_);
  if (certified_) request.fields.push_back({std::string(derp::kFastStartHeader), "1"});
  const std::string text = http::write(request);
  out_.insert(out_.end(), text.begin(), text.end());
  flush_later();
  if (!certified_) {
    state_ = State::kUpgrading;
    return;
  }
  state_ = State::kFrames;
  const Alive alive = self_;
  on_.on_connected();
  if (alive.expired() || state_ != State::kFrames) return;
  on_.on_message(derp::ServerKey{*certified_});
}

void DerpConnection::on_bytes(ByteView bytes) {
  const Alive alive = self_;
  if (state_ == State::kUpgrading) bytes = read_answer(bytes);
  if (!alive.expired() && !bytes.empty()) read_frames(bytes);
}

/// What comes behind the answer.
ByteView DerpConnection::read_answer(ByteView bytes) {
  const auto used = answer_.read(bytes);
  if (!used) {
    close(std::string("the answer is no HTTP: ") + http::text_of(used.error()));
    return {};
  }
  if (!answer_.done()) return {};
  const unsigned status = answer_.take().status;
  if (status != kSwitchingProtocols) {
    close("the server answers HTTP " + std::to_string(status));
    return {};
  }
  state_ = State::kFrames;
  on_.on_connected();  // may destroy us
  return bytes.subspan(*used);
}

void DerpConnection::read_frames(ByteView bytes) {
  const Alive alive = self_;
  const auto stopped = [&] { return alive.expired() || state_ != State::kFrames; };
  if (!begun_.empty()) bytes = finish_frame(bytes);
  while (!stopped() && !bytes.empty()) {
    const auto frame = derp::next_frame(bytes, derp::kMaxBody);
    if (!frame) return close("a frame is too long");
    if (!*frame) {
      begun_.assign(bytes.begin(), bytes.end());
      return;
    }
    bytes = bytes.subspan((*frame)->size());
    deliver(**frame);
  }
}

/// Adds to the frame that has begun; what is left of the bytes.
ByteView DerpConnection::finish_frame(ByteView bytes) {
  const Alive alive = self_;
  while (!bytes.empty()) {
    const size_t more = std::min(missing(begun_), bytes.size());
    begun_.insert(begun_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(more));
    bytes = bytes.subspan(more);
    const auto frame = derp::next_frame(begun_, derp::kMaxBody);
    if (!frame) {
      close("a frame is too long");
      return {};
    }
    if (!*frame) continue;
    Bytes whole = std::exchange(begun_, {});  // a hook may destroy us
    deliver(*derp::next_frame(whole, derp::kMaxBody).value());
    if (alive.expired()) return {};
    if (whole.capacity() <= kKeptBytes) begun_ = std::move(whole);
    begun_.clear();
    return bytes;
  }
  return {};
}

void DerpConnection::deliver(const derp::Frame& frame) {
  const auto message = derp::parse(frame);
  if (!message) {
    if (message.error() == derp::FrameError::kNoMagic) return close("the server is no DERP server");
    ++skipped_;
    return;
  }
  if (const auto* key = std::get_if<derp::ServerKey>(&*message); key != nullptr && certified_) {
    if (key->server != *certified_) return close("the server's key is not its certificate's");
    return;  // it was delivered at once
  }
  on_.on_message(*message);
}

void DerpConnection::close(const std::string& why) {
  state_ = State::kClosed;
  const auto on_closed = std::exchange(on_.on_closed, {});
  on_closed(why);
}

bool DerpConnection::has_room(size_t more, size_t limit) const {
  return state_ == State::kFrames && queued_bytes() + more <= limit;
}

size_t DerpConnection::queued_bytes() const {
  return out_.size() - out_left_ + (connection_ ? connection_->queued_bytes() : 0);
}

bool DerpConnection::send(ByteView frame) {
  if (!has_room(frame.size(), kQueueBytes + kReserveBytes)) return false;
  out_.insert(out_.end(), frame.begin(), frame.end());
  flush_later();
  return true;
}

bool DerpConnection::send_packet(const NodeKey& to, ByteView packet) {
  if (packet.size() > derp::kMaxPacket) return false;
  if (!has_room(derp::kPacketHead + packet.size(), kQueueBytes)) return false;
  const auto head = derp::send_packet_head(to, packet.size());
  out_.insert(out_.end(), head.begin(), head.end());
  out_.insert(out_.end(), packet.begin(), packet.end());
  flush_later();
  return true;
}

void DerpConnection::flush_later() {
  if (flush_posted_) return;
  flush_posted_ = true;
  loop_.post([weak = Alive(self_)] {
    const auto self = weak.lock();
    if (!self) return;
    (*self)->flush_posted_ = false;
    (*self)->flush();
  });
}

/// As much as TLS takes. The packets of one turn share its records.
void DerpConnection::flush() {
  while (out_left_ < out_.size() && state_ != State::kClosed) {
    const ByteView slice =
        ByteView(out_).subspan(out_left_).first(std::min(kSlice, out_.size() - out_left_));
    // Full: on_writable goes on. Closed: its end comes by on_closed.
    if (connection_->offer(slice) != io::Offer::kTaken) break;
    out_left_ += slice.size();
  }
  out_.erase(out_.begin(), out_.begin() + static_cast<ptrdiff_t>(out_left_));
  out_left_ = 0;
  if (out_.empty() && out_.capacity() > kKeptBytes) out_.shrink_to_fit();
}

}  // namespace sallyport
