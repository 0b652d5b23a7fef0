// SPDX-License-Identifier: BSD-3-Clause
// Two ends of a tunnel who know each other, and what is done with many seeds.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <memory>

#include "tests/sim/whole_end.h"

namespace sallyport::sim {

using namespace std::chrono_literals;

constexpr uint16_t kRegion = 900;
/// Fewer where a run is long.
constexpr uint64_t kSeeds = 200;
constexpr uint64_t kWholeSeeds = 20;

struct Scene {
  NatKind left_nat = NatKind::kNone;
  NatKind right_nat = NatKind::kNone;
  bool stock = false;  // the right end
  unsigned loss_percent = 0;
  bool whole = false;  // ours are all of a node's paths, not one path alone
};

/// Ours on the left; both know each other, and nothing has been sent.
class Pair {
 public:
  Pair(const Scene& scene, uint64_t seed) : net(seed) {
    const auto delay = [&] {
      return Duration(5ms) + std::chrono::microseconds(net.random() % 20000);
    };
    Host& a = net.add_host(key(1), ip("10.0.0.1"), ip("198.51.100.1"), 20001, scene.left_nat,
                           {delay(), scene.loss_percent});
    Host& b = net.add_host(key(2), ip("10.0.1.2"), ip("203.0.113.2"), 41641, scene.right_nat,
                           {delay(), scene.loss_percent});
    left = ours(scene, a, 1);
    if (scene.stock) {
      right = std::make_unique<StockEnd>(net, b, 2, kRegion);
    } else {
      right = ours(scene, b, 2);
    }
    control(*left, *right);
    control(*right, *left);
    left->start();
    right->start();
    net.clock.run(1s);
  }
  static NodeKey key(uint8_t name) { return node_public(name); }
  static IpAddress ip(const char* text) { return *IpAddress::parse(text); }

  void talk(Duration every, Duration length) {
    left->talk(every, length);
    // Not in step with the other.
    net.clock.after(every / 3, [this, every, length] { right->talk(every, length); });
  }
  [[nodiscard]] bool both_direct() const { return left->direct() && right->direct(); }
  /// Does what each sent in the last `length` reach the other? The share that did, in per cent.
  static uint64_t share(const End& from, const End& to, uint64_t sent_before, Instant since) {
    const uint64_t sent = from.sent - sent_before;
    const auto came = static_cast<uint64_t>(
        std::ranges::count_if(to.received, [&](Instant when) { return when >= since; }));
    return sent == 0 ? 0 : came * 100 / sent;
  }

  Net net;
  std::unique_ptr<End> left;
  std::unique_ptr<End> right;

 private:
  std::unique_ptr<End> ours(const Scene& scene, Host& host, uint8_t name) {
    if (!scene.whole) return std::make_unique<OurEnd>(net, host, name, kRegion);
    return std::make_unique<WholeEnd>(net, host, name, kRegion, static_cast<uint8_t>(3 - name));
  }
  void control(End& of, End& to) {
    to.know(of.as_peer());
    of.on_endpoints = [this, &of, &to] {
      net.clock.after(20ms, [&of, &to] { to.know(of.as_peer()); });
    };
  }
};

inline void each_seed(const std::function<void(uint64_t)>& run, uint64_t seeds = kSeeds) {
  if (const char* one = std::getenv("SALLYPORT_SIM_SEED"))  // NOLINT(concurrency-mt-unsafe)
    return run(std::strtoull(one, nullptr, 10));
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    run(seed);
    if (testing::Test::HasFailure()) {
      ADD_FAILURE() << "SALLYPORT_SIM_SEED=" << seed;
      return;
    }
  }
}

}  // namespace sallyport::sim
