// SPDX-License-Identifier: BSD-3-Clause
/// HTTP/1.1 messages: the key request, upgrades, and what a control server wants of a node. Bytes
/// and values only.
/// Source: RFC 9112.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "agent/wire/http/field.h"

namespace sallyport::http {

struct Request {
  std::string method;
  std::string target;  // path and query
  Fields fields = {};
  std::string body = {};
  friend bool operator==(const Request&, const Request&) = default;
};

struct Response {
  unsigned status = 0;
  std::string reason = {};
  Fields fields = {};
  std::string body = {};
  friend bool operator==(const Response&, const Response&) = default;
};

/// With a Content-Length if there is a body, or if it is a response that may have one and the
/// fields do not say how long it is.
std::string write(const Request& request);
std::string write(const Response& response);

struct Limits {
  uint32_t head_bytes = 16 * 1024;
  uint64_t body_bytes = 64 * 1024;
};

enum class Http1Error : uint8_t {
  kMalformed,
  kHeadTooLong,
  kBodyTooLong,
  kCutOff,  // the connection ended before the message did
};
const char* text_of(Http1Error error);

/// Reads one message as its bytes come in. After an error it is of no further use.
template <class Message>
class Parser {
 public:
  /// `no_body`: the answer to a HEAD, which has none whatever its fields say.
  explicit Parser(const Limits& limits = {}, bool no_body = false);
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  Parser(Parser&&) noexcept;
  Parser& operator=(Parser&&) noexcept;
  ~Parser();

  /// How many of the bytes belong to the message; what comes behind is for whoever is next (after a
  /// 101, the new protocol).
  Result<size_t, Http1Error> read(ByteView bytes);
  /// The connection has ended, which is how some bodies end.
  Result<void, Http1Error> read_end();

  [[nodiscard]] bool done() const;
  /// Once, when done().
  [[nodiscard]] Message take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};
extern template class Parser<Request>;
extern template class Parser<Response>;

using RequestParser = Parser<Request>;
using ResponseParser = Parser<Response>;

}  // namespace sallyport::http
