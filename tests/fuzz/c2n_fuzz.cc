// SPDX-License-Identifier: BSD-3-Clause
/// Any bytes as a ping request of a control server, and what it carries as the HTTP request that it
/// should be.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/wire/http/http1.h"
#include "agent/wire/tailcfg/ping.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport;
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto ping = tailcfg::parse_ping_request(json);
  if (!ping) return 0;
  const auto again = tailcfg::parse_ping_request(tailcfg::write_ping_request(*ping));
  if (!again || !(*again == *ping)) abort();
  http::RequestParser parser;
  const auto used = parser.read(ping->payload);
  if (used && *used > ping->payload.size()) abort();
  if (used && parser.done() && parser.take().method.empty()) abort();
  return 0;
}
