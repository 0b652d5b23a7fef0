// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/stream.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <list>
#include <optional>
#include <string>
#include <vector>

#include "agent/io/listener.h"
#include "agent/io/sockaddr.h"
#include "tests/unit/io/drive.h"

namespace sallyport::io {
namespace {

std::pair<Fd, Fd> socket_pair() {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  return {Fd{ends[0]}, Fd{ends[1]}};
}

struct End {
  bool called = false;
  std::optional<Error> error;
};
// One end of a connection and all that has come to it.
struct Peer {
  std::string got;
  End end;
  int writable = 0;
  Stream stream;

  void open(Loop& loop, Fd fd, size_t send_queue = Stream::kSendQueue) {
    auto made =
        Stream::adopt(loop, std::move(fd),
                      {.on_data = [this](ByteView bytes) { got += text(bytes); },
                       .on_end = [this](std::optional<Error> e) { end = {true, std::move(e)}; },
                       .on_writable = [this] { ++writable; }},
                      send_queue);
    ASSERT_TRUE(made);
    stream = std::move(made).value();
  }
};

// Accepts and echoes until it goes.
struct EchoServer {
  EchoServer(Loop& loop, Fd listening) {
    auto made = Listener::adopt(loop, std::move(listening), [this, &loop](Fd connection) {
      Stream& stream = streams.emplace_back();
      stream = *Stream::adopt(
          loop, std::move(connection),
          {.on_data = [&stream](ByteView b) { EXPECT_EQ(stream.write(b), Offer::kTaken); },
           .on_end = [&stream](const std::optional<Error>&) { stream.shutdown(); }});
    });
    EXPECT_TRUE(made);
    listener = std::move(made).value();
  }
  std::list<Stream> streams;
  Listener listener;
};

class stream_tcp : public testing::TestWithParam<const char*> {};

TEST_P(stream_tcp, echo) {
  const auto loop = make_loop();
  const IpAddress address = *IpAddress::parse(GetParam());
  Fd listening = *listen_tcp(address, 0);
  const Endpoint at = *local_endpoint(listening);
  EchoServer server{*loop, std::move(listening)};
  Peer client;
  std::optional<Error> refused;
  auto connector = Connector::tcp(*loop, at.address, at.port, [&](Result<Fd> connected) {
    ASSERT_TRUE(connected) << connected.error().text();
    client.open(*loop, std::move(connected).value());
    EXPECT_EQ(client.stream.write(view("hello ")), Offer::kTaken);
    EXPECT_EQ(client.stream.write(view("world")), Offer::kTaken);
    client.stream.shutdown();
  });
  ASSERT_TRUE(connector);
  ASSERT_TRUE(run_until(*loop, [&] { return client.end.called; }));
  EXPECT_FALSE(client.end.error);
  EXPECT_EQ(client.got, "hello world");
  EXPECT_EQ(client.stream.write(view("late")), Offer::kClosed);
}

INSTANTIATE_TEST_SUITE_P(families, stream_tcp, testing::Values("127.0.0.1", "::1"),
                         [](const auto& row) { return row.param[0] == ':' ? "ipv6" : "ipv4"; });

class stream_unix : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/s";
  }
  void TearDown() override {
    ::unlink(path_.c_str());
    ::rmdir(folder_.c_str());
  }
  std::string folder_ = testing::TempDir() + "io-XXXXXX";
  std::string path_;
};

TEST_F(stream_unix, echo_with_permissions_and_credentials) {
  const auto loop = make_loop();
  const mode_t before = ::umask(0);
  auto listening = listen_unix(path_, 0600);
  ::umask(before);
  ASSERT_TRUE(listening) << listening.error().text();
  struct stat about{};
  ASSERT_EQ(::stat(path_.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0600U);

  EchoServer server{*loop, std::move(listening).value()};
  Peer client;
  auto connector = Connector::unix_socket(*loop, path_, [&](Result<Fd> connected) {
    ASSERT_TRUE(connected);
    client.open(*loop, std::move(connected).value());
    EXPECT_EQ(client.stream.write(view("hi")), Offer::kTaken);
  });
  ASSERT_TRUE(run_until(*loop, [&] { return client.got == "hi"; }));
  const auto peer = peer_credentials(client.stream.raw());
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->uid, ::geteuid());
  EXPECT_EQ(peer->pid, ::getpid());
}

TEST_F(stream_unix, a_dead_socket_file_is_replaced_and_a_live_one_is_not) {
  {
    const auto left_behind = listen_unix(path_, 0600);
  }
  const auto again = listen_unix(path_, 0600);
  ASSERT_TRUE(again) << again.error().text();
  const auto second = listen_unix(path_, 0600);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code.value(), EADDRINUSE);
  EXPECT_FALSE(listen_unix(std::string(200, 'x'), 0600));
}

TEST_F(stream_unix, a_refused_connection_is_reported) {
  const auto loop = make_loop();
  std::optional<Error> error;
  const auto connector = Connector::unix_socket(
      *loop, path_, [&](Result<Fd> connected) { error = connected.error(); });
  ASSERT_TRUE(run_until(*loop, [&] { return error.has_value(); }));
  EXPECT_EQ(error->code.value(), ENOENT);
  EXPECT_FALSE(peer_credentials(listen_tcp(IpAddress::v4(0x7f000001), 0)->raw()));
}

TEST(stream, a_full_queue_refuses_and_all_that_was_taken_arrives) {
  const auto loop = make_loop();
  auto [a, b] = socket_pair();
  Peer writer;
  Peer reader;
  constexpr size_t kQueue = 100'000;
  writer.open(*loop, std::move(a), kQueue);
  reader.open(*loop, std::move(b));
  reader.stream.pause();
  EXPECT_EQ(writer.stream.write(view(std::string(kQueue + 1, 'x'))), Offer::kTooBig);

  std::string taken;
  const auto fill = [&] {
    for (;;) {
      const std::string piece(7001, static_cast<char>('a' + taken.size() % 26));
      const Offer offer = writer.stream.write(view(piece));
      if (offer != Offer::kTaken) return offer;
      taken += piece;
    }
  };
  EXPECT_EQ(fill(), Offer::kFull);
  // The kernel takes some, then the paused reader holds everything up.
  size_t rounds = 0;
  while (writer.stream.queued_bytes() > 0 && rounds < 100) {
    settle(*loop);
    (void)fill();
    ++rounds;
    if (writer.stream.queued_bytes() > kQueue / 2 && writer.writable == 0) break;
  }
  settle(*loop);
  EXPECT_LE(writer.stream.queued_bytes(), kQueue);
  EXPECT_LE(reader.got.size(), 16384U);

  const int before = writer.writable;
  reader.stream.resume();
  ASSERT_TRUE(run_until(*loop, [&] { return writer.writable > before; }));
  EXPECT_EQ(writer.stream.write(view("end")), Offer::kTaken);
  writer.stream.shutdown();
  ASSERT_TRUE(run_until(*loop, [&] { return reader.end.called; }));
  EXPECT_EQ(reader.got.size(), taken.size() + 3);
  EXPECT_TRUE(reader.got == taken + "end");
}

TEST(stream, a_paused_stream_delivers_nothing_until_it_is_resumed) {
  const auto loop = make_loop();
  auto [a, b] = socket_pair();
  Peer reader;
  reader.open(*loop, std::move(b));
  settle(*loop);  // the receive is in flight
  reader.stream.pause();
  ASSERT_EQ(::send(a.raw(), "one", 3, 0), 3);
  settle(*loop);
  ASSERT_EQ(::send(a.raw(), "two", 3, 0), 3);
  settle(*loop);
  EXPECT_EQ(reader.got, "");
  reader.stream.resume();
  ASSERT_TRUE(run_until(*loop, [&] { return reader.got == "onetwo"; }));
}

TEST(stream, more_busy_streams_than_shared_buffers) {
  const auto loop = make_loop();
  constexpr size_t kPairs = 200;
  std::vector<Fd> far;
  std::list<Peer> readers;
  const std::string payload(40'000, 'p');
  for (size_t i = 0; i < kPairs; ++i) {
    auto [a, b] = socket_pair();
    ASSERT_EQ(::send(a.raw(), payload.data(), payload.size(), 0),
              static_cast<ssize_t>(payload.size()));
    far.push_back(std::move(a));
    readers.emplace_back().open(*loop, std::move(b));
  }
  far.clear();
  ASSERT_TRUE(run_until(*loop, [&] {
    return std::ranges::all_of(readers, [](const Peer& peer) { return peer.end.called; });
  }));
  for (const Peer& peer : readers) EXPECT_EQ(peer.got.size(), payload.size());
}

TEST(stream, a_reset_connection_is_an_error_once) {
  const auto loop = make_loop();
  const Fd listening = *listen_tcp(IpAddress::v4(0x7f000001), 0);
  const uint16_t port = local_endpoint(listening)->port;
  Peer client;
  auto connector = Connector::tcp(
      *loop, IpAddress::v4(0x7f000001), port,
      [&](Result<Fd> connected) { client.open(*loop, std::move(connected).value()); });
  ASSERT_TRUE(run_until(*loop, [&] { return client.stream.raw() >= 0; }));
  {
    const Fd accepted{::accept4(listening.raw(), nullptr, nullptr, SOCK_CLOEXEC)};
    const linger hard{1, 0};
    ASSERT_EQ(::setsockopt(accepted.raw(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
  }
  ASSERT_TRUE(run_until(*loop, [&] { return client.end.called; }));
  ASSERT_TRUE(client.end.error);
  EXPECT_EQ(client.end.error->code.value(), ECONNRESET);
  EXPECT_EQ(client.stream.write(view("x")), Offer::kClosed);
}

TEST(stream, detached_within_on_data_loses_nothing) {
  const auto loop = make_loop();
  auto [a, b] = socket_pair();
  std::string head;
  std::optional<Stream> stream;
  Fd taken;
  stream = *Stream::adopt(*loop, std::move(b), {.on_data = [&](ByteView bytes) {
    head += text(bytes);
    taken = *stream->detach();
  }});
  ASSERT_EQ(::send(a.raw(), "verb", 4, 0), 4);
  ASSERT_TRUE(run_until(*loop, [&] { return taken.valid(); }));
  ASSERT_EQ(::send(a.raw(), "rest", 4, 0), 4);
  settle(*loop);
  char buffer[16];
  ASSERT_EQ(::recv(taken.raw(), buffer, sizeof buffer, MSG_DONTWAIT), 4);
  EXPECT_EQ(std::string(buffer, 4), "rest");
  EXPECT_EQ(head, "verb");
  EXPECT_FALSE(stream->detach());
}

TEST(stream, destroyed_within_each_of_its_callbacks) {
  const auto loop = make_loop();
  int calls = 0;
  {
    auto [a, b] = socket_pair();
    std::optional<Stream> stream;
    stream = *Stream::adopt(*loop, std::move(b),
                            {.on_data = [&, canary = std::string(100, 'c')](ByteView bytes) {
                              stream.reset();
                              calls += text(bytes) == "x" && canary.back() == 'c' ? 1 : 100;
                            }});
    ASSERT_EQ(::send(a.raw(), "x", 1, 0), 1);
    ASSERT_TRUE(run_until(*loop, [&] { return calls == 1; }));
  }
  {
    auto [a, b] = socket_pair();
    std::optional<Stream> stream;
    stream = *Stream::adopt(*loop, std::move(b), {.on_end = [&](const std::optional<Error>& error) {
      stream.reset();
      calls += error ? 100 : 1;
    }});
    a.reset();
    ASSERT_TRUE(run_until(*loop, [&] { return calls == 2; }));
  }
  {
    auto [a, b] = socket_pair();
    std::optional<Stream> stream;
    stream = *Stream::adopt(*loop, std::move(b),
                            {.on_writable =
                                 [&] {
                                   stream.reset();
                                   ++calls;
                                 }},
                            10);
    ASSERT_EQ(stream->write(view("0123456789")), Offer::kTaken);
    ASSERT_EQ(stream->write(view("0")), Offer::kFull);
    ASSERT_TRUE(run_until(*loop, [&] { return calls == 3; }));
  }
  settle(*loop);
  EXPECT_EQ(calls, 3);
}

TEST(stream, destroyed_with_a_send_and_a_receive_in_flight) {
  const auto loop = make_loop();
  auto [a, b] = socket_pair();
  {
    Peer writer;
    writer.open(*loop, std::move(a), 4'000'000);
    ASSERT_EQ(writer.stream.write(view(std::string(4'000'000, 'x'))), Offer::kTaken);
    settle(*loop);
    EXPECT_GT(writer.stream.queued_bytes(), 0U);
    writer.stream = Stream{};
  }
  ASSERT_TRUE(drained(*loop));
  // The connection is closed: the other end comes to an end of file.
  std::string buffer(65536, 0);
  ssize_t got = 0;
  while ((got = ::recv(b.raw(), buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0) {
  }
  EXPECT_EQ(got, 0);
}

TEST(listener, destroyed_within_its_callback_closes_what_nobody_took) {
  const auto loop = make_loop();
  Fd listening = *listen_tcp(IpAddress::v4(0x7f000001), 0);
  const Endpoint at = *local_endpoint(listening);
  std::vector<Fd> clients;
  for (int i = 0; i < 10; ++i) {
    clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const SocketAddress to = to_socket_address(at, AF_INET);
    ASSERT_EQ(::connect(clients.back().raw(), &to.base, to.bytes), 0);
  }
  int calls = 0;
  std::optional<Listener> listener;
  listener = *Listener::adopt(*loop, std::move(listening), [&](const Fd& connection) {
    EXPECT_TRUE(connection.valid());
    ++calls;
    listener.reset();
  });
  ASSERT_TRUE(run_until(*loop, [&] { return calls > 0; }));
  ASSERT_TRUE(drained(*loop));
  EXPECT_EQ(calls, 1);
  char byte = 0;
  for (const Fd& client : clients) EXPECT_LE(::recv(client.raw(), &byte, 1, 0), 0);
}

TEST(listener, out_of_descriptors_it_waits_and_goes_on) {
  const auto loop = make_loop();
  std::vector<Fd> accepted;
  const auto listen = [&](Fd listening) {
    return Listener::adopt(*loop, std::move(listening),
                           [&](Fd fd) { accepted.push_back(std::move(fd)); });
  };
  const auto connect = [](const Endpoint& at) {
    Fd client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const SocketAddress to = to_socket_address(at, AF_INET);
    EXPECT_EQ(::connect(client.raw(), &to.base, to.bytes), 0);
    return client;
  };
  Fd first_socket = *listen_tcp(IpAddress::v4(0x7f000001), 0);
  Fd second_socket = *listen_tcp(IpAddress::v4(0x7f000001), 0);
  const Endpoint second_at = *local_endpoint(second_socket);
  // One before: UBSan opens a pipe when it meets a type for the first time.
  const Fd first = connect(*local_endpoint(first_socket));
  const auto first_listener = listen(std::move(first_socket));
  ASSERT_TRUE(run_until(*loop, [&] { return accepted.size() == 1; }));
  settle(*loop);

  const Fd second = connect(second_at);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto second_listener = listen(std::move(second_socket));
  settle(*loop);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(accepted.size(), 1U);
  ASSERT_TRUE(run_until(*loop, [&] { return accepted.size() == 2; }));
}

}  // namespace
}  // namespace sallyport::io
