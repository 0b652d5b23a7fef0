// SPDX-License-Identifier: BSD-3-Clause
/// What comes out of a disco box: what parses is written as the same message again.
#include <cstdlib>

#include "agent/wire/disco.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport;
  const auto message = disco::parse({data, size});
  if (!message || std::holds_alternative<disco::Unknown>(*message)) return 0;
  Bytes buffer(size);
  const ByteView written = disco::write(*message, buffer);
  if (written.empty() || disco::parse(written).value() != *message) std::abort();
  return 0;
}
