// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node/control/exchange.h"

namespace sallyport::control {

Exchange::Exchange(ConnectionId id, const http::Request& request, const http::Limits& limits,
                   Instant now)
    : id_(id), deadline_(now + kExchangeTimeout), parser_(limits, request.method == "HEAD") {
  const std::string text = http::write(request);
  request_.assign(text.begin(), text.end());
}

SendBytes Exchange::on_connected() const { return {id_, request_}; }

Result<std::optional<http::Response>, std::string> Exchange::on_bytes(ByteView bytes) {
  const auto used = parser_.read(bytes);
  if (!used) return Fail{std::string(http::text_of(used.error()))};
  if (!parser_.done()) return std::optional<http::Response>{};
  return std::optional{parser_.take()};
}

Result<std::optional<http::Response>, std::string> Exchange::on_end() {
  const auto ended = parser_.read_end();
  if (!ended) return Fail{std::string(http::text_of(ended.error()))};
  return std::optional{parser_.take()};
}

}  // namespace sallyport::control
