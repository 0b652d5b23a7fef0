// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/control/c2n.h"

namespace sallyport::control {
namespace {

http::Response answer(const http::Request& request) {
  if (request.target == "/echo") {
    return {.status = 200,
            .reason = "OK",
            .fields = {{"Content-Type", "text/plain; charset=utf-8"}},
            .body = request.body};
  }
  return {.status = 400, .reason = "Bad Request", .body = "not served by this node\n"};
}

}  // namespace

std::string answer_c2n(ByteView request) {
  http::RequestParser parser;
  const auto read = parser.read(request);
  if (!read || !parser.done()) {
    return http::write(http::Response{.status = 400, .reason = "Bad Request"});
  }
  return http::write(answer(parser.take()));
}

std::optional<std::string_view> path_of(std::string_view url) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (!url.starts_with(scheme)) continue;
    const size_t slash = url.find('/', scheme.size());
    if (slash == std::string_view::npos) return "/";
    const std::string_view path = url.substr(slash);
    for (const char c : path) {
      if (c <= ' ' || c > '~') return std::nullopt;
    }
    return path;
  }
  return std::nullopt;
}

}  // namespace sallyport::control
