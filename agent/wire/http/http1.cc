// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/http/http1.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <type_traits>

namespace sallyport::http {
namespace {

namespace beast = boost::beast::http;

Http1Error error_of(const boost::system::error_code& code) {
  if (code == beast::error::header_limit) return Http1Error::kHeadTooLong;
  if (code == beast::error::body_limit) return Http1Error::kBodyTooLong;
  if (code == beast::error::end_of_stream || code == beast::error::partial_message) {
    return Http1Error::kCutOff;
  }
  return Http1Error::kMalformed;
}

void write_rest(std::string& out, const Fields& fields, const std::string& body, bool say_length) {
  for (const Field& field : fields) out += field.name + ": " + field.value + "\r\n";
  const bool said = find(fields, "content-length") || find(fields, "transfer-encoding");
  if (say_length && !said) out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  out += "\r\n" + body;
}

}  // namespace

std::string write(const Request& request) {
  std::string out = request.method + " " + request.target + " HTTP/1.1\r\n";
  write_rest(out, request.fields, request.body, !request.body.empty());
  return out;
}

std::string write(const Response& response) {
  std::string out = "HTTP/1.1 " + std::to_string(response.status) + " " + response.reason + "\r\n";
  const bool never_has_body =
      response.status / 100 == 1 || response.status == 204 || response.status == 304;
  write_rest(out, response.fields, response.body, !never_has_body);
  return out;
}

const char* text_of(Http1Error error) {
  switch (error) {
    case Http1Error::kMalformed:
      return "not an HTTP/1.1 message";
    case Http1Error::kHeadTooLong:
      return "its head is too long";
    case Http1Error::kBodyTooLong:
      return "its body is too long";
    case Http1Error::kCutOff:
      return "the connection ended within it";
  }
  return "";
}

template <class Message>
struct Parser<Message>::State {
  static constexpr bool kIsRequest = std::is_same_v<Message, Request>;
  beast::parser<kIsRequest, beast::string_body> parser;
  // The parser wants whole lines of a head at once.
  Bytes unread_head;
};

template <class Message>
Parser<Message>::Parser(const Limits& limits, bool no_body) : state_(std::make_unique<State>()) {
  state_->parser.header_limit(limits.head_bytes);
  state_->parser.body_limit(limits.body_bytes);
  state_->parser.eager(true);
  state_->parser.skip(no_body);
}
template <class Message>
Parser<Message>::Parser(Parser&&) noexcept = default;
template <class Message>
Parser<Message>& Parser<Message>::operator=(Parser&&) noexcept = default;
template <class Message>
Parser<Message>::~Parser() = default;

template <class Message>
Result<size_t, Http1Error> Parser<Message>::read(ByteView bytes) {
  State& state = *state_;
  const size_t before = state.unread_head.size();
  ByteView rest = bytes;
  if (before > 0) {
    state.unread_head.insert(state.unread_head.end(), bytes.begin(), bytes.end());
    rest = state.unread_head;
  }
  const size_t total = rest.size();
  while (!state.parser.is_done() && !rest.empty()) {
    boost::system::error_code code;
    const size_t used = state.parser.put(boost::asio::const_buffer(rest.data(), rest.size()), code);
    if (code && code != beast::error::need_more) return Fail{error_of(code)};
    rest = rest.subspan(used);
    if (used == 0 || code == beast::error::need_more) break;
  }
  const size_t consumed = total - rest.size();
  if (state.parser.is_done()) {
    state.unread_head.clear();
    return consumed - before;  // what was kept before was no whole message
  }
  state.unread_head = Bytes(rest.begin(), rest.end());
  return bytes.size();
}

template <class Message>
Result<void, Http1Error> Parser<Message>::read_end() {
  if (state_->parser.is_done()) return {};
  boost::system::error_code code;
  if (state_->parser.got_some()) {
    state_->parser.put_eof(code);
  } else {
    code = beast::error::end_of_stream;
  }
  if (code) return Fail{error_of(code)};
  return state_->parser.is_done() ? Result<void, Http1Error>{} : Fail{Http1Error::kCutOff};
}

template <class Message>
bool Parser<Message>::done() const {
  return state_->parser.is_done();
}

template <class Message>
Message Parser<Message>::take() {
  auto read = state_->parser.release();
  Message message;
  if constexpr (State::kIsRequest) {
    message.method = std::string(read.method_string());
    message.target = std::string(read.target());
  } else {
    message.status = read.result_int();
    message.reason = std::string(read.reason());
  }
  for (const auto& field : read) {
    message.fields.push_back({std::string(field.name_string()), std::string(field.value())});
  }
  message.body = std::move(read.body());
  return message;
}

template class Parser<Request>;
template class Parser<Response>;

}  // namespace sallyport::http
