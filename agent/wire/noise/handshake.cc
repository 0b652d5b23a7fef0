// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/noise/handshake.h"

#include <sodium.h>

#include <algorithm>
#include <string>

#include "agent/base/span_writer.h"
#include "agent/wire/noise/blake2s.h"
#include "agent/wire/noise/message_type.h"

namespace sallyport::noise {
namespace {

constexpr std::string_view kProtocol = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
constexpr std::string_view kPrologue = "Tailscale Control Protocol v";
constexpr size_t kInitiationHead = 5;
constexpr size_t kResponseHead = 3;
constexpr size_t kPublic = 32;
/// Each handshake key seals one message.
constexpr std::array<uint8_t, 12> kZeroNonce{};

ByteView bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

/// What both sides know before the first message.
void mix_opening(SymmetricState& state, uint16_t version, const MachineKey& server) {
  std::string prologue(kPrologue);
  prologue += std::to_string(version);
  state.mix_hash(bytes_of(prologue));
  state.mix_hash(server.bytes);
}

MachineKey public_of(const PrivateKey& key) { return {key.public_key().bytes}; }

}  // namespace

SymmetricState::SymmetricState() : hash_(blake2s({bytes_of(kProtocol)})), chain_(hash_) {}

void SymmetricState::mix_hash(ByteView data) { hash_ = blake2s({hash_, data}); }

std::optional<Secret<32>> SymmetricState::mix_shared(const PrivateKey& own,
                                                     const MachineKey& peer) {
  std::array<uint8_t, 32> shared{};
  if (crypto_scalarmult(shared.data(), own.scalar.reveal().data(), peer.bytes.data()) != 0) {
    return {};
  }
  const auto [chain, key] = hkdf2(chain_, shared);
  chain_ = chain;
  sodium_memzero(shared.data(), shared.size());
  return key;
}

void SymmetricState::seal_and_hash(const Secret<32>& key, ByteView plain,
                                   std::span<uint8_t> sealed) {
  crypto_aead_chacha20poly1305_ietf_encrypt(sealed.data(), nullptr, plain.data(), plain.size(),
                                            hash_.data(), hash_.size(), nullptr, kZeroNonce.data(),
                                            key.reveal().data());
  mix_hash(sealed);
}

bool SymmetricState::open_and_hash(const Secret<32>& key, ByteView sealed,
                                   std::span<uint8_t> plain) {
  if (crypto_aead_chacha20poly1305_ietf_decrypt(plain.data(), nullptr, nullptr, sealed.data(),
                                                sealed.size(), hash_.data(), hash_.size(),
                                                kZeroNonce.data(), key.reveal().data()) != 0) {
    return false;
  }
  mix_hash(sealed);
  return true;
}

std::array<Secret<32>, 2> SymmetricState::split() const { return hkdf2(chain_, {}); }

Initiator::Initiator(const PrivateKey& machine, const MachineKey& server, uint16_t version,
                     const PrivateKey& ephemeral)
    : machine_(machine), ephemeral_(ephemeral) {
  mix_opening(state_, version, server);
  std::array<uint8_t, kInitiation> message{};
  SpanWriter out(message);
  out.u16(version);
  out.u8(static_cast<uint8_t>(MessageType::kInitiation));
  out.u16(kInitiation - kInitiationHead);

  const MachineKey shown = public_of(ephemeral_);
  out.bytes(shown.bytes);
  state_.mix_hash(shown.bytes);
  const auto es = state_.mix_shared(ephemeral_, server);
  if (!es) return;
  state_.seal_and_hash(*es, public_of(machine_).bytes, out.reserve(kPublic + kTag));
  const auto ss = state_.mix_shared(machine_, server);
  if (!ss) return;
  state_.seal_and_hash(*ss, {}, out.reserve(kTag));
  initiation_ = message;
}

size_t Initiator::response_size(ByteView stream) {
  ByteReader in(stream);
  in.u8();
  const size_t length = in.u16();
  return in.ok() ? kResponseHead + length : kResponseHead;
}

Result<Transport, HandshakeError> Initiator::on_response(ByteView response) {
  if (spent_ || !initiation_) return Fail{HandshakeError::kSpent};
  spent_ = true;
  if (response.size() != response_size(response)) return Fail{HandshakeError::kLength};
  ByteReader in(response);
  const auto type = static_cast<MessageType>(in.u8());
  if (type == MessageType::kError) return Fail{HandshakeError::kRefused};
  if (type != MessageType::kResponse) return Fail{HandshakeError::kType};
  in.u16();
  if (in.left() != kResponse - kResponseHead) return Fail{HandshakeError::kLength};

  const MachineKey shown{in.array<kPublic>()};
  state_.mix_hash(shown.bytes);
  if (!state_.mix_shared(ephemeral_, shown)) return Fail{HandshakeError::kBadKey};  // ee
  const auto se = state_.mix_shared(machine_, shown);
  if (!se) return Fail{HandshakeError::kBadKey};
  if (!state_.open_and_hash(*se, in.take(kTag), {})) return Fail{HandshakeError::kForged};
  const auto [to_server, to_client] = state_.split();
  return Transport{RecordKey(to_server), RecordKey(to_client), state_.hash()};
}

std::string_view Initiator::error_text(ByteView response) {
  const ByteView text = response.subspan(std::min(response.size(), kResponseHead));
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

std::optional<uint16_t> claimed_version(ByteView initiation) {
  if (initiation.size() != kInitiation) return {};
  return ByteReader(initiation).u16();
}

Result<Accepted, HandshakeError> accept(ByteView initiation, const PrivateKey& server,
                                        const PrivateKey& ephemeral) {
  if (initiation.size() != kInitiation) return Fail{HandshakeError::kLength};
  ByteReader in(initiation);
  const uint16_t version = in.u16();
  if (in.u8() != static_cast<uint8_t>(MessageType::kInitiation)) {
    return Fail{HandshakeError::kType};
  }
  if (in.u16() != kInitiation - kInitiationHead) return Fail{HandshakeError::kLength};

  SymmetricState state;
  mix_opening(state, version, public_of(server));
  const MachineKey client_shown{in.array<kPublic>()};
  state.mix_hash(client_shown.bytes);
  const auto es = state.mix_shared(server, client_shown);
  if (!es) return Fail{HandshakeError::kBadKey};
  MachineKey machine;
  if (!state.open_and_hash(*es, in.take(kPublic + kTag), machine.bytes)) {
    return Fail{HandshakeError::kForged};
  }
  const auto ss = state.mix_shared(server, machine);
  if (!ss) return Fail{HandshakeError::kBadKey};
  if (!state.open_and_hash(*ss, in.take(kTag), {})) return Fail{HandshakeError::kForged};

  std::array<uint8_t, kResponse> response{};
  SpanWriter out(response);
  out.u8(static_cast<uint8_t>(MessageType::kResponse));
  out.u16(kResponse - kResponseHead);
  const MachineKey shown = public_of(ephemeral);
  out.bytes(shown.bytes);
  state.mix_hash(shown.bytes);
  if (!state.mix_shared(ephemeral, client_shown)) return Fail{HandshakeError::kBadKey};  // ee
  const auto se = state.mix_shared(ephemeral, machine);
  if (!se) return Fail{HandshakeError::kBadKey};
  state.seal_and_hash(*se, {}, out.reserve(kTag));
  const auto [to_server, to_client] = state.split();
  return Accepted{machine, version, response,
                  Transport{RecordKey(to_client), RecordKey(to_server), state.hash()}};
}

ByteView write_error(std::string_view text, std::span<uint8_t> out) {
  if (text.size() > UINT16_MAX) return {};
  SpanWriter writer(out);
  writer.u8(static_cast<uint8_t>(MessageType::kError));
  writer.u16(static_cast<uint16_t>(text.size()));
  writer.bytes(bytes_of(text));
  return writer.written();
}

}  // namespace sallyport::noise
