// SPDX-License-Identifier: BSD-3-Clause
// Both ends of TLS in one process: first as machines that hand each other bytes, then over sockets.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/sha.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>

#include "agent/io/file.h"
#include "agent/io/tls/engine.h"
#include "agent/io/tls/tls_stream.h"
#include "tests/support/certificates.h"
#include "tests/unit/io/drive.h"

namespace sallyport::io {
namespace {

std::string pin_text(const Bytes& der) {
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

struct House {
  Certificate authority{{.common_name = "house", .authority = true}};
  Certificate leaf{
      {.common_name = "derp", .alt_names = "DNS:derp.example,IP:192.0.2.7", .serial = 2},
      &authority};
  Certificate meta{{.common_name = "derpkey" + std::string(64, 'a'), .serial = 2}};
  std::string ca_file;

  House() {
    ca_file = testing::TempDir() + "/sallyport-ca-" + std::to_string(::getpid()) + ".pem";
    EXPECT_TRUE(write_file_atomic(ca_file, authority.pem(), 0600));
  }
  House(const House&) = delete;
  House& operator=(const House&) = delete;
  ~House() { ::unlink(ca_file.c_str()); }

  [[nodiscard]] TlsContext server(const std::vector<std::string>& alpn = {}) const {
    auto made = TlsContext::server(leaf.pem() + meta.pem(), leaf.key_pem(), alpn);
    EXPECT_TRUE(made) << (made ? "" : made.error().text());
    return *made;
  }
  [[nodiscard]] TlsContext client() const {
    auto made = TlsContext::client(ca_file);
    EXPECT_TRUE(made) << (made ? "" : made.error().text());
    return *made;
  }
};

/// Hands each what the other says until both are silent. The client's error, if it has one.
std::optional<Error> talk(TlsEngine& client, TlsEngine& server) {
  std::optional<Error> error;
  for (;;) {
    const Bytes to_server = client.take_outgoing();
    if (!to_server.empty()) (void)server.receive(to_server);
    const Bytes to_client = server.take_outgoing();
    if (to_server.empty() && to_client.empty()) return error;
    if (to_client.empty() || error) continue;
    if (const auto received = client.receive(to_client); !received) error = received.error();
  }
}

struct Row {
  const char* description;
  const char* server_name;
  TlsVerify verify;
  int error;  // 0: all well
};

TEST(tls, who_is_believed) {
  const House house;
  const TlsContext server_context = house.server();
  const auto pin = VerifyPin::parse(pin_text(house.leaf.der()));
  const auto other = VerifyPin::parse(pin_text(house.authority.der()));
  ASSERT_TRUE(pin && other);
  const Row rows[] = {
      {"its name", "derp.example", VerifyName{}, 0},
      {"its address", "192.0.2.7", VerifyName{}, 0},
      {"another name", "else.example", VerifyName{}, EACCES},
      {"another address", "192.0.2.8", VerifyName{}, EACCES},
      {"asked for by another name", "front.example", VerifyName{"derp.example"}, 0},
      {"asked for by its name, verified by another", "derp.example", VerifyName{"else.example"},
       EACCES},
      {"its pin, whatever the name", "else.example", *pin, 0},
      {"another pin", "derp.example", *other, EACCES},
      {"nothing asked", "else.example", VerifyNothing{}, 0},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.description);
    auto client = TlsEngine::client(house.client(), {row.server_name, row.verify});
    auto server = TlsEngine::server(server_context);
    ASSERT_TRUE(client && server);
    const auto error = talk(*client, *server);
    EXPECT_EQ(error ? error->code.value() : 0, row.error) << (error ? error->text() : "");
    EXPECT_EQ(client->established(), row.error == 0);
    EXPECT_EQ(server->established(), row.error == 0);
  }
}

TEST(tls, the_systems_authorities_do_not_know_ours) {
  const House house;
  const auto context = TlsContext::client();
  ASSERT_TRUE(context);
  auto client = TlsEngine::client(*context, {"derp.example", VerifyName{}});
  auto server = TlsEngine::server(house.server());
  ASSERT_TRUE(client && server);
  const auto error = talk(*client, *server);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code.value(), EACCES);
}

TEST(tls, certificates_that_were_sent_are_seen) {
  const House house;
  auto client = TlsEngine::client(house.client(), {"derp.example", VerifyName{}});
  auto server = TlsEngine::server(house.server());
  ASSERT_FALSE(talk(*client, *server));
  EXPECT_TRUE(client->is_tls13());
  EXPECT_EQ(client->peer_certificates(), (std::vector{house.leaf.der(), house.meta.der()}));
}

TEST(tls, protocol_is_the_servers_choice) {
  const House house;
  const TlsContext context = house.server({"h2", "http/1.1"});
  const struct {
    std::vector<std::string> offered;
    const char* chosen;
  } rows[] = {{{"http/1.1", "h2"}, "h2"}, {{"http/1.1"}, "http/1.1"}, {{"other"}, ""}, {{}, ""}};
  for (const auto& row : rows) {
    auto client = TlsEngine::client(house.client(), {"derp.example", VerifyName{}, row.offered});
    auto server = TlsEngine::server(context);
    ASSERT_FALSE(talk(*client, *server));
    EXPECT_EQ(client->alpn(), row.chosen);
    EXPECT_EQ(server->alpn(), row.chosen);
  }
}

TEST(tls, carries_bytes_both_ways_and_ends_in_good_order) {
  const House house;
  auto client = TlsEngine::client(house.client(), {"derp.example", VerifyName{}});
  auto server = TlsEngine::server(house.server());
  EXPECT_FALSE(client->write(view("too early")));
  ASSERT_FALSE(talk(*client, *server));

  const std::string large(100'000, 'x');
  ASSERT_TRUE(client->write(view(large)));
  ASSERT_TRUE(server->write(view("short")));
  ASSERT_FALSE(talk(*client, *server));
  EXPECT_EQ(text(server->take_plaintext()), large);
  EXPECT_EQ(text(client->take_plaintext()), "short");

  EXPECT_FALSE(client->peer_closed());
  server->close();
  ASSERT_FALSE(talk(*client, *server));
  EXPECT_TRUE(client->peer_closed());
}

TEST(tls, what_is_no_tls_is_an_error) {
  const House house;
  auto client = TlsEngine::client(house.client(), {"derp.example", VerifyNothing{}});
  const auto received = client->receive(view("HTTP/1.1 400 Bad Request\r\n\r\n"));
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code.value(), EPROTO);
}

TEST(tls, pins_that_are_none) {
  for (const char* text : {"", "sha256-raw:", "sha256-raw:00", "sha256:00"}) {
    EXPECT_FALSE(VerifyPin::parse(text)) << text;
  }
  EXPECT_FALSE(VerifyPin::parse("sha256-raw:" + std::string(63, '0') + "g"));
}

TEST(tls, a_bad_key_or_chain_makes_no_server) {
  const House house;
  EXPECT_FALSE(TlsContext::server("no certificate", house.leaf.key_pem()));
  EXPECT_FALSE(TlsContext::server(house.leaf.pem(), house.authority.key_pem()));
  EXPECT_FALSE(TlsContext::client("/nonexistent/ca.pem"));
}

struct Side {
  std::string got;
  bool ready = false;
  bool ended = false;
  std::optional<Error> error;
  int writable = 0;
  TlsStream stream;

  void open(Loop& loop, int fd, Result<TlsEngine> engine) {
    ASSERT_TRUE(engine);
    auto made = TlsStream::adopt(loop, Fd(fd), std::move(engine).value(),
                                 {.on_ready = [this] { ready = true; },
                                  .on_data = [this](ByteView bytes) { got += text(bytes); },
                                  .on_end =
                                      [this](const std::optional<Error>& e) {
                                        ended = true;
                                        error = e;
                                      },
                                  .on_writable = [this] { ++writable; }});
    ASSERT_TRUE(made);
    stream = std::move(made).value();
  }
};

class tls_stream : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_), 0);
    server_.open(*loop_, ends_[0], TlsEngine::server(house_.server()));
  }
  void connect(TlsVerify verify, const char* name = "derp.example") {
    client_.open(*loop_, ends_[1], TlsEngine::client(house_.client(), {name, std::move(verify)}));
  }
  template <class Predicate>
  bool until(Predicate&& done) {
    return run_until(*loop_, done);
  }

  House house_;
  std::unique_ptr<Loop> loop_ = make_loop();
  int ends_[2] = {-1, -1};
  Side server_;
  Side client_;
};

TEST_F(tls_stream, talks_and_ends) {
  connect(VerifyName{});
  EXPECT_EQ(client_.stream.write(view("early")), Offer::kFull);
  ASSERT_TRUE(until([&] { return client_.ready && server_.ready; }));
  ASSERT_EQ(client_.stream.write(view("hello")), Offer::kTaken);
  ASSERT_TRUE(until([&] { return server_.got == "hello"; }));
  server_.stream.shutdown();
  ASSERT_TRUE(until([&] { return client_.ended; }));
  EXPECT_FALSE(client_.error) << client_.error->text();
}

TEST_F(tls_stream, takes_no_more_than_fits_and_says_when_there_is_room) {
  connect(VerifyPin{*VerifyPin::parse(pin_text(house_.leaf.der()))}, "else.example");
  ASSERT_TRUE(until([&] { return client_.ready && server_.ready; }));
  server_.stream.pause();
  settle(*loop_);
  EXPECT_EQ(client_.stream.write(Bytes(TlsStream::kMaxWrite + 1)), Offer::kTooBig);
  const std::string block(TlsStream::kMaxWrite, 'b');
  size_t taken = 0;
  // As many as the queue and the kernel's buffers hold.
  while (client_.stream.write(view(block)) == Offer::kTaken) {
    ++taken;
    settle(*loop_);
    ASSERT_LT(taken, 1000U);
  }
  ASSERT_GT(taken, 1U);
  EXPECT_LE(client_.stream.queued_bytes(), 4 * TlsStream::kMaxWrite);
  server_.stream.resume();
  ASSERT_TRUE(until([&] { return client_.writable == 1; }));
  ASSERT_TRUE(until([&] { return server_.got.size() == taken * block.size(); }));
}

TEST_F(tls_stream, a_stranger_ends_it_before_anything_is_said) {
  connect(VerifyName{}, "else.example");
  ASSERT_TRUE(until([&] { return client_.ended; }));
  ASSERT_TRUE(client_.error);
  EXPECT_EQ(client_.error->code.value(), EACCES);
  EXPECT_FALSE(client_.ready);
}

TEST_F(tls_stream, an_end_without_a_word_is_an_error) {
  connect(VerifyName{});
  ASSERT_TRUE(until([&] { return client_.ready && server_.ready; }));
  server_.stream = {};
  ASSERT_TRUE(until([&] { return client_.ended; }));
  ASSERT_TRUE(client_.error);
}

TEST_F(tls_stream, its_owner_may_let_go_of_it_in_a_callback) {
  auto made = TlsStream::adopt(
      *loop_, Fd(ends_[1]),
      std::move(*TlsEngine::client(house_.client(), {"derp.example", VerifyName{}})),
      {.on_ready = [this] { client_.stream = {}; },
       .on_data = [](ByteView) { FAIL(); },
       .on_end = [](const std::optional<Error>&) { FAIL(); }});
  ASSERT_TRUE(made);
  client_.stream = std::move(made).value();
  ASSERT_TRUE(until([&] { return server_.ended; }));
  EXPECT_EQ(client_.stream.queued_bytes(), 0U);
}

}  // namespace
}  // namespace sallyport::io
