// SPDX-License-Identifier: BSD-3-Clause
// Both ends of a connection, handing each other bytes.
#include "agent/wire/http/http2.h"

#include <gtest/gtest.h>

#include <string>

namespace sallyport::http {
namespace {

Bytes bytes(std::string_view text) { return {text.begin(), text.end()}; }

/// All data of a stream, in one.
std::string data_of(const std::vector<Event>& events, StreamId stream) {
  std::string out;
  for (const Event& event : events) {
    const auto* data = std::get_if<Data>(&event);
    if (data != nullptr && data->stream == stream)
      out.append(data->bytes.begin(), data->bytes.end());
  }
  return out;
}
template <class Kind>
std::vector<Kind> all(const std::vector<Event>& events) {
  std::vector<Kind> out;
  for (const Event& event : events) {
    if (const auto* kind = std::get_if<Kind>(&event)) out.push_back(*kind);
  }
  return out;
}

class http2 : public testing::Test {
 protected:
  /// Until both are silent; in pieces, if asked for.
  void talk(size_t piece = SIZE_MAX) {
    for (;;) {
      const Bytes up = client_.take_outgoing();
      const Bytes down = server_.take_outgoing();
      if (up.empty() && down.empty()) return;
      hand(server_, up, piece, at_server_);
      hand(client_, down, piece, at_client_);
      const auto late = client_.take_events();
      at_client_.insert(at_client_.end(), late.begin(), late.end());
    }
  }
  static void hand(Http2& to, ByteView from, size_t piece, std::vector<Event>& events) {
    while (!from.empty()) {
      const size_t count = std::min(piece, from.size());
      const auto received = to.receive(from.first(count));
      ASSERT_TRUE(received) << received.error().text();
      events.insert(events.end(), received->begin(), received->end());
      from = from.subspan(count);
    }
  }
  StreamId ask(std::string body = {}, const std::string& method = "POST") {
    const auto stream = client_.request(
        {.method = method, .path = "/machine/map", .authority = "h:80", .fields = {{"ts-lb", "k"}}},
        std::move(body));
    EXPECT_TRUE(stream);
    return *stream;
  }

  Http2 client_ = Http2::client();
  Http2 server_ = Http2::server();
  std::vector<Event> at_client_;
  std::vector<Event> at_server_;
};

TEST_F(http2, a_request_and_its_answer) {
  for (const size_t piece : {size_t{1}, size_t{9}, SIZE_MAX}) {
    SCOPED_TRACE(piece);
    at_client_.clear();
    at_server_.clear();
    const StreamId stream = ask("{}");
    talk(piece);
    ASSERT_GE(at_server_.size(), 3U);
    EXPECT_EQ(std::get<Head>(at_server_[0]),
              (Head{stream, 0, "POST", "/machine/map", "h:80", {{"ts-lb", "k"}}}));
    EXPECT_EQ(data_of(at_server_, stream), "{}");
    EXPECT_EQ(std::get<End>(at_server_.back()).stream, stream);

    ASSERT_TRUE(server_.respond({.stream = stream, .status = 429, .fields = {{"retry-after", "7"}}},
                                "slow", true));
    talk(piece);
    ASSERT_GE(at_client_.size(), 3U);
    EXPECT_EQ(std::get<Head>(at_client_[0]),
              (Head{.stream = stream, .status = 429, .fields = {{"retry-after", "7"}}}));
    EXPECT_EQ(data_of(at_client_, stream), "slow");
    EXPECT_EQ(std::get<End>(at_client_.back()).stream, stream);
  }
}

TEST_F(http2, a_request_without_a_body_and_an_answer_without_one) {
  const StreamId stream = ask({}, "HEAD");
  talk();
  EXPECT_EQ(all<End>(at_server_).size(), 1U);
  ASSERT_TRUE(server_.respond({.stream = stream, .status = 200}, {}, true));
  talk();
  EXPECT_EQ(all<End>(at_client_).size(), 1U);
  EXPECT_TRUE(all<Data>(at_client_).empty());
}

TEST_F(http2, a_long_answer_comes_piece_by_piece_beside_others) {
  const StreamId poll = ask("poll");
  talk();
  ASSERT_TRUE(server_.respond({.stream = poll, .status = 200}, {}, false));
  ASSERT_TRUE(server_.send(poll, bytes("one"), false));
  talk();
  EXPECT_EQ(data_of(at_client_, poll), "one");
  const StreamId other = ask("lite");
  talk();
  ASSERT_TRUE(server_.respond({.stream = other, .status = 200}, {}, true));
  talk();
  EXPECT_EQ(all<End>(at_client_), (std::vector{End{other}}));
  ASSERT_TRUE(server_.send(poll, bytes("two"), false));
  talk();
  EXPECT_EQ(data_of(at_client_, poll), "onetwo");
  ASSERT_TRUE(server_.send(poll, {}, true));
  talk();
  EXPECT_EQ(all<End>(at_client_).size(), 2U);
  EXPECT_FALSE(server_.send(poll, bytes("late"), false));
}

TEST_F(http2, more_than_the_windows_hold_is_carried_whole) {
  const std::string large(size_t{5} * kWindow + 17, 'm');
  const StreamId stream = ask(large);
  talk();
  EXPECT_EQ(data_of(at_server_, stream), large);
  ASSERT_TRUE(server_.respond({.stream = stream, .status = 200}, large, true));
  talk();
  EXPECT_EQ(data_of(at_client_, stream), large);
}

TEST_F(http2, what_is_cancelled_says_nothing_more) {
  const StreamId stream = ask("poll");
  talk();
  ASSERT_TRUE(server_.respond({.stream = stream, .status = 200}, "begin", false));
  client_.cancel(stream);
  talk();
  EXPECT_TRUE(at_client_.empty());
  EXPECT_EQ(all<Reset>(at_server_), (std::vector{Reset{stream, 8}}));  // CANCEL
  EXPECT_EQ(server_.queued(stream), 0U);
}

TEST_F(http2, what_is_cancelled_before_it_has_left) {
  const StreamId stream = ask("poll");
  client_.cancel(stream);
  talk();
  const StreamId next = ask("next");
  talk();
  EXPECT_EQ(data_of(at_server_, next), "next");
}

TEST_F(http2, a_head_without_end_is_refused) {
  const auto stream = client_.request({.method = "POST", .path = "/", .authority = "h"}, "x");
  ASSERT_TRUE(stream);
  talk();
  Head huge{.stream = *stream, .status = 200};
  for (int i = 0; i < 10; ++i)
    huge.fields.push_back({"x-" + std::to_string(i), std::string(4000, 'x')});
  ASSERT_TRUE(server_.respond(huge, "body", true));
  talk();
  EXPECT_TRUE(all<Head>(at_client_).empty());
  EXPECT_EQ(all<Reset>(at_client_).size(), 1U);
  const StreamId next = ask("next");  // the connection goes on
  talk();
  EXPECT_EQ(data_of(at_server_, next), "next");
}

TEST_F(http2, what_is_no_http2_ends_the_connection) {
  EXPECT_FALSE(server_.receive(bytes("GET / HTTP/1.1\r\nHost: h\r\n\r\n")));
  // A frame of 16 MB, of which there is none.
  const auto received = client_.receive(Bytes{0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1});
  (void)client_.take_outgoing();
  EXPECT_TRUE(!received || client_.closed());
}

TEST_F(http2, more_streams_than_are_allowed_wait) {
  std::vector<StreamId> streams;
  for (uint32_t i = 0; i < kMaxStreams + 5; ++i) streams.push_back(ask("x"));
  talk();
  EXPECT_EQ(all<Head>(at_server_).size(), kMaxStreams);
  for (const StreamId stream : streams) {
    (void)server_.respond({.stream = stream, .status = 200}, {}, true);
  }
  talk();
  EXPECT_EQ(all<Head>(at_server_).size(), kMaxStreams + 5);
}

}  // namespace
}  // namespace sallyport::http
