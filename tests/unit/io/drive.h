// SPDX-License-Identifier: BSD-3-Clause
/// Runs a loop until something has come to pass; a deadline instead of a sleep.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "agent/base/bytes.h"
#include "agent/io/clock.h"
#include "agent/io/loop.h"
#include "agent/io/timer.h"

namespace sallyport::io {

using namespace std::chrono_literals;

inline std::unique_ptr<Loop> make_loop(const LoopOptions& options = {}) {
  auto loop = Loop::create(options);
  EXPECT_TRUE(loop) << (loop ? "" : loop.error().text());
  return loop ? std::move(loop).value() : nullptr;
}

/// False: 10 s have passed without it.
template <class Predicate>
bool run_until(Loop& loop, Predicate&& done) {
  bool late = false;
  Timer deadline{loop, [&] { late = true; }};
  deadline.arm(boot_now() + 10s);
  while (!done() && !late) {
    if (!loop.run_once()) return false;
  }
  return done();
}

/// Turns until nothing is under way that did not begin after this call: a posted function after a
/// posted function, and what the kernel had ready for both.
inline void settle(Loop& loop) {
  for (int turn = 0; turn < 4; ++turn) {
    bool ran = false;
    loop.post([&] { ran = true; });
    EXPECT_TRUE(run_until(loop, [&] { return ran; }));
  }
}

/// The kernel has let go of everything but the deadline's timeout.
inline bool drained(Loop& loop) {
  settle(loop);
  return run_until(loop, [&] { return loop.in_flight() <= 1; });
}

inline ByteView view(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace sallyport::io
