// SPDX-License-Identifier: BSD-3-Clause
/// Where a scene plays: with the kernel's own WireGuard in the lab guest, or natively with a
/// stand-in for it. Each test program has one.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

/// A test of this rung: SCENE(lan, tcp) is the test lab_lan.tcp in the one program and
/// netns_lan.tcp in the other.
#define SCENE_SUITE_2(rung, suite) rung##_##suite
#define SCENE_SUITE_1(rung, suite) SCENE_SUITE_2(rung, suite)
#define SCENE_TEST(suite, name)                        \
  GTEST_TEST_(suite, name, ::sallyport::scene::Played, \
              ::testing::internal::GetTypeId<::sallyport::scene::Played>())
#define SCENE(suite, name) SCENE_TEST(SCENE_SUITE_1(SALLYPORT_RUNG, suite), name)

namespace sallyport::scene {

/// Lives as long as what it stands for.
class Kept {
 public:
  Kept() = default;
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  virtual ~Kept() = default;
};

/// The client's end of a tunnel, as a WireGuard app would be told it.
struct TunnelEnd {
  std::string netns;
  std::string device;
  std::string secret_file;  // its private key
  std::string peer_key;
  std::string peer_endpoint;
};

class Rung {
 public:
  virtual ~Rung() = default;
  /// Why no scene can be played here; empty: they can.
  [[nodiscard]] virtual std::string missing() const { return {}; }
  /// The gateway's program, beside the test's.
  [[nodiscard]] virtual std::string agent() const = 0;
  /// Gives a namespace its WireGuard before anything in it asks, until the object goes. Nothing:
  /// it has one.
  virtual std::unique_ptr<Kept> wireguard_in(const std::string& netns) = 0;
  /// Makes the device, down, with everything allowed to and from its peer. It goes with its
  /// namespace or the object, whichever is first.
  virtual std::unique_ptr<Kept> make_tunnel(const TunnelEnd& end) = 0;
  /// From now on the encrypted packets of a device carry a mark.
  virtual void mark_own_packets(const std::string& netns, const std::string& device, int mark) = 0;
};

/// The rung of this program: the kernel's WireGuard, unless the program defines this itself.
Rung& rung();

/// A test that needs the rung: where that is missing, a skip that says why, and with CI=true a
/// failure.
class Played : public testing::Test {
 protected:
  void SetUp() override {
    const std::string why = rung().missing();
    if (why.empty()) return;
    const char* const ci = std::getenv("CI");
    if (ci != nullptr && std::string(ci) == "true") FAIL() << why;
    GTEST_SKIP() << why;
  }
};

}  // namespace sallyport::scene
