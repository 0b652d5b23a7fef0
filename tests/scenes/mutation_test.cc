// SPDX-License-Identifier: BSD-3-Clause
// The test of the tests: with the programs detached, every scene about what is denied, revoked or
// forged must fail. Each is played by a child of this program and ends at its first failure.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/scene/net.h"
#include "tests/support/scene/rung.h"

#define SCENE_STRING_2(text) #text
#define SCENE_STRING_1(text) SCENE_STRING_2(text)

namespace sallyport::scene {
namespace {

struct Case {
  const char* scene;
  bool always;  // else with --full only: each takes as long as it takes to come to its point
};
constexpr Case kCases[] = {
    {"lan.denied", true},        {"revoke.stream", true},    {"spoof.lan", true},
    {"revoke.resurrect", false}, {"revoke.deadline", false}, {"spoof.wan", false},
};

SCENE(mutation, detached) {
  const bool full = std::getenv("SALLYPORT_TEST_FULL") != nullptr;
  for (const Case& each : kCases) {
    if (!each.always && !full) continue;
    SCOPED_TRACE(each.scene);
    const std::string test = std::string(SCENE_STRING_1(SALLYPORT_RUNG)) + "_" + each.scene;
    const Output played = run(
        {"/usr/bin/env", "SALLYPORT_TEST_DETACH=1", std::filesystem::read_symlink("/proc/self/exe"),
         "--gtest_filter=" + test, "--gtest_throw_on_failure"},
        {}, 180s);
    EXPECT_NE(played.exit, 0) << test << " does not notice that nothing is judged\n" << played.out;
    EXPECT_NE(played.out.find("[ RUN      ] " + test), std::string::npos) << played.out;
    EXPECT_EQ(played.out.find("[       OK ]"), std::string::npos);
    // It was detached, and it was a scene's own expectation that failed.
    const size_t detached = played.out.find("mutant: detached ");
    ASSERT_NE(detached, std::string::npos) << played.out << played.err;
    EXPECT_NE(played.out[detached + 17], '0') << played.out;
    const size_t failure = played.out.find("_test.cc:", detached);
    EXPECT_NE(failure, std::string::npos) << played.out << played.err;
    EXPECT_NE(played.out.find(": Failure", failure), std::string::npos) << played.out;
  }
}

}  // namespace
}  // namespace sallyport::scene
