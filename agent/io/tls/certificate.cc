// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/tls/certificate.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <memory>

namespace sallyport::io {
namespace {

struct Freer {
  void operator()(X509* certificate) const { X509_free(certificate); }
};

std::string common_name_of(const X509* certificate) {
  const X509_NAME* const name = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0) return {};
  const ASN1_STRING* const text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

}  // namespace

std::optional<CertificateSubject> read_subject(ByteView der) {
  const unsigned char* at = der.data();
  const std::unique_ptr<X509, Freer> certificate(
      d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (!certificate) {
    ERR_clear_error();
    return std::nullopt;
  }
  CertificateSubject out{.common_name = common_name_of(certificate.get()), .serial = {}};
  uint64_t serial = 0;
  if (ASN1_INTEGER_get_uint64(&serial, X509_get0_serialNumber(certificate.get())) == 1) {
    out.serial = serial;
  } else {
    ERR_clear_error();
  }
  return out;
}

}  // namespace sallyport::io
