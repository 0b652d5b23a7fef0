// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/derp.h"

#include <algorithm>
#include <cassert>

#include "agent/base/span_writer.h"
#include "agent/wire/endpoint_list.h"

namespace sallyport::derp {
namespace {

constexpr size_t kKey = 32;

PublicKey read_key(ByteReader& in) { return PublicKey{in.array<kKey>()}; }
ByteView rest(ByteReader& in) { return in.take(in.left()); }

Result<Message, FrameError> parse_server_key(ByteReader& in) {
  const auto magic = in.array<kMagic.size()>();
  const PublicKey server = read_key(in);
  if (in.ok() && magic != kMagic) return Fail{FrameError::kNoMagic};
  return Message{ServerKey{server}};
}

ClientInfoBox parse_client_info(ByteReader& in) {
  ClientInfoBox info;
  info.client = read_key(in);
  info.nonce = in.array<24>();
  info.box = rest(in);
  return info;
}

ServerInfoBox parse_server_info(ByteReader& in) {
  ServerInfoBox info;
  info.nonce = in.array<24>();
  info.box = rest(in);
  return info;
}

PeerGone parse_peer_gone(ByteReader& in) {
  PeerGone gone;
  gone.peer = read_key(in);
  if (in.left() > 0) gone.reason = static_cast<GoneReason>(in.u8());
  return gone;
}

PeerPresent parse_peer_present(ByteReader& in) {
  PeerPresent present;
  present.peer = read_key(in);
  if (in.left() < kWireEndpoint) return present;
  present.endpoint = read_endpoint(in);
  if (in.left() > 0) present.flags = in.u8();
  return present;
}

/// A packet with who sends it and who is to have it, as far as the frame says.
template <class Packet>
Result<Message, FrameError> parse_packet(ByteReader& in) {
  Packet packet;
  if constexpr (requires { packet.from; }) packet.from = read_key(in);
  if constexpr (requires { packet.to; }) packet.to = read_key(in);
  packet.packet = rest(in);
  if (packet.packet.size() > kMaxPacket) return Fail{FrameError::kTooLarge};
  return Message{packet};
}

Health parse_health(ByteReader& in) {
  const ByteView text = rest(in);
  return {{reinterpret_cast<const char*>(text.data()), text.size()}};
}

Restarting parse_restarting(ByteReader& in) {
  Restarting restarting;
  restarting.reconnect_in = std::chrono::milliseconds(in.u32());
  restarting.try_for = std::chrono::milliseconds(in.u32());
  return restarting;
}

Result<Message, FrameError> parse_body(FrameType type, ByteReader& in) {
  switch (type) {
    case FrameType::kServerKey:
      return parse_server_key(in);
    case FrameType::kClientInfo:
      return Message{parse_client_info(in)};
    case FrameType::kServerInfo:
      return Message{parse_server_info(in)};
    case FrameType::kSendPacket:
      return parse_packet<SendPacket>(in);
    case FrameType::kRecvPacket:
      return parse_packet<RecvPacket>(in);
    case FrameType::kKeepAlive:
      return Message{KeepAlive{}};
    case FrameType::kNotePreferred:
      return Message{NotePreferred{in.u8() != 0}};
    case FrameType::kPeerGone:
      return Message{parse_peer_gone(in)};
    case FrameType::kPeerPresent:
      return Message{parse_peer_present(in)};
    case FrameType::kForwardPacket:
      return parse_packet<ForwardPacket>(in);
    case FrameType::kWatchConns:
      return Message{WatchConns{}};
    case FrameType::kClosePeer:
      return Message{ClosePeer{read_key(in)}};
    case FrameType::kPing:
      return Message{Ping{in.array<8>()}};
    case FrameType::kPong:
      return Message{Pong{in.array<8>()}};
    case FrameType::kHealth:
      return Message{parse_health(in)};
    case FrameType::kRestarting:
      return Message{parse_restarting(in)};
  }
  return Message{Unknown{static_cast<uint8_t>(type)}};
}

/// Writes a body and says its type; nothing if it cannot be written.
struct BodyWriter {
  SpanWriter& out;
  using Type = std::optional<FrameType>;

  Type operator()(const ServerKey& message) const {
    out.bytes(kMagic);
    out.bytes(message.server.bytes);
    return FrameType::kServerKey;
  }
  Type operator()(const ClientInfoBox& message) const {
    out.bytes(message.client.bytes);
    out.bytes(message.nonce);
    out.bytes(message.box);
    return FrameType::kClientInfo;
  }
  Type operator()(const ServerInfoBox& message) const {
    out.bytes(message.nonce);
    out.bytes(message.box);
    return FrameType::kServerInfo;
  }
  Type operator()(const SendPacket& message) const {
    out.bytes(message.to.bytes);
    return packet(message.packet, FrameType::kSendPacket);
  }
  Type operator()(const RecvPacket& message) const {
    out.bytes(message.from.bytes);
    return packet(message.packet, FrameType::kRecvPacket);
  }
  Type operator()(const KeepAlive&) const { return FrameType::kKeepAlive; }
  Type operator()(const NotePreferred& message) const {
    out.u8(message.home ? 1 : 0);
    return FrameType::kNotePreferred;
  }
  Type operator()(const PeerGone& message) const {
    out.bytes(message.peer.bytes);
    out.u8(static_cast<uint8_t>(message.reason));
    return FrameType::kPeerGone;
  }
  Type operator()(const PeerPresent& message) const {
    out.bytes(message.peer.bytes);
    if (message.endpoint) {
      write_endpoint(out, *message.endpoint);
      out.u8(message.flags);
    }
    return FrameType::kPeerPresent;
  }
  Type operator()(const ForwardPacket& message) const {
    out.bytes(message.from.bytes);
    out.bytes(message.to.bytes);
    return packet(message.packet, FrameType::kForwardPacket);
  }
  Type operator()(const WatchConns&) const { return FrameType::kWatchConns; }
  Type operator()(const ClosePeer& message) const {
    out.bytes(message.peer.bytes);
    return FrameType::kClosePeer;
  }
  Type operator()(const Ping& message) const {
    out.bytes(message.data);
    return FrameType::kPing;
  }
  Type operator()(const Pong& message) const {
    out.bytes(message.data);
    return FrameType::kPong;
  }
  Type operator()(const Health& message) const {
    const std::string_view text = message.problem;
    out.bytes({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    return FrameType::kHealth;
  }
  Type operator()(const Restarting& message) const {
    out.u32(static_cast<uint32_t>(message.reconnect_in.count()));
    out.u32(static_cast<uint32_t>(message.try_for.count()));
    return FrameType::kRestarting;
  }
  Type operator()(const Unknown&) const { return {}; }

 private:
  [[nodiscard]] Type packet(ByteView bytes, FrameType type) const {
    if (bytes.size() > kMaxPacket) return {};
    out.bytes(bytes);
    return type;
  }
};

std::array<uint8_t, kPacketHead> packet_head(FrameType type, const NodeKey& node, size_t size) {
  assert(size <= kMaxPacket);
  std::array<uint8_t, kPacketHead> head{};
  SpanWriter out(head);
  out.u8(static_cast<uint8_t>(type));
  out.u32(static_cast<uint32_t>(kKey + size));
  out.bytes(node.bytes);
  return head;
}

}  // namespace

Result<std::optional<Frame>, FrameError> next_frame(ByteView stream, size_t max_body) {
  ByteReader in(stream);
  Frame frame;
  frame.type = in.u8();
  const size_t length = in.u32();
  if (!in.ok()) return std::optional<Frame>();
  if (length > max_body) return Fail{FrameError::kTooLong};
  frame.body = in.take(length);
  if (!in.ok()) return std::optional<Frame>();
  return std::optional(frame);
}

Result<Message, FrameError> parse(const Frame& frame) {
  ByteReader in(frame.body);
  const Message message = TRY(parse_body(static_cast<FrameType>(frame.type), in));
  if (!in.ok()) return Fail{FrameError::kTruncated};
  return message;
}

ByteView write(const Message& message, std::span<uint8_t> out) {
  if (out.size() < kHead) return {};
  SpanWriter body(out.subspan(kHead));
  const std::optional<FrameType> type = std::visit(BodyWriter{body}, message);
  if (!type || !body.ok()) return {};
  SpanWriter head(out);
  head.u8(static_cast<uint8_t>(*type));
  head.u32(static_cast<uint32_t>(body.size()));
  return out.first(kHead + body.size());
}

std::array<uint8_t, kPacketHead> send_packet_head(const NodeKey& to, size_t size) {
  return packet_head(FrameType::kSendPacket, to, size);
}
std::array<uint8_t, kPacketHead> recv_packet_head(const NodeKey& from, size_t size) {
  return packet_head(FrameType::kRecvPacket, from, size);
}

}  // namespace sallyport::derp
