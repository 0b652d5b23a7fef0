// SPDX-License-Identifier: BSD-3-Clause
/// Certificates made on the spot, good for an hour.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <string>

#include "agent/base/bytes.h"

namespace sallyport {

struct CertificateOptions {
  std::string common_name;
  std::string alt_names = {};  // as OpenSSL writes them: "DNS:a.example,IP:127.0.0.1"
  bool authority = false;
  const char* key_type = "ED25519";
  long serial = 1;
};

/// A certificate and its key; who signs others keeps it.
class Certificate {
 public:
  /// Signed by `issuer`, or by itself.
  explicit Certificate(const CertificateOptions& options, const Certificate* issuer = nullptr)
      : key_(EVP_PKEY_Q_keygen(nullptr, nullptr, options.key_type)), x509_(X509_new()) {
    X509_set_version(x509_, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509_), options.serial);
    X509_gmtime_adj(X509_getm_notBefore(x509_), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509_), 3600);
    X509_set_pubkey(x509_, key_);
    X509_NAME* const name = X509_get_subject_name(x509_);
    // As it is: by MBSTRING_ASC a name of over 64 characters would be none (and DERP has such).
    X509_NAME_add_entry_by_txt(name, "CN", V_ASN1_UTF8STRING,
                               reinterpret_cast<const unsigned char*>(options.common_name.c_str()),
                               -1, -1, 0);
    X509* const by = issuer == nullptr ? x509_ : issuer->x509_;
    X509_set_issuer_name(x509_, X509_get_subject_name(by));
    if (options.authority) extend(by, NID_basic_constraints, "critical,CA:TRUE");
    if (!options.alt_names.empty()) extend(by, NID_subject_alt_name, options.alt_names.c_str());
    X509_sign(x509_, issuer == nullptr ? key_ : issuer->key_, nullptr);
  }
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;
  ~Certificate() {
    X509_free(x509_);
    EVP_PKEY_free(key_);
  }

  [[nodiscard]] std::string pem() const {
    return text([this](BIO* out) { PEM_write_bio_X509(out, x509_); });
  }
  [[nodiscard]] std::string key_pem() const {
    return text([this](BIO* out) {
      PEM_write_bio_PrivateKey(out, key_, nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  [[nodiscard]] Bytes der() const {
    Bytes out(static_cast<size_t>(i2d_X509(x509_, nullptr)));
    unsigned char* at = out.data();
    i2d_X509(x509_, &at);
    return out;
  }

 private:
  template <class Write>
  static std::string text(Write&& write) {
    BIO* const out = BIO_new(BIO_s_mem());
    write(out);
    char* data = nullptr;
    const long bytes = BIO_get_mem_data(out, &data);
    std::string result(data, static_cast<size_t>(bytes));
    BIO_free(out);
    return result;
  }
  void extend(X509* issuer, int nid, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, x509_, nullptr, nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
    X509_add_ext(x509_, extension, -1);
    X509_EXTENSION_free(extension);
  }

  EVP_PKEY* key_;
  X509* x509_;
};

}  // namespace sallyport
