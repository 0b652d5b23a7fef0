// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/tls/certificate.h"

#include <gtest/gtest.h>

#include "tests/support/certificates.h"

namespace sallyport::io {
namespace {

TEST(certificate, says_its_name_and_serial) {
  const std::string name = "derpkey" + std::string(64, 'a');
  const Certificate made({.common_name = name, .serial = 2});
  EXPECT_EQ(read_subject(made.der()), (CertificateSubject{name, 2}));
}

TEST(certificate, a_negative_serial_is_none) {
  const Certificate made({.common_name = "x", .serial = -2});
  EXPECT_EQ(read_subject(made.der()), (CertificateSubject{"x", std::nullopt}));
}

TEST(certificate, what_is_none_is_nothing) {
  const Certificate made({.common_name = "x"});
  const Bytes der = made.der();
  EXPECT_FALSE(read_subject({}));
  EXPECT_FALSE(read_subject(ByteView(der).first(der.size() - 1)));
  EXPECT_FALSE(read_subject(Bytes(100, 0x30)));
}

}  // namespace
}  // namespace sallyport::io
