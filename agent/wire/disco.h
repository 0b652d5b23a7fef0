// SPDX-License-Identifier: BSD-3-Clause
/// Disco, the messages by which two nodes find a path to each other. All integers big-endian.
///
///   datagram   54 53 f0 9f 92 ac + sender's disco key (32) + nonce (24) + box (tag 16 + message)
///   message    u8 type + u8 version (0) + body
///
/// Bytes after a body are left unread, as are whole messages of an unknown type: later versions may
/// have more to say. Source: tailscale disco/disco.go.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>

#include "agent/base/bytes.h"
#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/model/tailnet_keys.h"
#include "agent/wire/box.h"
#include "agent/wire/endpoint_list.h"

namespace sallyport::disco {

constexpr std::array<uint8_t, 6> kMagic{0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
/// In clear before the box.
constexpr size_t kHead = kMagic.size() + 32 + std::tuple_size_v<BoxNonce>;
/// What a datagram is longer than its message.
constexpr size_t kOverhead = kHead + kBoxTag;

/// Drawn at random for each ping; the pong repeats it.
using TxId = std::array<uint8_t, 12>;

/// type 01: tx (12) + node key (32) + zeros. By UDP, DERP or a peer relay.
struct Ping {
  TxId tx{};
  NodeKey node_key;    // zero: absent; a claim of the sender, so look it up
  size_t padding = 0;  // bytes after it, to measure what the path carries
  friend bool operator==(const Ping&, const Ping&) = default;
};
/// type 02: tx (12) + where the ping was seen to come from (18). Back by the way of the ping.
struct Pong {
  TxId tx{};
  Endpoint seen;
  friend bool operator==(const Pong&, const Pong&) = default;
};
/// type 03: endpoints (18 each), maybe none. Valid only by DERP.
struct CallMeMaybe {
  EndpointList endpoints;
  friend bool operator==(const CallMeMaybe&, const CallMeMaybe&) = default;
};

enum class RelayStep : uint8_t { kBind = 4, kChallenge = 5, kAnswer = 6 };
/// types 04, 05, 06: u32 vni + u32 generation + the other client's disco key (32) + challenge (32).
/// Between a client and a peer relay, in Geneve with the control bit; all three are of one length.
struct RelayHandshake {
  RelayStep step = RelayStep::kBind;
  uint32_t vni = 0;         // must be Geneve's
  uint32_t generation = 0;  // not 0; new for each handshake
  DiscoKey remote;
  std::array<uint8_t, 32> challenge{};  // the relay's, echoed in the answer; of no meaning in bind
  friend bool operator==(const RelayHandshake&, const RelayHandshake&) = default;
};
/// A place at a peer relay for two clients: server's disco key (32) + clients' disco keys (2 x 32)
/// + u64 lamport id + u32 vni + i64 bind lifetime in ns + i64 steady lifetime in ns + endpoints,
/// at least one (18 each).
struct RelayEndpoint {
  DiscoKey server;
  std::array<DiscoKey, 2> clients;
  uint64_t lamport_id = 0;  // of two for the same clients the higher one counts
  uint32_t vni = 0;
  Duration bind_lifetime{};    // for the handshake
  Duration steady_lifetime{};  // idle, afterwards
  EndpointList addresses;
  friend bool operator==(const RelayEndpoint&, const RelayEndpoint&) = default;
};
/// type 07: relay endpoint. Valid only by DERP.
struct CallMeMaybeVia {
  RelayEndpoint relay;
  friend bool operator==(const CallMeMaybeVia&, const CallMeMaybeVia&) = default;
};
/// type 08: clients' disco keys (2 x 32), the lower one first + u32 generation. Only by DERP.
struct AllocateRequest {
  std::array<DiscoKey, 2> clients;
  uint32_t generation = 0;
  friend bool operator==(const AllocateRequest&, const AllocateRequest&) = default;
};
/// type 09: u32 generation of the request + relay endpoint. Valid only by DERP.
struct AllocateResponse {
  uint32_t generation = 0;
  RelayEndpoint relay;
  friend bool operator==(const AllocateResponse&, const AllocateResponse&) = default;
};
/// A type or version that is not known here: to be left alone, no error.
struct Unknown {
  uint8_t type = 0;
  friend bool operator==(const Unknown&, const Unknown&) = default;
};
using Message = std::variant<Ping, Pong, CallMeMaybe, RelayHandshake, CallMeMaybeVia,
                             AllocateRequest, AllocateResponse, Unknown>;

/// The only thing that can be wrong with a message: it ends too early.
struct Truncated {};

/// An opened box. Endpoint lists borrow from `message`.
Result<Message, Truncated> parse(ByteView message);
/// Into `out`. Empty: it has no room, or the message is Unknown.
ByteView write(const Message& message, std::span<uint8_t> out);

/// What can be read of a datagram without a key. Borrows from it.
struct Envelope {
  DiscoKey sender;
  BoxNonce nonce{};
  ByteView box;
};
/// By magic and length (62 bytes); that is also how a datagram is told from WireGuard's.
[[nodiscard]] bool is_disco(ByteView datagram);
std::optional<Envelope> parse_envelope(ByteView datagram);

/// Into `plain`, which must have room for the box without its tag; what is returned is its part
/// that holds the message. Nothing: not sealed by this sender for us, or no room.
std::optional<ByteView> open(const BoxKey& box_key, const Envelope& envelope,
                             std::span<uint8_t> plain);
/// A whole datagram in `out`, which needs room for the message and kOverhead. `box_key` is that of
/// the sender's private key and the receiver's disco key. Empty: no room, or Unknown.
ByteView seal(const BoxKey& box_key, const DiscoKey& sender, const BoxNonce& nonce,
              const Message& message, std::span<uint8_t> out);

}  // namespace sallyport::disco
