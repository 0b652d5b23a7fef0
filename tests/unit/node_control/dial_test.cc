// SPDX-License-Identifier: BSD-3-Clause
// From nothing to a channel: which doors are knocked at, when, and who is believed.
#include <gtest/gtest.h>

#include "tests/unit/node_control/world.h"

namespace sallyport::control {
namespace {

/// Past the key, which is fetched over the URL's own port.
void fetch_key(World& world) {
  world.start();
  ASSERT_FALSE(world.connects.empty());
  world.connects.erase(world.connects.begin());
}
std::vector<Leg> legs(const World& world) {
  std::vector<Leg> out;
  for (const Connect& connect : world.connects) out.push_back(connect.leg);
  return out;
}
constexpr Leg kPlain80{Wrap::kPlain, 80};
constexpr Leg kTls443{Wrap::kTlsUnverified, 443};

TEST(control_dial, the_key_is_asked_for_over_the_urls_own_port) {
  World world("https://c.example:8443/prefix");
  world.answers = {8443};
  world.start();
  ASSERT_FALSE(world.connects.empty());
  EXPECT_EQ(world.connects[0].host, "c.example");
  EXPECT_EQ(world.connects[0].leg, (Leg{Wrap::kTls, 8443}));
  ASSERT_EQ(world.connects.size(), 2U) << "and then the channel";
  EXPECT_EQ(world.connects[1].leg, kPlain80);
}

TEST(control_dial, plain_http_first_and_alone_if_it_answers) {
  World world("https://c.example");
  fetch_key(world);
  EXPECT_EQ(legs(world), std::vector{kPlain80});
  EXPECT_EQ(world.server().asked.size(), 1U);
  EXPECT_EQ(world.server().plain.at(0).method, "POST");
}

TEST(control_dial, tls_after_half_a_second_of_silence) {
  World world("https://c.example");
  world.answers = {443};
  fetch_key(world);
  EXPECT_EQ(legs(world), std::vector{kPlain80});
  world.pass(499ms);
  EXPECT_EQ(world.connects.size(), 1U);
  world.pass(1ms);
  EXPECT_EQ(legs(world), (std::vector{kPlain80, kTls443}));
  EXPECT_TRUE(world.take("/machine/register"));
  // The first one is not waited for any more.
  EXPECT_EQ(std::ranges::count(world.closes, world.connects[0].id), 1);
}

TEST(control_dial, something_else_on_port_80_does_no_harm) {
  for (const char* answer :
       {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 301 Moved\r\nLocation: https://c.example/\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"}) {
    SCOPED_TRACE(answer);
    World world("https://c.example");
    world.answer_on[80] = answer;
    fetch_key(world);
    EXPECT_EQ(legs(world), (std::vector{kPlain80, kTls443}));
    EXPECT_TRUE(world.take("/machine/register"));
  }
}

TEST(control_dial, a_refused_connection_starts_the_next_way_at_once) {
  World world("https://c.example");
  world.answers = {443};
  fetch_key(world);
  const ConnectionId first = world.connects.at(0).id;
  world.run(world.session->on_closed(first, "refused", world.moment()));
  EXPECT_EQ(legs(world), (std::vector{kPlain80, kTls443}));
}

TEST(control_dial, nobody_answers_and_it_waits_longer_and_longer) {
  World world("http://127.0.0.1:9911");
  world.answers = {1};
  world.start();
  std::vector<Duration> waits;
  for (int i = 0; i < 80; ++i) {
    ASSERT_FALSE(world.connects.empty());
    const size_t before = world.connects.size();
    world.run(world.session->on_closed(world.connects.back().id, "refused", world.moment()));
    EXPECT_FALSE(world.session->status().error.empty());
    const auto next = world.session->next_wake();
    ASSERT_TRUE(next);
    waits.push_back(*next - world.now);
    world.wake();
    ASSERT_EQ(world.connects.size(), before + 1);
  }
  for (size_t i = 0; i < waits.size(); ++i) {
    const Duration middle =
        std::min(Duration(10ms) * static_cast<int64_t>((i + 1) * (i + 1)), Duration(30s));
    EXPECT_GE(waits[i], middle / 2) << i;
    EXPECT_LE(waits[i], middle * 3 / 2) << i;
  }
}

TEST(control_dial, a_change_of_network_ends_the_wait) {
  World world("http://127.0.0.1:9911");
  world.answers = {1};
  world.start();
  world.run(world.session->on_closed(world.connects.back().id, "refused", world.moment()));
  world.run(world.session->on_network_changed(world.moment()));
  EXPECT_EQ(world.connects.size(), 2U);
}

TEST(control_dial, silence_is_given_up) {
  World world("https://c.example");
  world.answers = {1};
  world.start();
  world.pass(kExchangeTimeout);
  EXPECT_EQ(world.closes, std::vector{world.connects.at(0).id});
  world.answers = {443};  // the key comes, then port 443 is silent as well
  world.until([&] {
    if (world.connects.back().leg == Leg{Wrap::kTls, 443}) world.answers = {443};
    if (world.connects.back().leg == kPlain80) world.answers = {1};
    return world.connects.back().leg == kTls443;
  });
  const ConnectionId last = world.connects.back().id;
  world.until([&] { return std::ranges::count(world.closes, last) == 1; }, 11s);
  EXPECT_TRUE(world.ends.empty());
}

TEST(control_dial, a_server_with_another_key_is_not_believed_and_its_key_is_asked_for_anew) {
  World world("http://127.0.0.1:9911");
  world.start();
  ASSERT_TRUE(world.take("/machine/register"));
  world.server_key = clamped(world.random.bytes<32>());  // it was set up anew
  world.hang_up();
  world.until([&] { return world.connects.size() >= 3; });
  EXPECT_EQ(world.ends.size(), 0U) << "not believed";
  world.until([&] { return world.has("/machine/register"); });
  EXPECT_TRUE(world.take("/machine/register"));
}

TEST(control_dial, a_refusal_is_told) {
  World world("http://127.0.0.1:9911");
  world.refusal = "too old";
  world.start();
  EXPECT_NE(world.session->status().error.find("too old"), std::string::npos);
}

TEST(control_dial, with_and_without_an_early_payload_in_pieces_of_any_size) {
  for (const bool early : {false, true}) {
    for (const size_t piece : {size_t{1}, size_t{7}, SIZE_MAX}) {
      SCOPED_TRACE(piece + (early ? 1000 : 0));
      World world;
      world.early = early;
      world.piece = piece;
      world.start();
      world.serve({2});
      EXPECT_EQ(world.session->netmap().peers.size(), 1U);
    }
  }
}

TEST(control_dial, the_machine_key_is_kept_for_its_server) {
  World world;
  world.start();
  const MachineKey machine = world.server().client;
  EXPECT_FALSE(machine.is_zero());
  World again("http://127.0.0.1:9911", {}, world.stored);
  again.start();
  EXPECT_EQ(again.server().client, machine);
  World other("http://127.0.0.2:9911", {}, world.stored, 8);
  other.start();
  EXPECT_NE(other.server().client, machine);
}

TEST(control_dial, whatever_a_server_says_it_lives) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    World world;
    SeededRandom noise(seed);
    world.start();
    const uint64_t stage = noise.below(3);
    if (stage > 0) {
      http::StreamId stream{};
      world.take_register(stream);
      if (stage > 1) world.answer(stream, World::welcome());
    }
    Bytes junk(noise.below(3000));
    noise.fill(junk);
    for (int i = 0; i < 5 && !world.ends.empty(); ++i) {
      world.say(world.ends.rbegin()->first, junk);
      world.turn();
    }
    EXPECT_TRUE(world.session->next_wake());
  }
}

}  // namespace
}  // namespace sallyport::control
