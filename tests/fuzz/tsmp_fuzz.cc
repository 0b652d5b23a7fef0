// SPDX-License-Identifier: BSD-3-Clause
/// IP packets out of the tunnel: a TSMP message that parses is written as the same again.
#include <cstdlib>

#include "agent/wire/tsmp.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport;
  const auto packet = tsmp::parse({data, size});
  if (!packet) return 0;
  std::array<uint8_t, tsmp::kMaxPacket> buffer{};
  const ByteView written = tsmp::write(*packet, buffer);
  if (written.empty() || tsmp::parse(written).value() != *packet) std::abort();
  return 0;
}
