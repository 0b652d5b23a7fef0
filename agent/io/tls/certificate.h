// SPDX-License-Identifier: BSD-3-Clause
/// What a certificate says of itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/base/bytes.h"

namespace sallyport::io {

struct CertificateSubject {
  std::string common_name;         // empty: none; of a stranger: any bytes
  std::optional<uint64_t> serial;  // nothing: negative, or beyond 64 bits
  friend bool operator==(const CertificateSubject&, const CertificateSubject&) = default;
};

/// Nothing is verified. Nothing: the bytes are no X.509 certificate in DER.
std::optional<CertificateSubject> read_subject(ByteView der);

}  // namespace sallyport::io
