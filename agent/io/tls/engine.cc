// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/tls/engine.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace sallyport::io {
namespace {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using ContextPtr = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Freer<SSL_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;

constexpr size_t kReadChunk = size_t{16} * 1024;  // one record. Source: RFC 8446 5.1

/// The oldest error of this thread's queue, which it empties.
Fail<Error> tls_fail(const std::string& doing, int number = EPROTO) {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return fail(number, reason == nullptr ? doing : doing + ": " + reason);
}

BioPtr memory_of(std::string_view text) {
  return BioPtr{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
}

/// Each with its length before it. Source: RFC 7301 3.1. Nothing: a name that cannot be.
std::optional<Bytes> protocol_list(const std::vector<std::string>& names) {
  Bytes out;
  for (const std::string& name : names) {
    if (name.empty() || name.size() > UINT8_MAX) return std::nullopt;
    out.push_back(static_cast<uint8_t>(name.size()));
    out.insert(out.end(), name.begin(), name.end());
  }
  return out;
}

bool is_literal_address(const std::string& name) {
  in6_addr buffer{};
  return inet_pton(AF_INET, name.c_str(), &buffer) == 1 ||
         inet_pton(AF_INET6, name.c_str(), &buffer) == 1;
}

int choose_protocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_bytes,
                    const unsigned char* offered, unsigned int offered_bytes, void* ours) {
  const auto& list = *static_cast<const Bytes*>(ours);
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_bytes, list.data(), static_cast<unsigned>(list.size()),
                            offered, offered_bytes) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

std::optional<VerifyPin> VerifyPin::parse(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256-raw:";
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  VerifyPin pin;
  if (text.size() != 2 * pin.sha256.size()) return std::nullopt;
  for (size_t i = 0; i < text.size(); ++i) {
    const int digit = OPENSSL_hexchar2int(static_cast<unsigned char>(text[i]));
    if (digit < 0) return std::nullopt;
    pin.sha256[i / 2] = static_cast<uint8_t>((pin.sha256[i / 2] << 4) | digit);
  }
  return pin;
}

struct TlsContext::State {
  ContextPtr context;
  Bytes alpn;  // of a server
};

Result<TlsContext> TlsContext::client(const std::string& ca_file) {
  auto state = std::make_shared<State>();
  state->context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = state->context.get();
  if (context == nullptr) return tls_fail("TLS client");
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  if (ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) != 1) return tls_fail("the system's authorities");
  } else if (SSL_CTX_load_verify_file(context, ca_file.c_str()) != 1) {
    return tls_fail("authorities of " + ca_file, EINVAL);
  }
  return TlsContext{std::move(state)};
}

Result<TlsContext> TlsContext::server(std::string_view chain_pem, std::string_view key_pem,
                                      const std::vector<std::string>& alpn) {
  auto state = std::make_shared<State>();
  state->context.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* const context = state->context.get();
  if (context == nullptr) return tls_fail("TLS server");
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);

  const BioPtr chain = memory_of(chain_pem);
  const X509Ptr own{PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)};
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1) {
    return tls_fail("the server's certificate", EINVAL);
  }
  while (X509* next = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context, next) == 1) continue;
    X509_free(next);
    return tls_fail("the server's chain", EINVAL);
  }
  ERR_clear_error();  // of the end of the chain
  const BioPtr key_text = memory_of(key_pem);
  const KeyPtr key{PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr)};
  if (!key || SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return tls_fail("the server's private key", EINVAL);
  }
  const auto list = protocol_list(alpn);
  if (!list) return fail(EINVAL, "the server's protocols");
  state->alpn = *list;
  if (!list->empty()) SSL_CTX_set_alpn_select_cb(context, choose_protocol, &state->alpn);
  return TlsContext{std::move(state)};
}

struct TlsEngine::State {
  std::shared_ptr<TlsContext::State> context;
  SslPtr ssl;
  BIO* incoming = nullptr;  // the SSL's
  BIO* outgoing = nullptr;
  TlsVerify verify = VerifyNothing{};
  std::string who = "TLS";  // for errors
  Bytes plaintext;
  bool established = false;
  bool peer_closed = false;

  Result<void> open(bool server);
  Result<void> advance();
  [[nodiscard]] Result<void> check_pin() const;
  Result<void> read_all();
};

Result<void> TlsEngine::State::open(bool server) {
  ssl.reset(SSL_new(context->context.get()));
  incoming = BIO_new(BIO_s_mem());
  outgoing = BIO_new(BIO_s_mem());
  if (!ssl || incoming == nullptr || outgoing == nullptr) {
    BIO_free(incoming);
    BIO_free(outgoing);
    return tls_fail(who);
  }
  SSL_set_bio(ssl.get(), incoming, outgoing);
  if (server) {
    SSL_set_accept_state(ssl.get());
  } else {
    SSL_set_connect_state(ssl.get());
  }
  return {};
}

Result<void> TlsEngine::State::check_pin() const {
  const auto* pin = std::get_if<VerifyPin>(&verify);
  if (pin == nullptr) return {};
  const X509Ptr shown{SSL_get1_peer_certificate(ssl.get())};
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest{};
  unsigned digest_bytes = 0;
  if (!shown || X509_digest(shown.get(), EVP_sha256(), digest.data(), &digest_bytes) != 1) {
    return tls_fail(who);
  }
  if (digest != pin->sha256) return fail(EACCES, who + ": not the pinned certificate");
  return {};
}

Result<void> TlsEngine::State::read_all() {
  for (;;) {
    const size_t before = plaintext.size();
    plaintext.resize(before + kReadChunk);
    ERR_clear_error();
    const int count = SSL_read(ssl.get(), plaintext.data() + before, static_cast<int>(kReadChunk));
    plaintext.resize(before + static_cast<size_t>(std::max(count, 0)));
    if (count > 0) continue;
    switch (SSL_get_error(ssl.get(), count)) {
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE:
        return {};
      case SSL_ERROR_ZERO_RETURN:
        peer_closed = true;
        return {};
      default:
        return tls_fail(who);
    }
  }
}

Result<void> TlsEngine::State::advance() {
  if (!established) {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl.get());
    if (done != 1) {
      if (SSL_get_error(ssl.get(), done) == SSL_ERROR_WANT_READ) return {};
      const long verdict = SSL_get_verify_result(ssl.get());
      if (std::holds_alternative<VerifyName>(verify) && verdict != X509_V_OK) {
        ERR_clear_error();
        return fail(EACCES, who + ": " + X509_verify_cert_error_string(verdict));
      }
      return tls_fail(who);
    }
    if (const auto pinned = check_pin(); !pinned) {
      BIO_reset(outgoing);  // our Finished; a stranger is not told that it was believed
      return pinned;
    }
    established = true;
  }
  return read_all();
}

TlsEngine::TlsEngine(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsEngine::TlsEngine(TlsEngine&&) noexcept = default;
TlsEngine& TlsEngine::operator=(TlsEngine&&) noexcept = default;
TlsEngine::~TlsEngine() = default;

Result<TlsEngine> TlsEngine::client(const TlsContext& context, const TlsClientOptions& options) {
  auto state = std::make_unique<State>();
  state->context = context.state_;
  state->verify = options.verify;
  state->who = "TLS with " + options.server_name;
  TRY(state->open(false));
  SSL* const ssl = state->ssl.get();

  const bool literal = is_literal_address(options.server_name);
  if (!literal && SSL_set_tlsext_host_name(ssl, options.server_name.c_str()) != 1) {
    return tls_fail(state->who, EINVAL);
  }
  if (const auto* by_name = std::get_if<VerifyName>(&options.verify)) {
    const std::string& name = by_name->name.empty() ? options.server_name : by_name->name;
    SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    X509_VERIFY_PARAM* const wanted = SSL_get0_param(ssl);
    const int set = is_literal_address(name) ? X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str())
                                             : X509_VERIFY_PARAM_set1_host(wanted, name.c_str(), 0);
    if (set != 1 || name.empty()) return tls_fail(state->who, EINVAL);
  }
  const auto list = protocol_list(options.alpn);
  // It returns 0 when all is well.
  if (!list || (!list->empty() &&
                SSL_set_alpn_protos(ssl, list->data(), static_cast<unsigned>(list->size())) != 0)) {
    return fail(EINVAL, state->who + ": protocols");
  }
  TRY(state->advance());  // the ClientHello
  return TlsEngine{std::move(state)};
}

Result<TlsEngine> TlsEngine::server(const TlsContext& context) {
  auto state = std::make_unique<State>();
  state->context = context.state_;
  TRY(state->open(true));
  return TlsEngine{std::move(state)};
}

Result<void> TlsEngine::receive(ByteView ciphertext) {
  while (!ciphertext.empty()) {
    const int count = BIO_write(state_->incoming, ciphertext.data(),
                                static_cast<int>(std::min<size_t>(ciphertext.size(), INT_MAX)));
    if (count <= 0) return tls_fail(state_->who, ENOMEM);
    ciphertext = ciphertext.subspan(static_cast<size_t>(count));
  }
  return state_->advance();
}

Result<void> TlsEngine::write(ByteView plaintext) {
  if (!state_->established) return fail(ENOTCONN, state_->who);
  while (!plaintext.empty()) {
    ERR_clear_error();
    // A memory BIO takes everything, so there is nothing to wait for.
    const int count = SSL_write(state_->ssl.get(), plaintext.data(),
                                static_cast<int>(std::min<size_t>(plaintext.size(), INT_MAX)));
    if (count <= 0) return tls_fail(state_->who);
    plaintext = plaintext.subspan(static_cast<size_t>(count));
  }
  return {};
}

void TlsEngine::close() {
  if (!state_->established) return;
  ERR_clear_error();
  (void)SSL_shutdown(state_->ssl.get());
}

Bytes TlsEngine::take_outgoing() {
  Bytes out(BIO_ctrl_pending(state_->outgoing));
  if (out.empty()) return out;
  const int count = BIO_read(state_->outgoing, out.data(), static_cast<int>(out.size()));
  out.resize(static_cast<size_t>(std::max(count, 0)));
  return out;
}

Bytes TlsEngine::take_plaintext() { return std::exchange(state_->plaintext, {}); }
bool TlsEngine::established() const { return state_->established; }
bool TlsEngine::peer_closed() const { return state_->peer_closed; }
bool TlsEngine::is_tls13() const { return SSL_version(state_->ssl.get()) == TLS1_3_VERSION; }

std::string TlsEngine::alpn() const {
  const unsigned char* name = nullptr;
  unsigned bytes = 0;
  SSL_get0_alpn_selected(state_->ssl.get(), &name, &bytes);
  return bytes == 0 ? std::string{} : std::string(reinterpret_cast<const char*>(name), bytes);
}

std::vector<Bytes> TlsEngine::peer_certificates() const {
  std::vector<Bytes> out;
  const STACK_OF(X509)* chain = SSL_get_peer_cert_chain(state_->ssl.get());
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    const X509* const certificate = sk_X509_value(chain, i);
    const int bytes = i2d_X509(certificate, nullptr);
    if (bytes <= 0) continue;
    Bytes der(static_cast<size_t>(bytes));
    unsigned char* at = der.data();
    i2d_X509(certificate, &at);
    out.push_back(std::move(der));
  }
  return out;
}

}  // namespace sallyport::io
