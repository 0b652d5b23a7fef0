// SPDX-License-Identifier: BSD-3-Clause
/// A DERP server that says what a test tells it to, and keeps what it hears.
#pragma once

#include <gtest/gtest.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/io/file.h"
#include "agent/io/listener.h"
#include "agent/io/sockaddr.h"
#include "agent/io/tls/engine.h"
#include "agent/io/tls/tls_stream.h"
#include "agent/model/derp_map.h"
#include "agent/wire/derp.h"
#include "agent/wire/http/http1.h"
#include "tests/support/certificates.h"
#include "tests/unit/io/drive.h"

namespace sallyport {

inline std::string pin_of(const Certificate& certificate) {
  const Bytes der = certificate.der();
  std::array<uint8_t, 32> digest{};
  SHA256(der.data(), der.size(), digest.data());
  std::string out = "sha256-raw:";
  for (const uint8_t byte : digest) {
    std::array<char, 3> hex{};
    std::snprintf(hex.data(), hex.size(), "%02x", byte);
    out += hex.data();
  }
  return out;
}

inline DerpNode derp_node(const std::string& host_name, const std::string& ipv4,
                          const std::string& ipv6) {
  DerpNode out;
  out.host_name = host_name;
  out.ipv4 = ipv4;
  out.ipv6 = ipv6;
  return out;
}

class DerpServer {
 public:
  /// `meta_key`: 64 hex digits of the key that its chain names.
  explicit DerpServer(io::Loop& loop, const std::string& meta_key = {})
      : loop_(loop), meta_({.common_name = "derpkey" + meta_key, .serial = derp::kVersion}) {
    ca_file = testing::TempDir() + "/sallyport-derp-" + std::to_string(::getpid()) + ".pem";
    EXPECT_TRUE(io::write_file_atomic(ca_file, authority.pem(), 0600));
    const std::string chain = leaf.pem() + (meta_key.empty() ? "" : meta_.pem());
    tls_.emplace(*io::TlsContext::server(chain, leaf.key_pem()));
    Fd socket = *io::listen_tcp(IpAddress::v4(0x7f000001), 0);
    port = io::local_endpoint(socket)->port;
    listener_ = *io::Listener::adopt(loop, std::move(socket), [this](Fd fd) { accept(fd); });
  }
  DerpServer(const DerpServer&) = delete;
  DerpServer& operator=(const DerpServer&) = delete;
  ~DerpServer() { ::unlink(ca_file.c_str()); }

  /// This server; for changes.
  [[nodiscard]] DerpNode node() const {
    DerpNode out = derp_node("derp.example", "127.0.0.1", "none");
    out.derp_port = port;
    return out;
  }
  [[nodiscard]] io::TlsContext client() const { return *io::TlsContext::client(ca_file); }

  void say(std::string_view text) { say(io::view(text)); }
  void say(ByteView bytes) { EXPECT_EQ(stream.write(bytes), io::Offer::kTaken); }
  void say(const derp::Message& message) {
    Bytes frame(derp::kHead + derp::kMaxPacket + 64);
    say(derp::write(message, frame));
  }

  const Certificate authority{{.common_name = "house", .authority = true}};
  const Certificate leaf{{.common_name = "derp", .alt_names = "DNS:derp.example,IP:127.0.0.1"},
                         &authority};
  std::string ca_file;
  uint16_t port = 0;
  int connections = 0;
  std::optional<http::Request> request;
  Bytes heard;  // behind the request
  bool ended = false;
  io::TlsStream stream;

 private:
  void accept(Fd& fd) {
    ++connections;
    request.reset();
    parser_ = http::RequestParser();
    heard.clear();
    ended = false;
    auto made =
        io::TlsStream::adopt(loop_, std::move(fd), *io::TlsEngine::server(*tls_),
                             {.on_data = [this](ByteView bytes) { hear(bytes); },
                              .on_end = [this](const std::optional<Error>&) { ended = true; }});
    ASSERT_TRUE(made);
    stream = std::move(made).value();
  }
  void hear(ByteView bytes) {
    if (!request) {
      const auto used = parser_.read(bytes);
      ASSERT_TRUE(used);
      bytes = bytes.subspan(*used);
      if (parser_.done()) request = parser_.take();
    }
    heard.insert(heard.end(), bytes.begin(), bytes.end());
  }

  io::Loop& loop_;
  Certificate meta_;
  std::optional<io::TlsContext> tls_;
  io::Listener listener_;
  http::RequestParser parser_;
};

}  // namespace sallyport
