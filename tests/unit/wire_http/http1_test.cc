// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/http/http1.h"

#include <gtest/gtest.h>

#include <string>

namespace sallyport::http {
namespace {

ByteView view(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

/// Reads in pieces of this size. The bytes that belong to the message.
template <class Message>
Result<size_t, Http1Error> feed(Parser<Message>& parser, std::string_view text, size_t piece) {
  size_t used = 0;
  for (size_t at = 0; at < text.size() && !parser.done(); at += piece) {
    const auto read = parser.read(view(text.substr(at, piece)));
    if (!read) return read;
    used += *read;
  }
  return used;
}

TEST(http1, a_response_and_what_comes_behind_it) {
  const std::string head =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\n"
      "Connection: upgrade\r\n\r\n";
  for (size_t piece = 1; piece < head.size() + 8; ++piece) {
    SCOPED_TRACE(piece);
    ResponseParser parser;
    const auto used = feed(parser, head + "\x02noise", piece);
    ASSERT_TRUE(used);
    EXPECT_EQ(*used, head.size());
    ASSERT_TRUE(parser.done());
    const Response response = parser.take();
    EXPECT_EQ(response.status, 101U);
    EXPECT_EQ(find(response.fields, "upgrade"), "tailscale-control-protocol");
    EXPECT_EQ(find(response.fields, "content-length"), std::nullopt);
  }
}

TEST(http1, bodies_of_three_kinds) {
  const struct {
    const char* description;
    const char* fields;
    const char* body;
    bool ends_with_connection;
  } rows[] = {
      {"by its length", "Content-Length: 5\r\n", "hello", false},
      {"in chunks", "Transfer-Encoding: chunked\r\n", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", false},
      {"until the end", "Connection: close\r\n", "hello", true},
  };
  for (const auto& row : rows) {
    for (size_t piece = 1; piece < 80; ++piece) {
      SCOPED_TRACE(row.description + std::to_string(piece));
      ResponseParser parser;
      const std::string text = std::string("HTTP/1.1 200 OK\r\n") + row.fields + "\r\n" + row.body;
      const auto used = feed(parser, text, piece);
      ASSERT_TRUE(used);
      EXPECT_EQ(*used, text.size());
      EXPECT_EQ(parser.done(), !row.ends_with_connection);
      EXPECT_TRUE(parser.read_end());
      ASSERT_TRUE(parser.done());
      EXPECT_EQ(parser.take().body, "hello");
    }
  }
}

TEST(http1, answer_to_a_head_request_has_no_body) {
  ResponseParser parser({}, true);
  const auto used = feed(parser, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 7);
  ASSERT_TRUE(used);
  EXPECT_TRUE(parser.done());
}

TEST(http1, a_request) {
  RequestParser parser;
  ASSERT_TRUE(
      feed(parser, "POST /echo?x=1 HTTP/1.1\r\nHost: c2n\r\nContent-Length: 2\r\n\r\nhi", 9));
  ASSERT_TRUE(parser.done());
  const Request request = parser.take();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/echo?x=1");
  EXPECT_EQ(request.body, "hi");
}

TEST(http1, what_is_refused) {
  const struct {
    const char* description;
    std::string text;
    Http1Error error;
  } rows[] = {
      {"no HTTP", "\x16\x03\x01\x02 hello\r\n\r\n", Http1Error::kMalformed},
      {"head without an end", "HTTP/1.1 200 OK\r\nA: " + std::string(500, 'x'),
       Http1Error::kHeadTooLong},
      {"body too long", "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", Http1Error::kBodyTooLong},
      {"chunks too long",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
       "80\r\n" +
           std::string(128, 'x') + "\r\n",
       Http1Error::kBodyTooLong},
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
       Http1Error::kMalformed},
  };
  for (const auto& row : rows) {
    for (const size_t piece : {size_t{1}, size_t{10}, size_t{1000}}) {
      SCOPED_TRACE(row.description + std::to_string(piece));
      ResponseParser parser({.head_bytes = 400, .body_bytes = 100});
      const auto used = feed(parser, row.text, piece);
      ASSERT_FALSE(used);
      EXPECT_EQ(used.error(), row.error);
    }
  }
}

TEST(http1, a_connection_that_ends_early) {
  for (const char* text :
       {"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"}) {
    SCOPED_TRACE(text);
    ResponseParser parser;
    ASSERT_TRUE(feed(parser, text, 100));
    const auto ended = parser.read_end();
    ASSERT_FALSE(ended);
    EXPECT_EQ(ended.error(), Http1Error::kCutOff);
  }
}

TEST(http1, what_is_written) {
  EXPECT_EQ(write(Request{"GET", "/key?v=119", {{"Host", "h"}}}),
            "GET /key?v=119 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(write(Request{"POST", "/", {}, "ab"}),
            "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab");
  EXPECT_EQ(write(Response{400, "Bad Request", {{"A", "b"}}, "no"}),
            "HTTP/1.1 400 Bad Request\r\nA: b\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_EQ(write(Response{101, "Switching Protocols", {{"Upgrade", "x"}}}),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n");
}

TEST(http_field, dates) {
  // The example of RFC 9110 5.6.7.
  EXPECT_EQ(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), WallTime(std::chrono::seconds(784111777)));
  for (const char* text : {"", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
                           "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET",
                           "Sun, 06 Nov 9994 08:49:37 GMT", "Sun, -6 Nov 1994 08:49:37 GMT"}) {
    EXPECT_FALSE(parse_date(text)) << text;
  }
}

}  // namespace
}  // namespace sallyport::http
