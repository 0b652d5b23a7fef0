// SPDX-License-Identifier: BSD-3-Clause
/// A node led by the fuzzer: whatever it puts together, the agent stays in its bounds.
#include <cstdio>
#include <cstdlib>

#include "agent/base/bytes.h"
#include "tests/support/hostile_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport;
  ByteReader in(ByteView(data, size));
  HostileNode node([&](uint32_t n) { return (n > 256 ? in.u32() : in.u8()) % n; });
  HostileCheck check;
  for (uint64_t epoch = 1; epoch <= 8 && in.left() > 0; ++epoch) {
    if (check.stage.on_begin(epoch, Instant{})) std::abort();
    for (unsigned n = in.u8() % 4; n-- > 0;) {
      if (check.stage.on_put(node.object(), Instant{})) std::abort();
    }
    for (unsigned n = in.u8() % 4 / 3; n-- > 0;) {
      if (check.stage.on_delete(node.id(), Instant{})) std::abort();
    }
    if (const std::string wrong = check.commit(); !wrong.empty()) {
      std::fprintf(stderr, "%s\n", wrong.c_str());
      std::abort();
    }
    if (in.u8() % 4 != 3) continue;
    if (const std::string wrong = check.move_lan(node.port_address()); !wrong.empty()) {
      std::fprintf(stderr, "%s\n", wrong.c_str());
      std::abort();
    }
  }
  uint32_t state = static_cast<uint32_t>(size) + 1;
  const auto draw = [&](uint32_t n) {
    state = state * 1664525U + 1013904223U;
    return (state >> 8U) % n;
  };
  if (const std::string wrong = check.judge_packets(64, draw); !wrong.empty()) {
    std::fprintf(stderr, "%s\n", wrong.c_str());
    std::abort();
  }
  return 0;
}
