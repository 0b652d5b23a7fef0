// SPDX-License-Identifier: BSD-3-Clause
// Where a peer may be, and which of two paths is better.
#include "agent/node/path_candidates.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart{1h};
Endpoint at(const char* text) { return *Endpoint::parse(text); }
const Endpoint kPublic = at("203.0.113.1:1000");
const Endpoint kPrivate = at("10.0.0.1:1000");
const Endpoint kSix = at("[2001:db8::1]:1000");
using Endpoints = std::vector<Endpoint>;

struct Better {
  const char* what;
  Measured a;
  Measured b;
  bool a_wins;
  bool b_wins;
};

TEST(path_candidates, better_path) {
  const Endpoint other = at("203.0.113.2:1000");
  const Better rows[] = {
      {"equal", {kPublic, 10ms}, {other, 10ms}, false, false},
      {"half the latency", {kPublic, 10ms}, {other, 20ms}, true, false},
      {"one per cent is not worth a change", {kPublic, 99ms}, {other, 100ms}, false, false},
      {"two are", {kPublic, 98ms}, {other, 100ms}, true, false},
      {"IPv6 is worth 10", {kSix, 100ms}, {other, 95ms}, true, false},
      {"but not 20", {kSix, 100ms}, {other, 80ms}, false, true},
      {"private is worth 20", {kPrivate, 100ms}, {other, 85ms}, true, false},
      {"link-local 30", {at("169.254.0.1:1"), 100ms}, {kPrivate, 95ms}, true, false},
      {"loopback 50", {at("127.0.0.1:1"), 100ms}, {at("169.254.0.1:1"), 90ms}, true, false},
      {"IPv6 loopback 60", {at("[::1]:1"), 100ms}, {at("127.0.0.1:1"), 100ms}, true, false},
      {"unique local is private", {at("[fd00::1]:1"), 100ms}, {kSix, 100ms}, true, false},
      {"any direct one beats any by a relay", {kPublic, 900ms}, {other, 1ms, true}, true, false},
      {"the same address", {kPublic, 1ms}, {kPublic, 100ms}, false, false},
  };
  for (const Better& row : rows) {
    EXPECT_EQ(better_path(row.a, row.b), row.a_wins) << row.what;
    EXPECT_EQ(better_path(row.b, row.a), row.b_wins) << row.what << ", turned round";
  }
}

TEST(path_candidates, impossible_addresses) {
  for (const char* bad : {"0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[ff02::1]:1"})
    EXPECT_FALSE(is_possible(at(bad))) << bad;
  EXPECT_FALSE(is_possible({kPublic.address, 0}));
  EXPECT_TRUE(is_possible(kPublic) && is_possible(kSix));
}

TEST(path_candidates, each_is_pinged_once_in_a_gap) {
  PathCandidates candidates;
  candidates.set_control(Endpoints{kPublic, kSix});
  EXPECT_EQ(candidates.take_due(kPingGap, kStart), (Endpoints{kPublic, kSix}));
  EXPECT_EQ(candidates.take_due(kPingGap, kStart + kPingGap - 1ns), Endpoints{});
  EXPECT_EQ(candidates.take_due(100ms, kStart + 100ms), (Endpoints{kPublic, kSix}));
  candidates.note_ping(kSix, kStart + 3s);
  EXPECT_EQ(candidates.take_due(kPingGap, kStart + 5s + 100ms), Endpoints{kPublic});
}

TEST(path_candidates, call_me_maybe_replaces_what_was_called_and_may_be_tried_at_once) {
  PathCandidates candidates;
  candidates.set_control(Endpoints{kPublic});
  candidates.set_called(Endpoints{kPrivate, at("[fe80::1]:1")});
  EXPECT_EQ(candidates.take_due(kPingGap, kStart), (Endpoints{kPublic, kPrivate}));
  candidates.set_called(Endpoints{kSix});
  EXPECT_EQ(candidates.take_due(kPingGap, kStart), (Endpoints{kPublic, kSix}));
}

TEST(path_candidates, what_was_learnt_is_forgotten_unless_somebody_else_names_it) {
  PathCandidates candidates;
  EXPECT_TRUE(candidates.learn(kPublic, kStart));
  EXPECT_FALSE(candidates.learn(kPublic, kStart + 1s));
  EXPECT_TRUE(candidates.learn(kSix, kStart));
  candidates.set_control(Endpoints{kSix});
  EXPECT_EQ(candidates.take_due({}, kStart + 45s), (Endpoints{kPublic, kSix}));
  EXPECT_EQ(candidates.take_due({}, kStart + 46s), Endpoints{kSix});
  candidates.set_control({});
  candidates.forget_learnt();
  EXPECT_TRUE(candidates.empty());
}

TEST(path_candidates, barred_until_the_network_changes_or_time_passes) {
  PathCandidates candidates;
  candidates.set_control(Endpoints{kPublic});
  candidates.bar(kPublic, kStart);
  EXPECT_TRUE(candidates.is_barred(kPublic, kStart));
  EXPECT_EQ(candidates.take_due({}, kStart), Endpoints{});
  EXPECT_FALSE(candidates.is_barred(kPublic, kStart + kBarred));
  candidates.forget_pings();
  EXPECT_EQ(candidates.take_due({}, kStart), Endpoints{kPublic});
}

TEST(path_candidates, are_bounded_and_the_latest_call_has_room) {
  PathCandidates candidates;
  Endpoints many;
  for (uint16_t port = 1; port <= 500; ++port) many.push_back({kPublic.address, port});
  candidates.set_called(many);
  EXPECT_EQ(candidates.endpoints().size(), kMaxCandidates);
  EXPECT_FALSE(candidates.learn(kSix, kStart));
  candidates.set_called(Endpoints{kSix});
  EXPECT_EQ(candidates.endpoints(), Endpoints{kSix});
}

}  // namespace
}  // namespace sallyport
