// SPDX-License-Identifier: BSD-3-Clause
/// DERP's frames: a relay that routes by node key over a byte stream. All integers big-endian.
///
///   frame   u8 type + u32 length of the body + body
///   login   server: ServerKey; client: ClientInfo; server: ServerInfo; then anything
///
/// A body may be longer than what is known of it, and a type may be unknown: later versions have
/// more to say. Source: tailscale derp/derp.go, derp_client.go, derpserver.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "agent/model/endpoint.h"
#include "agent/model/tailnet_keys.h"
#include "agent/wire/box.h"

namespace sallyport::derp {

/// Which protocol this is; both sides say it in their info.
constexpr int kVersion = 2;
constexpr size_t kHead = 5;
constexpr size_t kMaxPacket = size_t{64} * 1024;
/// A client hangs up on a longer body.
constexpr size_t kMaxBody = size_t{1024} * 1024;
/// A server hangs up on a longer ClientInfo.
constexpr size_t kMaxClientInfo = size_t{256} * 1024;
constexpr std::array<uint8_t, 8> kMagic{0x44, 0x45, 0x52, 0x50, 0xf0, 0x9f, 0x94, 0x91};

/// The HTTP request that becomes the stream, and what a fast start leaves out of its answer.
constexpr std::string_view kPath = "/derp";
constexpr std::string_view kUpgrade = "DERP";
constexpr std::string_view kFastStartHeader = "Derp-Fast-Start";  // "1": no HTTP answer at all
constexpr std::string_view kIdealNodeHeader = "Ideal-Node";       // the region's first node's name
constexpr std::string_view kVersionHeader = "Derp-Version";       // in the answer: kVersion
constexpr std::string_view kPublicKeyHeader = "Derp-Public-Key";  // in the answer: bare hex

enum class FrameType : uint8_t {
  kServerKey = 0x01,
  kClientInfo = 0x02,
  kServerInfo = 0x03,
  kSendPacket = 0x04,
  kRecvPacket = 0x05,
  kKeepAlive = 0x06,
  kNotePreferred = 0x07,
  kPeerGone = 0x08,
  kPeerPresent = 0x09,
  kForwardPacket = 0x0a,
  kWatchConns = 0x10,
  kClosePeer = 0x11,
  kPing = 0x12,
  kPong = 0x13,
  kHealth = 0x14,
  kRestarting = 0x15,
};

/// 01 server: magic (8) + key (32).
struct ServerKey {
  PublicKey server;
  friend bool operator==(const ServerKey&, const ServerKey&) = default;
};
/// 02 client: its node key (32) + nonce (24) + box of JSON (derp_info.h).
struct ClientInfoBox {
  NodeKey client;
  BoxNonce nonce{};
  ByteView box;
};
/// 03 server: nonce (24) + box of JSON.
struct ServerInfoBox {
  BoxNonce nonce{};
  ByteView box;
};
/// 04 client: to whom (32) + packet.
struct SendPacket {
  NodeKey to;
  ByteView packet;
};
/// 05 server: from whom (32) + packet.
struct RecvPacket {
  NodeKey from;
  ByteView packet;
};
/// 06 server: empty.
struct KeepAlive {};
/// 07 client: u8, 1 if this server is its home.
struct NotePreferred {
  bool home = false;
};
enum class GoneReason : uint8_t { kDisconnected = 0, kNotHere = 1 };
/// 08 server: key (32) + u8 reason, which may be absent (kDisconnected).
struct PeerGone {
  NodeKey peer;
  GoneReason reason = GoneReason::kDisconnected;  // may hold a value that is not listed
};
/// 09 server to a mesh member: key (32) [+ endpoint (18) [+ u8 flags]].
struct PeerPresent {
  static constexpr uint8_t kRegular = 1;
  static constexpr uint8_t kMeshPeer = 2;
  static constexpr uint8_t kProber = 4;
  static constexpr uint8_t kNotIdeal = 8;

  NodeKey peer;
  std::optional<Endpoint> endpoint;
  uint8_t flags = 0;  // 0: the server has none to say; written only with an endpoint
};
/// 0a mesh member: from whom (32) + to whom (32) + packet.
struct ForwardPacket {
  NodeKey from;
  NodeKey to;
  ByteView packet;
};
/// 10 mesh member: empty; asks for PeerPresent and PeerGone of all.
struct WatchConns {};
/// 11 mesh member: key (32).
struct ClosePeer {
  NodeKey peer;
};
/// 12 and 13, either: 8 bytes, repeated in the pong.
struct Ping {
  std::array<uint8_t, 8> data{};
};
struct Pong {
  std::array<uint8_t, 8> data{};
};
/// 14 server: text for people; empty: all is well again.
struct Health {
  std::string_view problem;  // bytes of a stranger: not checked to be UTF-8 or printable
};
/// 15 server: u32 + u32, milliseconds: when to come again and how long to try.
struct Restarting {
  std::chrono::milliseconds reconnect_in{};
  std::chrono::milliseconds try_for{};
};
/// To be skipped.
struct Unknown {
  uint8_t type = 0;
};
using Message = std::variant<ServerKey, ClientInfoBox, ServerInfoBox, SendPacket, RecvPacket,
                             KeepAlive, NotePreferred, PeerGone, PeerPresent, ForwardPacket,
                             WatchConns, ClosePeer, Ping, Pong, Health, Restarting, Unknown>;

enum class FrameError : uint8_t {
  kTooLong,    // the body, by its header: hang up, for what follows cannot be found
  kTruncated,  // the body is shorter than its members: the reference's client skips such a frame
  kNoMagic,    // of a ServerKey: the other side does not speak DERP
  kTooLarge,   // a packet over kMaxPacket
};

/// One frame at the start of a stream. Borrows from it.
struct Frame {
  uint8_t type = 0;
  ByteView body;
  /// How much of the stream it was.
  [[nodiscard]] size_t size() const { return kHead + body.size(); }
};
/// Nothing: more bytes are needed. `max_body` is judged as soon as the header is there.
Result<std::optional<Frame>, FrameError> next_frame(ByteView stream, size_t max_body);

/// Views borrow from the frame's body.
Result<Message, FrameError> parse(const Frame& frame);

/// A whole frame in `out`. Empty: no room, a packet over kMaxPacket, or Unknown.
ByteView write(const Message& message, std::span<uint8_t> out);

/// What stands before a packet, for whoever sends it from where it lies. `size` is the packet's, at
/// most kMaxPacket.
constexpr size_t kPacketHead = kHead + 32;
std::array<uint8_t, kPacketHead> send_packet_head(const NodeKey& to, size_t size);
std::array<uint8_t, kPacketHead> recv_packet_head(const NodeKey& from, size_t size);

}  // namespace sallyport::derp
