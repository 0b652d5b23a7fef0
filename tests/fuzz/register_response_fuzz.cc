// SPDX-License-Identifier: BSD-3-Clause
/// Any bytes as each of the short messages of the control protocol: refused with a place, or read,
/// written and read again to the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/wire/tailcfg/map_request.h"
#include "agent/wire/tailcfg/map_response.h"
#include "agent/wire/tailcfg/registration.h"
#include "agent/wire/tailcfg/server_key.h"

namespace {

using namespace sallyport::tailcfg;

template <class T>
void check(std::string_view json, sallyport::Result<T, JsonError> (*parse)(std::string_view),
           std::string (*write)(const T&)) {
  const auto value = parse(json);
  if (!value) {
    if (!value.error().path.starts_with('$')) abort();
    return;
  }
  const auto again = parse(write(*value));
  if (!again || !(*again == *value)) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  check(json, parse_register_response, write_register_response);
  check(json, parse_register_request, write_register_request);
  check(json, parse_map_request, write_map_request);
  check(json, parse_server_keys, write_server_keys);
  check(json, parse_early_noise, write_early_noise);
  check(json, parse_derp_map, write_derp_map);
  check(json, parse_ping_response, write_ping_response);
  return 0;
}
