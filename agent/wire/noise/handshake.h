// SPDX-License-Identifier: BSD-3-Clause
/// The handshake of the control protocol: Noise_IK_25519_ChaChaPoly_BLAKE2s, whose prologue is
/// "Tailscale Control Protocol v" + the client's version in decimal. Integers big-endian.
///
///   initiation (101)   u16 version + 01 + u16 96 + e (32) + sealed machine key (48) + tag (16)
///   response (51)      02 + u16 48 + e (32) + tag (16)
///   error              03 + u16 length + text: in clear, so a hint at most
///
/// A version is the client's capability version; a server takes it for its own prologue as it is,
/// so a newer client is no stranger. Source: tailscale control/controlbase; Noise revision 34, 7.5.
///
/// Both machines are for one handshake. A key pair `ephemeral` is drawn for each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "agent/base/secret.h"
#include "agent/model/tailnet_keys.h"
#include "agent/wire/noise/transport.h"

namespace sallyport::noise {

constexpr size_t kInitiation = 101;
constexpr size_t kResponse = 51;

enum class HandshakeError : uint8_t {
  kLength,   // not the length that this message has, by its size or its head
  kType,     // another kind of message
  kBadKey,   // a public key that gives no secret
  kForged,   // not sealed for us, or altered on its way
  kRefused,  // the server answered with an error: error_text()
  kSpent,    // this machine has had its message
};

/// What both ends hash and derive along the way. Source: Noise revision 34, 5.2.
class SymmetricState {
 public:
  SymmetricState();

  void mix_hash(ByteView data);
  /// Mixes the secret of the two keys into the chain; the key for the next seal() or open().
  [[nodiscard]] std::optional<Secret<32>> mix_shared(const PrivateKey& own, const MachineKey& peer);
  /// `sealed` gets plain.size() + 16 bytes.
  void seal_and_hash(const Secret<32>& key, ByteView plain, std::span<uint8_t> sealed);
  [[nodiscard]] bool open_and_hash(const Secret<32>& key, ByteView sealed,
                                   std::span<uint8_t> plain);
  /// The keys from initiator to responder and back.
  [[nodiscard]] std::array<Secret<32>, 2> split() const;
  [[nodiscard]] const std::array<uint8_t, 32>& hash() const { return hash_; }

 private:
  std::array<uint8_t, 32> hash_{};
  Secret<32> chain_;
};

/// The client's side.
class Initiator {
 public:
  Initiator(const PrivateKey& machine, const MachineKey& server, uint16_t version,
            const PrivateKey& ephemeral);

  /// The first message. Nothing: the server's key gives no secret.
  [[nodiscard]] const std::optional<std::array<uint8_t, kInitiation>>& initiation() const {
    return initiation_;
  }
  /// How many bytes the answer has in all, as far as `stream`, its start, shows: 3 until its head
  /// is there. Wait for that many, then call on_response().
  [[nodiscard]] static size_t response_size(ByteView stream);
  /// The whole answer. Any error ends the connection.
  Result<Transport, HandshakeError> on_response(ByteView response);
  /// What the server said instead, after kRefused: a stranger's bytes, borrowed from `response`.
  [[nodiscard]] static std::string_view error_text(ByteView response);

 private:
  PrivateKey machine_;
  PrivateKey ephemeral_;
  SymmetricState state_;
  std::optional<std::array<uint8_t, kInitiation>> initiation_;
  bool spent_ = false;
};

/// The server's side.
struct Accepted {
  MachineKey machine;  // proven: this is who the client is
  uint16_t version = 0;
  std::array<uint8_t, kResponse> response{};
  Transport transport;
};
/// Answers an initiation. What is refused may be told the client by write_error().
Result<Accepted, HandshakeError> accept(ByteView initiation, const PrivateKey& server,
                                        const PrivateKey& ephemeral);
/// The version that an initiation claims, before anything is proven.
std::optional<uint16_t> claimed_version(ByteView initiation);
/// Into `out`. Empty: no room, or the text is over 65535 bytes.
ByteView write_error(std::string_view text, std::span<uint8_t> out);

}  // namespace sallyport::noise
