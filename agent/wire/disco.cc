// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/disco.h"

#include <algorithm>

namespace sallyport::disco {
namespace {

enum class Type : uint8_t {
  kPing = 1,
  kPong = 2,
  kCallMeMaybe = 3,
  kBind = 4,
  kChallenge = 5,
  kAnswer = 6,
  kCallMeMaybeVia = 7,
  kAllocateRequest = 8,
  kAllocateResponse = 9,
};
constexpr uint8_t kVersion = 0;

Ping parse_ping(ByteReader& in) {
  Ping ping;
  ping.tx = in.array<12>();
  ping.padding = in.left();
  if (in.left() < ping.node_key.bytes.size()) return ping;
  ping.node_key.bytes = in.array<32>();
  if (!ping.node_key.is_zero()) ping.padding = in.left();  // else it was padding all along
  return ping;
}

Pong parse_pong(ByteReader& in) {
  Pong pong;
  pong.tx = in.array<12>();
  pong.seen = read_endpoint(in);
  return pong;
}

CallMeMaybe parse_call_me_maybe(ByteReader& in) {
  // A list that does not come out even is no list.
  const ByteView rest = in.take(in.left());
  return {rest.size() % kWireEndpoint == 0 ? EndpointList(rest) : EndpointList()};
}

RelayHandshake parse_handshake(RelayStep step, ByteReader& in) {
  RelayHandshake handshake;
  handshake.step = step;
  handshake.vni = in.u32();
  handshake.generation = in.u32();
  handshake.remote.bytes = in.array<32>();
  handshake.challenge = in.array<32>();
  return handshake;
}

std::array<DiscoKey, 2> parse_clients(ByteReader& in) {
  std::array<DiscoKey, 2> clients;
  for (DiscoKey& client : clients) client.bytes = in.array<32>();
  return clients;
}

/// Nothing: too short, or the addresses do not come out even.
std::optional<RelayEndpoint> parse_relay(ByteReader& in) {
  RelayEndpoint relay;
  relay.server.bytes = in.array<32>();
  relay.clients = parse_clients(in);
  relay.lamport_id = in.u64();
  relay.vni = in.u32();
  relay.bind_lifetime = Duration{static_cast<int64_t>(in.u64())};
  relay.steady_lifetime = Duration{static_cast<int64_t>(in.u64())};
  if (!in.ok() || in.left() < kWireEndpoint || in.left() % kWireEndpoint != 0) return {};
  relay.addresses = EndpointList(in.take(in.left()));
  return relay;
}

void write_clients(SpanWriter& out, const std::array<DiscoKey, 2>& clients) {
  for (const DiscoKey& client : clients) out.bytes(client.bytes);
}

void write_relay(SpanWriter& out, const RelayEndpoint& relay) {
  out.bytes(relay.server.bytes);
  write_clients(out, relay.clients);
  out.u64(relay.lamport_id);
  out.u32(relay.vni);
  out.u64(static_cast<uint64_t>(relay.bind_lifetime.count()));
  out.u64(static_cast<uint64_t>(relay.steady_lifetime.count()));
  out.bytes(relay.addresses.raw());
}

void write_head(SpanWriter& out, Type type) {
  out.u8(static_cast<uint8_t>(type));
  out.u8(kVersion);
}

struct Writer {
  SpanWriter& out;

  bool operator()(const Ping& ping) const {
    write_head(out, Type::kPing);
    out.bytes(ping.tx);
    if (!ping.node_key.is_zero()) out.bytes(ping.node_key.bytes);
    std::ranges::fill(out.reserve(ping.padding), uint8_t{0});
    return true;
  }
  bool operator()(const Pong& pong) const {
    write_head(out, Type::kPong);
    out.bytes(pong.tx);
    write_endpoint(out, pong.seen);
    return true;
  }
  bool operator()(const CallMeMaybe& call) const {
    write_head(out, Type::kCallMeMaybe);
    out.bytes(call.endpoints.raw());
    return true;
  }
  bool operator()(const RelayHandshake& handshake) const {
    write_head(out, static_cast<Type>(handshake.step));
    out.u32(handshake.vni);
    out.u32(handshake.generation);
    out.bytes(handshake.remote.bytes);
    out.bytes(handshake.challenge);
    return true;
  }
  bool operator()(const CallMeMaybeVia& via) const {
    write_head(out, Type::kCallMeMaybeVia);
    write_relay(out, via.relay);
    return !via.relay.addresses.empty();
  }
  bool operator()(const AllocateRequest& request) const {
    write_head(out, Type::kAllocateRequest);
    write_clients(out, request.clients);
    out.u32(request.generation);
    return true;
  }
  bool operator()(const AllocateResponse& response) const {
    write_head(out, Type::kAllocateResponse);
    out.u32(response.generation);
    write_relay(out, response.relay);
    return !response.relay.addresses.empty();
  }
  bool operator()(const Unknown&) const { return false; }
};

Result<Message, Truncated> parse_body(Type type, ByteReader& in) {
  switch (type) {
    case Type::kPing:
      return Message{parse_ping(in)};
    case Type::kPong:
      return Message{parse_pong(in)};
    case Type::kCallMeMaybe:
      return Message{parse_call_me_maybe(in)};
    case Type::kBind:
    case Type::kChallenge:
    case Type::kAnswer:
      return Message{parse_handshake(static_cast<RelayStep>(type), in)};
    case Type::kCallMeMaybeVia: {
      const auto relay = parse_relay(in);
      if (!relay) return Fail{Truncated{}};
      return Message{CallMeMaybeVia{*relay}};
    }
    case Type::kAllocateRequest: {
      const std::array<DiscoKey, 2> clients = parse_clients(in);
      return Message{AllocateRequest{clients, in.u32()}};
    }
    case Type::kAllocateResponse: {
      const uint32_t generation = in.u32();
      const auto relay = parse_relay(in);
      if (!relay) return Fail{Truncated{}};
      return Message{AllocateResponse{generation, *relay}};
    }
  }
  return Message{Unknown{static_cast<uint8_t>(type)}};
}

/// Those that may grow at their end instead keep their meaning under any version number.
bool means_version_0_only(Type type) {
  return type == Type::kCallMeMaybe || type == Type::kCallMeMaybeVia ||
         type == Type::kAllocateRequest || type == Type::kAllocateResponse;
}

}  // namespace

Result<Message, Truncated> parse(ByteView message) {
  ByteReader in(message);
  const auto type = static_cast<Type>(in.u8());
  const uint8_t version = in.u8();
  if (!in.ok()) return Fail{Truncated{}};
  if (version != kVersion && means_version_0_only(type)) {
    return Message{Unknown{static_cast<uint8_t>(type)}};
  }
  const Message parsed = TRY(parse_body(type, in));
  if (!in.ok()) return Fail{Truncated{}};
  return parsed;
}

ByteView write(const Message& message, std::span<uint8_t> out) {
  SpanWriter writer(out);
  if (!std::visit(Writer{writer}, message)) return {};
  return writer.written();
}

bool is_disco(ByteView datagram) {
  return datagram.size() >= kHead && std::ranges::equal(datagram.first(kMagic.size()), kMagic);
}

std::optional<Envelope> parse_envelope(ByteView datagram) {
  if (!is_disco(datagram)) return {};
  ByteReader in(datagram.subspan(kMagic.size()));
  Envelope envelope;
  envelope.sender.bytes = in.array<32>();
  envelope.nonce = in.array<24>();
  envelope.box = in.take(in.left());
  return envelope;
}

std::optional<ByteView> open(const BoxKey& box_key, const Envelope& envelope,
                             std::span<uint8_t> plain) {
  if (envelope.box.size() < kBoxTag || plain.size() < envelope.box.size() - kBoxTag) return {};
  const std::span<uint8_t> message = plain.first(envelope.box.size() - kBoxTag);
  if (!box_key.open(envelope.nonce, envelope.box, message)) return {};
  return ByteView(message);
}

ByteView seal(const BoxKey& box_key, const DiscoKey& sender, const BoxNonce& nonce,
              const Message& message, std::span<uint8_t> out) {
  if (out.size() < kOverhead) return {};
  const ByteView plain = write(message, out.subspan(kOverhead));
  if (plain.empty()) return {};
  SpanWriter head(out);
  head.bytes(kMagic);
  head.bytes(sender.bytes);
  head.bytes(nonce);
  box_key.seal(nonce, plain, out.subspan(kHead, plain.size() + kBoxTag));
  return out.first(kOverhead + plain.size());
}

}  // namespace sallyport::disco
