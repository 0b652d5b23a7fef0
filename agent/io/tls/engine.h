// SPDX-License-Identifier: BSD-3-Clause
/// TLS as a machine between bytes and bytes: OpenSSL over memory, no socket. TLS 1.2 or newer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/result.h"

namespace sallyport::io {

/// The certificate is good for the name (or literal address), by a chain to a trusted authority.
struct VerifyName {
  std::string name = {};  // empty: the server's, as it is asked for
  friend bool operator==(const VerifyName&, const VerifyName&) = default;
};
/// The server's own certificate is exactly this one, whatever its name, dates and issuer.
struct VerifyPin {
  std::array<uint8_t, 32> sha256{};  // of its DER

  /// "sha256-raw:" and 64 hex digits.
  static std::optional<VerifyPin> parse(std::string_view text);
  friend bool operator==(const VerifyPin&, const VerifyPin&) = default;
};
/// Whoever answers; for a connection that is authenticated by what runs inside.
struct VerifyNothing {
  friend bool operator==(const VerifyNothing&, const VerifyNothing&) = default;
};
using TlsVerify = std::variant<VerifyName, VerifyPin, VerifyNothing>;

struct TlsClientOptions {
  /// Sent as SNI unless it is a literal address, and what VerifyName goes by if it names no other.
  std::string server_name;
  TlsVerify verify;
  /// Protocols to offer, the best one first, at most 255 bytes each.
  std::vector<std::string> alpn = {};
};

/// Certificates and keys, shared by any number of connections. Copies share.
class TlsContext {
 public:
  /// Trusts the system's authorities, or those of a PEM file instead. Errors: the file is
  /// unreadable or holds none.
  static Result<TlsContext> client(const std::string& ca_file = {});
  /// PEM texts; the chain begins with the server's own certificate and is sent as it is. `alpn`:
  /// what is agreed to, the best one first.
  static Result<TlsContext> server(std::string_view chain_pem, std::string_view key_pem,
                                   const std::vector<std::string>& alpn = {});

 private:
  friend class TlsEngine;
  struct State;
  explicit TlsContext(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

/// One connection. After an error it is of no further use, but outgoing() may still hold the alert
/// that tells the peer.
class TlsEngine {
 public:
  static Result<TlsEngine> client(const TlsContext& context, const TlsClientOptions& options);
  static Result<TlsEngine> server(const TlsContext& context);
  TlsEngine(TlsEngine&&) noexcept;
  TlsEngine& operator=(TlsEngine&&) noexcept;
  ~TlsEngine();

  /// Takes what the peer sent. Errors: EPROTO, with OpenSSL's reason; EACCES: the certificate is
  /// not the wanted one.
  Result<void> receive(ByteView ciphertext);
  /// Errors: ENOTCONN before established(); EPROTO.
  Result<void> write(ByteView plaintext);
  /// Says that we shall write no more (close_notify).
  void close();

  /// What is to be sent to the peer now; empties it.
  [[nodiscard]] Bytes take_outgoing();
  /// What the peer wrote; empties it.
  [[nodiscard]] Bytes take_plaintext();

  /// The handshake is over and the peer is who we wanted.
  [[nodiscard]] bool established() const;
  /// The peer has said that it will write no more.
  [[nodiscard]] bool peer_closed() const;
  /// What was agreed on; empty: nothing.
  [[nodiscard]] std::string alpn() const;
  /// All that the server sent, its own first, as DER. TLS 1.3 hides them from onlookers.
  [[nodiscard]] std::vector<Bytes> peer_certificates() const;
  [[nodiscard]] bool is_tls13() const;

 private:
  struct State;
  explicit TlsEngine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::io
