// SPDX-License-Identifier: BSD-3-Clause
// Against a scripted server behind TLS on lo.
#include "agent/drive/node/derp_connection.h"

#include <algorithm>
#include <string>
#include <vector>

#include "agent/drive/node/derp_target.h"
#include "agent/drive/node/https_probe.h"
#include "tests/unit/drive_node/derp_server.h"

namespace sallyport {
namespace {

using io::text;
using io::view;

constexpr std::string_view kUpgraded =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n";
const std::string kMetaKey(64, 'a');

NodeKey key(uint8_t number) {
  NodeKey out;
  out.bytes.fill(number);
  return out;
}

std::string name_of(const derp::Message& message) {
  if (const auto* packet = std::get_if<derp::RecvPacket>(&message)) {
    return std::to_string(packet->from.bytes[0]) + ":" + text(packet->packet);
  }
  if (const auto* server = std::get_if<derp::ServerKey>(&message)) {
    return "key " + std::to_string(server->server.bytes[0]);
  }
  return "message " + std::to_string(message.index());
}

class derp_connection : public testing::Test {
 protected:
  void SetUp() override { serve({}); }
  void serve(const std::string& meta_key) {
    connection_.reset();
    server_.emplace(*loop_, meta_key);
    tls_.emplace(server_->client());
    node_ = server_->node();
  }
  void dial(const std::string& ideal_node = {}) {
    server_->request.reset();
    connection_ = std::make_unique<DerpConnection>(
        *loop_, *tls_, node_,
        DerpConnectionHooks{
            .on_connected = [this] { ++connected_; },
            .on_message =
                [this](const derp::Message& message) {
                  got_.push_back(name_of(message));
                  if (on_message_) on_message_();
                },
            .on_closed = [this](const std::string& why) { closed_.push_back(why); }},
        ideal_node);
    EXPECT_TRUE(connection_->connect());
  }
  void upgrade() {
    dial();
    ASSERT_TRUE(until([&] { return server_->request.has_value(); }));
    server_->say(kUpgraded);
    ASSERT_TRUE(until([&] { return connected_ == 1; }));
  }
  template <class Predicate>
  bool until(Predicate&& done) {
    return io::run_until(*loop_, done);
  }
  std::optional<std::string> field(std::string_view name) {
    const auto found = http::find(server_->request->fields, name);
    return found ? std::optional(std::string(*found)) : std::nullopt;
  }
  [[nodiscard]] std::string why() const { return closed_.size() == 1 ? closed_[0] : "(open)"; }

  std::unique_ptr<io::Loop> loop_ = io::make_loop();
  std::optional<DerpServer> server_;
  std::optional<io::TlsContext> tls_;
  DerpNode node_;
  int connected_ = 0;
  std::vector<std::string> got_;
  std::vector<std::string> closed_;
  std::function<void()> on_message_;
  std::unique_ptr<DerpConnection> connection_;
};

TEST_F(derp_connection, asks_for_the_stream_and_carries_frames_both_ways) {
  upgrade();
  EXPECT_EQ(server_->request->method, "GET");
  EXPECT_EQ(server_->request->target, "/derp");
  EXPECT_EQ(field("Host"), "derp.example:" + std::to_string(server_->port));
  EXPECT_EQ(field("Upgrade"), "DERP");
  EXPECT_EQ(field("Connection"), "Upgrade");
  EXPECT_FALSE(field("Derp-Fast-Start"));
  EXPECT_FALSE(field("Ideal-Node"));

  server_->say(derp::ServerKey{key(5)});
  server_->say(derp::RecvPacket{key(1), view("packet")});
  server_->say(derp::KeepAlive{});
  ASSERT_TRUE(until([&] { return got_.size() == 3; }));
  EXPECT_EQ(got_[0], "key 5");
  EXPECT_EQ(got_[1], "1:packet");

  ASSERT_TRUE(connection_->send_packet(key(2), view("answer")));
  Bytes frame(64);
  ASSERT_TRUE(connection_->send(derp::write(derp::NotePreferred{true}, frame)));
  ASSERT_TRUE(until([&] { return server_->heard.size() == derp::kPacketHead + 6 + 6; }));
  const auto first = derp::next_frame(server_->heard, derp::kMaxBody);
  const auto packet = derp::parse(**first);
  ASSERT_TRUE(packet);
  EXPECT_EQ(std::get<derp::SendPacket>(*packet).to, key(2));
  EXPECT_EQ(text(std::get<derp::SendPacket>(*packet).packet), "answer");
}

TEST_F(derp_connection, starts_fast_with_a_server_that_shows_its_key) {
  serve(kMetaKey);
  on_message_ = [this] {
    if (got_.size() > 1) return;
    EXPECT_TRUE(connection_->send(view("login")));
  };
  dial();
  // Nothing was said by the server yet.
  ASSERT_TRUE(until([&] { return server_->heard.size() == 5; }));
  EXPECT_EQ(field("Derp-Fast-Start"), "1");
  EXPECT_EQ(connected_, 1);
  EXPECT_EQ(got_, (std::vector<std::string>{"key 170"}));

  // What it says itself is no news, unless it differs.
  server_->say(derp::ServerKey{key(0xaa)});
  server_->say(derp::KeepAlive{});
  ASSERT_TRUE(until([&] { return got_.size() == 2; }));
  EXPECT_EQ(got_[1], "message 5");
  server_->say(derp::ServerKey{key(0xab)});
  ASSERT_TRUE(until([&] { return !closed_.empty(); }));
  EXPECT_EQ(why(), "the server's key is not its certificate's");
}

TEST_F(derp_connection, a_certificate_with_no_key_in_its_name_starts_nothing_fast) {
  serve("zz");
  upgrade();
  EXPECT_FALSE(field("Derp-Fast-Start"));
}

TEST_F(derp_connection, names_the_ideal_node_to_another) {
  dial("1x");
  ASSERT_TRUE(until([&] { return server_->request.has_value(); }));
  EXPECT_EQ(field("Ideal-Node"), "1x");
}

TEST_F(derp_connection, whom_it_believes) {
  const Certificate other({.common_name = "other"});
  const std::string pin = pin_of(server_->leaf);
  const struct {
    const char* description;
    const char* host_name;
    std::string cert_name;
    bool insecure;
    bool good;
  } rows[] = {
      {"by its name", "derp.example", "", false, true},
      {"by its address", "127.0.0.1", "", false, true},
      {"another name", "else.example", "", false, false},
      {"by the certificate's name", "else.example", "derp.example", false, true},
      {"another certificate's name", "derp.example", "else.example", false, false},
      {"by its pin", "else.example", pin, false, true},
      {"another pin", "derp.example", pin_of(other), false, false},
      {"another pin, insecure", "derp.example", pin_of(other), true, false},
      {"a pin that is none, insecure", "derp.example", "sha256-raw:12", true, false},
      {"insecure", "else.example", "", true, true},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.description);
    node_.host_name = row.host_name;
    node_.cert_name = row.cert_name;
    node_.insecure_for_tests = row.insecure;
    closed_.clear();
    dial();
    ASSERT_TRUE(until([&] { return server_->request.has_value() || !closed_.empty(); }));
    EXPECT_EQ(server_->request.has_value(), row.good);
    EXPECT_EQ(closed_.empty(), row.good) << why();
    EXPECT_EQ(connected_, 0);
  }
}

TEST_F(derp_connection, frames_in_any_pieces) {
  upgrade();
  Bytes stream;
  std::vector<std::string> sent;
  for (int i = 0; i < 40; ++i) {
    const std::string packet(static_cast<size_t>(i * i * 7 % 2000),
                             static_cast<char>('a' + i % 26));
    Bytes frame(4096);
    const ByteView written = derp::write(derp::RecvPacket{key(3), view(packet)}, frame);
    stream.insert(stream.end(), written.begin(), written.end());
    sent.push_back("3:" + packet);
  }
  ByteView rest(stream);
  for (size_t piece = 1; !rest.empty(); piece = piece * 3 % 1009) {
    const size_t size = std::min(piece, rest.size());
    server_->say(rest.first(size));
    rest = rest.subspan(size);
    if (piece % 2 == 0) io::settle(*loop_);
    ASSERT_TRUE(until([&] { return server_->stream.queued_bytes() < 100'000; }));
  }
  ASSERT_TRUE(until([&] { return got_.size() == sent.size(); }));
  EXPECT_EQ(got_, sent);
}

TEST_F(derp_connection, what_is_not_well_formed_is_skipped_and_what_cannot_be_ends_it) {
  upgrade();
  const Bytes truncated{static_cast<uint8_t>(derp::FrameType::kRecvPacket), 0, 0, 0, 3, 1, 2, 3};
  server_->say(truncated);
  server_->say(derp::RecvPacket{key(1), view("next")});
  ASSERT_TRUE(until([&] { return got_.size() == 1; }));
  EXPECT_EQ(connection_->skipped(), 1U);
  const Bytes endless{static_cast<uint8_t>(derp::FrameType::kRecvPacket), 0x7f, 0, 0, 0};
  server_->say(endless);
  ASSERT_TRUE(until([&] { return !closed_.empty(); }));
  EXPECT_EQ(why(), "a frame is too long");
  EXPECT_FALSE(connection_->send(view("x")));
}

TEST_F(derp_connection, no_derp_server) {
  dial();
  ASSERT_TRUE(until([&] { return server_->request.has_value(); }));
  server_->say("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(until([&] { return !closed_.empty(); }));
  EXPECT_EQ(why(), "the server answers HTTP 426");
  EXPECT_EQ(connected_, 0);

  closed_.clear();
  upgrade();
  server_->say(Bytes{1, 0, 0, 0, 40, 'n', 'o', 'n', 'o', 'n', 'o', 'n', 'o', 0, 0,
                     0, 0, 0, 0, 0,  0,   0,   0,   0,   0,   0,   0,   0,   0, 0,
                     0, 0, 0, 0, 0,  0,   0,   0,   0,   0,   0,   0,   0,   0, 0});
  ASSERT_TRUE(until([&] { return !closed_.empty(); }));
  EXPECT_EQ(why(), "the server is no DERP server");
}

TEST_F(derp_connection, the_server_goes) {
  upgrade();
  server_->stream.shutdown();
  ASSERT_TRUE(until([&] { return !closed_.empty(); }));
  EXPECT_EQ(why(), "the server has closed the connection");
}

TEST_F(derp_connection, a_server_that_does_not_read_fills_the_queue_and_no_more) {
  upgrade();
  server_->stream.pause();
  const std::string packet(1200, 'p');
  size_t taken = 0;
  for (bool room = true; room;) {
    room = connection_->send_packet(key(2), view(packet));
    taken += room ? 1U : 0U;
    if (!room) io::settle(*loop_);  // what the kernel's buffers take
    if (!room) room = connection_->send_packet(key(2), view(packet));
    ASSERT_LT(taken, 100'000U);
  }
  EXPECT_LE(connection_->queued_bytes(), DerpConnection::kQueueBytes + 4096);
  EXPECT_TRUE(connection_->send(view("a frame of the session's"))) << "it has a reserve";
  server_->stream.resume();
  ASSERT_TRUE(until([&] { return connection_->queued_bytes() == 0; }));
  EXPECT_TRUE(connection_->send_packet(key(2), view(packet)));
  ASSERT_TRUE(until(
      [&] { return server_->heard.size() >= (taken + 1) * (derp::kPacketHead + packet.size()); }));
  EXPECT_TRUE(closed_.empty()) << why();
}

TEST_F(derp_connection, addresses_are_tried_in_turn_and_looked_up_if_there_are_none) {
  node_.ipv4.clear();
  connection_ = std::make_unique<DerpConnection>(
      *loop_, *tls_, node_,
      DerpConnectionHooks{.on_closed = [this](const std::string& why) { closed_.push_back(why); }});
  EXPECT_FALSE(connection_->connect());
  EXPECT_EQ(connection_->host(), "derp.example");
  // 127.0.0.9 refuses; IPv6 is 'none'.
  connection_->connect_to(
      {*IpAddress::parse("::1"), IpAddress::v4(0x7f000009), IpAddress::v4(0x7f000001)});
  ASSERT_TRUE(until([&] { return server_->request.has_value(); }));

  connection_ = std::make_unique<DerpConnection>(
      *loop_, *tls_, node_,
      DerpConnectionHooks{.on_closed = [this](const std::string& why) { closed_.push_back(why); }});
  EXPECT_FALSE(connection_->connect());
  connection_->connect_to({});
  EXPECT_TRUE(closed_.empty());
  ASSERT_TRUE(until([&] { return !closed_.empty(); }));
  EXPECT_EQ(why(), "no address of derp.example");

  for (const char* cert_name : {"", "sha256-raw:12"}) {
    node_.ipv4 = "127.0.0.9";
    node_.cert_name = cert_name;
    std::string last;
    connection_ = std::make_unique<DerpConnection>(
        *loop_, *tls_, node_, DerpConnectionHooks{.on_closed = [&](const std::string& why) {
          connection_.reset();
          last = why;
        }});
    EXPECT_TRUE(connection_->connect());
    ASSERT_TRUE(until([&] { return !last.empty(); }));
    EXPECT_EQ(connection_, nullptr);
  }
}

TEST_F(derp_connection, may_end_in_each_hook) {
  serve(kMetaKey);
  for (int hook = 0; hook < 3; ++hook) {
    SCOPED_TRACE(hook);
    bool ran = false;
    const auto end = [&](int here) {
      if (here != hook) return;
      ran = true;
      connection_.reset();
    };
    connection_ = std::make_unique<DerpConnection>(
        *loop_, *tls_, node_,
        DerpConnectionHooks{.on_connected = [&] { end(0); },
                            .on_message = [&](const derp::Message&) { end(1); },
                            .on_closed = [&](const std::string&) { end(2); }});
    ASSERT_TRUE(connection_->connect());
    if (hook == 2) {
      ASSERT_TRUE(until([&] { return server_->request.has_value(); }));
      server_->stream.shutdown();
    }
    ASSERT_TRUE(until([&] { return ran; }));
    EXPECT_EQ(connection_, nullptr);
    server_->request.reset();
    io::settle(*loop_);
  }
}

TEST_F(derp_connection, may_end_between_two_frames_of_one_read) {
  upgrade();
  on_message_ = [this] { connection_.reset(); };
  Bytes frames(4096);
  const size_t size = derp::write(derp::RecvPacket{key(1), view("one")}, frames).size();
  std::copy_n(frames.begin(), size, frames.begin() + static_cast<ptrdiff_t>(size));
  // The first one in two pieces, so that it is put together.
  server_->say(ByteView(frames).first(10));
  io::settle(*loop_);
  server_->say(ByteView(frames).subspan(10, 2 * size - 10));
  ASSERT_TRUE(until([&] { return connection_ == nullptr; }));
  EXPECT_EQ(got_.size(), 1U);
}

TEST_F(derp_connection, probe_measures_a_round_trip) {
  std::vector<std::optional<Duration>> answers;
  const auto probe = [&](const DerpNode& node) {
    return std::make_unique<HttpsProbe>(
        *loop_, *tls_, node, [&](std::optional<Duration> latency) { answers.push_back(latency); });
  };
  const Instant began = io::boot_now();
  auto first = probe(node_);
  ASSERT_TRUE(first->connect());
  ASSERT_TRUE(until([&] { return server_->request.has_value(); }));
  EXPECT_EQ(server_->request->target, "/derp/latency-check");
  server_->say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(until([&] { return answers.size() == 1; }));
  ASSERT_TRUE(answers[0]);
  EXPECT_GT(*answers[0], Duration(0));
  EXPECT_LT(*answers[0], io::boot_now() - began);

  auto refused = probe(node_);
  server_->request.reset();
  ASSERT_TRUE(refused->connect());
  ASSERT_TRUE(until([&] { return server_->request.has_value(); }));
  server_->say("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(until([&] { return answers.size() == 2; }));
  EXPECT_FALSE(answers[1]);

  DerpNode stranger = node_;
  stranger.host_name = "else.example";
  auto unknown = probe(stranger);
  ASSERT_TRUE(unknown->connect());
  ASSERT_TRUE(until([&] { return answers.size() == 3; }));
  EXPECT_FALSE(answers[2]);

  stranger.cert_name = "sha256-raw:zz";
  auto no_pin = probe(stranger);
  ASSERT_TRUE(no_pin->connect());
  ASSERT_TRUE(until([&] { return answers.size() == 4; }));
  EXPECT_FALSE(answers[3]);
}

TEST(derp_target, addresses) {
  const IpAddress v4 = IpAddress::v4(0xc0000201);
  const IpAddress other = IpAddress::v4(0xc0000202);
  const IpAddress v6 = *IpAddress::parse("2001:db8::1");
  const struct {
    const char* description;
    DerpNode node;
    std::vector<IpAddress> known;
    std::vector<IpAddress> with_found;  // other and v6
  } rows[] = {
      {"both said", derp_node("", "192.0.2.1", "2001:db8::1"), {v4, v6}, {v4, v6}},
      {"one said", derp_node("", "192.0.2.1", ""), {v4}, {v4, v6}},
      {"one off", derp_node("", "none", ""), {}, {v6}},
      {"nothing said", derp_node("derp.example", "", ""), {}, {other, v6}},
      {"a name that is one", derp_node("192.0.2.1", "", ""), {v4}, {v4}},
      {"of the wrong family", derp_node("", "2001:db8::1", "none"), {}, {}},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.description);
    EXPECT_EQ(derp_addresses(row.node), row.known);
    EXPECT_EQ(derp_addresses(row.node, {v6, other}), row.with_found);
  }
  EXPECT_EQ(derp_authority(derp_node("derp.example", "", "")), "derp.example");
  DerpNode literal = derp_node("2001:db8::1", "", "");
  literal.derp_port = 8443;
  EXPECT_EQ(derp_authority(literal), "[2001:db8::1]:8443");
}

}  // namespace
}  // namespace sallyport
