// SPDX-License-Identifier: BSD-3-Clause
// Crossing initiations: between two of us exactly one handshake survives.
#include "agent/node/crossing.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart{1h};
constexpr auto kInit = WireguardType::kInitiation;

PublicKey key(uint8_t last) {
  PublicKey out;
  out.bytes[31] = last;
  return out;
}

TEST(crossing, tells_the_messages_apart) {
  Bytes packet(148);
  EXPECT_EQ(wireguard_type(packet), std::nullopt);
  packet[0] = 1;
  EXPECT_EQ(wireguard_type(packet), kInit);
  packet[0] = 4;
  EXPECT_EQ(wireguard_type(packet), WireguardType::kData);
  packet[0] = 5;
  EXPECT_EQ(wireguard_type(packet), std::nullopt);
  packet[0] = 2;
  packet[3] = 1;
  EXPECT_EQ(wireguard_type(packet), std::nullopt) << "not WireGuard's";
  EXPECT_EQ(wireguard_type(ByteView(packet).first(31)), std::nullopt);
}

TEST(crossing, a_stock_peers_initiation_yields_to_ours_for_a_while) {
  Crossing crossing(key(9), key(1), false);
  EXPECT_FALSE(crossing.on_received(kInit, kStart)) << "we have not begun";
  crossing.on_sent(kInit, 50ms, kStart);
  EXPECT_TRUE(crossing.on_received(kInit, kStart + 10ms));
  EXPECT_FALSE(crossing.on_received(WireguardType::kData, kStart + 10ms));
  EXPECT_TRUE(crossing.on_received(kInit, kStart + 299ms));
  EXPECT_FALSE(crossing.on_received(kInit, kStart + 300ms)) << "ours was lost";
}

TEST(crossing, a_long_round_trip_asks_for_a_longer_window) {
  Crossing crossing(key(9), key(1), false);
  crossing.on_sent(kInit, 600ms, kStart);
  EXPECT_TRUE(crossing.on_received(kInit, kStart + 599ms));
  EXPECT_FALSE(crossing.on_received(kInit, kStart + 600ms));
}

TEST(crossing, the_response_ends_it) {
  Crossing crossing(key(9), key(1), false);
  crossing.on_sent(kInit, 50ms, kStart);
  EXPECT_FALSE(crossing.on_received(WireguardType::kResponse, kStart + 100ms));
  EXPECT_FALSE(crossing.on_received(kInit, kStart + 101ms)) << "the peer's rekey";
}

TEST(crossing, only_our_initiation_opens_the_window) {
  Crossing crossing(key(9), key(1), false);
  crossing.on_sent(WireguardType::kResponse, 50ms, kStart);
  crossing.on_sent(WireguardType::kData, 50ms, kStart);
  crossing.on_sent(std::nullopt, 50ms, kStart);
  EXPECT_FALSE(crossing.on_received(kInit, kStart));
}

TEST(crossing, of_two_of_us_one_drops) {
  Crossing low(key(1), key(9), true);
  Crossing high(key(9), key(1), true);
  low.on_sent(kInit, 50ms, kStart);
  high.on_sent(kInit, 50ms, kStart);
  EXPECT_TRUE(low.on_received(kInit, kStart + 25ms));
  EXPECT_FALSE(high.on_received(kInit, kStart + 25ms));
}

}  // namespace
}  // namespace sallyport
