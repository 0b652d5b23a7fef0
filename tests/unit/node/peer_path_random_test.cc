// SPDX-License-Identifier: BSD-3-Clause
// Whatever happens to a path, in whatever order: it never spins, never goes direct without a pong
// from there, and its steps always lead to the path that they come with.
#include <gtest/gtest.h>

#include <set>

#include "agent/node/peer_path.h"
#include "tests/support/seeded_random.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;

class RandomLife {
 public:
  explicit RandomLife(uint64_t seed) : dice_(seed), random_(seed + 1000), path_(random_) {
    for (uint32_t i = 1; i <= 5; ++i)
      places_.push_back({IpAddress::v4(0xcb007100 + i), static_cast<uint16_t>(1000 + i)});
    take(path_.on_peer(peer(1), now_));
  }

  void live(int events) {
    for (int i = 0; i < events && !testing::Test::HasFailure(); ++i) {
      now_ += dice_.between(0ns, 2s);
      catch_up();
      event();
    }
  }

 private:
  PathPeer peer(uint8_t disco) {
    PathPeer out;
    out.node_key.bytes[0] = 1;
    out.disco_key.bytes[0] = disco;
    out.home_region = static_cast<uint16_t>(dice_.below(3));
    for (const Endpoint& place : places_) {
      if (dice_.below(2) == 0) out.endpoints.push_back(place);
    }
    return out;
  }
  const Endpoint& place() { return places_[dice_.below(places_.size())]; }

  /// All wakes that are due.
  void catch_up() {
    for (int wakes = 0; path_.next_wake() && *path_.next_wake() <= now_; ++wakes) {
      ASSERT_LT(wakes, 50) << "it spins in state " << name_of(path_.state());
      take(path_.on_wake(observed_, now_));
    }
  }

  void event() {
    const UdpArrival from{place(), *IpAddress::parse("198.51.100.1"), 2};
    switch (dice_.below(12)) {
      case 0:
        return take(path_.on_parked(now_));
      case 1:
        return take(path_.on_derp_packet(static_cast<uint16_t>(1 + dice_.below(3)), now_));
      case 2:
        return take(path_.on_ping(dice_.bytes<12>(), from, now_));
      case 3:
        return take(path_.on_call_me_maybe(places_, now_));
      case 4:
        return take(path_.on_network_changed(now_));
      case 5:
        return take(path_.on_peer(peer(static_cast<uint8_t>(1 + dice_.below(8) / 7)), now_));
      case 6:
        observed_.last_tx = now_;
        return;
      case 7:
        observed_.last_rx = now_;
        return;
      case 8:
        observed_.wire_rx += dice_.below(5);
        return;
      case 9:
        return take(path_.ask(dice_.below(2) == 0, now_));
      default:
        return answer();
    }
  }

  /// One of the latest pings; now and then from the wrong place.
  void answer() {
    if (pings_.empty()) return;
    const SendPing ping = pings_[dice_.below(pings_.size())];
    const auto* to = std::get_if<Endpoint>(&ping.to);
    if (to == nullptr) return take(path_.on_pong(ping.tx, DerpRegionId{1}, now_));
    const UdpArrival from{dice_.below(4) == 0 ? place() : *to, places_[0].address, 2};
    if (from.from == *to) proven_.insert(*to);
    take(path_.on_pong(ping.tx, from, now_));
  }

  void take(const PathActions& actions) {
    EXPECT_LE(actions.size(), 20u);
    for (const PathAction& action : actions) {
      if (const auto* ping = std::get_if<SendPing>(&action)) {
        pings_.push_back(*ping);
        if (pings_.size() > 10) pings_.erase(pings_.begin());
      }
      if (const auto* set = std::get_if<SetKernelPath>(&action)) apply(*set);
    }
    EXPECT_EQ(path_.endpoint().has_value(), kernel_.direct.has_value());
  }

  void apply(const SetKernelPath& set) {
    std::set<Endpoint> reversed(kernel_.reversed.begin(), kernel_.reversed.end());
    for (const KernelStep& step : set.steps) {
      if (const auto* pin = std::get_if<SetPin>(&step)) pin_ = pin->path;
      if (std::holds_alternative<ClearPin>(step)) pin_.reset();
      if (const auto* one = std::get_if<SetReverse>(&step)) reversed.insert(one->from);
      if (const auto* one = std::get_if<ClearReverse>(&step)) reversed.erase(one->from);
      if (const auto* point = std::get_if<PointAt>(&step)) endpoint_ = point->endpoint;
    }
    kernel_ = set.path;
    EXPECT_EQ(std::vector<Endpoint>(reversed.begin(), reversed.end()), set.path.reversed);
    EXPECT_EQ(pin_, set.path.direct);
    EXPECT_EQ(endpoint_.has_value(), set.path.direct.has_value());
    if (set.path.direct) {
      EXPECT_EQ(endpoint_, set.path.direct->peer);
      EXPECT_TRUE(proven_.contains(*endpoint_)) << "no pong came from there";
    }
  }

  SeededRandom dice_;
  SeededRandom random_;
  PeerPath path_;
  Instant now_{1h};
  PathObserved observed_;
  std::vector<Endpoint> places_;
  std::vector<SendPing> pings_;
  std::set<Endpoint> proven_;
  KernelPath kernel_;
  std::optional<DirectPath> pin_;
  std::optional<Endpoint> endpoint_;
};

TEST(peer_path_random, never_breaks_its_promises) {
  for (uint64_t seed = 1; seed <= 150 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    RandomLife(seed).live(400);
  }
}

}  // namespace
}  // namespace sallyport
