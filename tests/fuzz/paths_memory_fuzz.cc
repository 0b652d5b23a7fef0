// SPDX-License-Identifier: BSD-3-Clause
/// A memory of paths that somebody has been at: what is read is written as the same again.
#include <cstdlib>

#include "agent/node/parking.h"
#include "agent/node/paths_memory.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport;
  const auto memory = parse_paths_memory({reinterpret_cast<const char*>(data), size});
  if (!memory) return 0;
  for (const auto& [key, peer] : memory->peers) {
    if (!is_parking(peer.parking)) std::abort();
  }
  if (parse_paths_memory(write_paths_memory(*memory)) != memory) std::abort();
  return 0;
}
