// SPDX-License-Identifier: BSD-3-Clause
/// Whatever bytes come: the programs end, and what passes can be parsed.
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <array>
#include <cstdlib>
#include <random>

#include "tests/bpf/gateway.h"
#include "tests/bpf/judged.h"
#include "tests/bpf/packets.h"

namespace sallyport::test {
namespace {

uint64_t seed_of_run() {
  const char* given = std::getenv("SALLYPORT_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

// BPF_PROG_TEST_RUN takes the first 14 bytes for a link header and refuses a packet of nothing
// else.
constexpr size_t kLeastBytes = 15;

// Half of the packets are noise, half a good packet with a few bytes changed and its end moved.
Bytes random_packet(std::mt19937_64& random, const std::vector<Bytes>& good) {
  Bytes packet;
  if (random() % 2 == 0) {
    packet.resize(kLeastBytes + random() % 200);
    for (uint8_t& byte : packet) byte = static_cast<uint8_t>(random());
    packet[0] = static_cast<uint8_t>((random() % 2 == 0 ? 0x40 : 0x60) | (packet[0] & 15));
  } else {
    packet = good.at(random() % good.size());
    for (uint64_t i = random() % 5; i > 0; i--) {
      packet[random() % packet.size()] = static_cast<uint8_t>(random());
    }
    if (random() % 3 == 0) packet.resize(kLeastBytes + random() % packet.size());
  }
  // A test run takes these bytes for an ethertype, and refuses IP that it finds too short.
  const int ethertype = packet[12] << 8 | packet[13];
  if (ethertype == 0x0800 || ethertype == 0x86dd) packet[12] ^= 1;
  return packet;
}

// A naive reading: can a receiver make sense of it at all?
bool is_sensible(const Bytes& p) {
  if (p.size() < 20) return false;
  if (p[0] >> 4 == 4) {
    const size_t header = (p[0] & 15U) * 4;
    const size_t length = p[2] << 8 | p[3];
    const bool later = (p[6] & 0x1f) != 0 || p[7] != 0;
    if (header < 20 || length < header || length > p.size()) return false;
    const size_t least = p[9] == 6 ? 20 : p[9] == 17 || p[9] == 1 ? 8 : p[9] == 132 ? 12 : 0;
    return later || length - header >= least;
  }
  if (p[0] >> 4 != 6 || p.size() < 40) return false;
  return size_t{40} + (p[4] << 8 | p[5]) <= p.size();
}

struct Quick {
  int fault;
  bool passed;
};
Quick judge_quickly(int program, const Bytes& packet) {
  std::array<uint8_t, 4096> out{};
  bpf_test_run_opts run{};
  run.sz = sizeof(run);
  run.data_in = packet.data();
  run.data_size_in = static_cast<uint32_t>(packet.size());
  run.data_out = out.data();
  run.data_size_out = out.size();
  const int fault = bpf_prog_test_run_opts(program, &run);
  return {fault, run.retval == 0xffffffff};
}

TEST(random_packets, end_and_pass_only_if_they_make_sense) {
  Judged gateway;
  ASSERT_TRUE(gateway.ready()) << gateway.why_not();
  gateway.plane().peers()[3].flags = SP_PEER_OUTBOUND_OPEN;
  ASSERT_NE(gateway.load(rules_of_gateway().blob()), 0U);
  const uint64_t seed = seed_of_run();
  SCOPED_TRACE(fmt::format("SALLYPORT_SEED={}", seed));
  std::mt19937_64 random(seed);
  const Bytes syn6 = tcp("fd99::2", 5000, "fd07::9", 22, kSyn);
  const Bytes query = udp("10.99.0.2", 6000, "192.168.7.9", 53);
  const std::vector<Bytes> good{
      tcp("10.99.0.2", 5000, "192.168.7.9", 22, kSyn),
      syn6,
      query,
      udp("192.168.7.9", 4000, "10.99.0.4", 9),
      sctp("10.99.0.2", 1, "192.168.7.9", 3868),
      icmp("10.99.0.2", "192.168.7.9", 8, 0, 5),
      icmp("fd99::2", "fd07::9", 128, 0, 5),
      icmp_error("198.51.100.1", "10.99.0.2", 3, query),
      icmp_error("fd99::2", "fd07::9", 1, udp("fd07::9", 53, "fd99::2", 6000)),
      with_ext_headers(syn6, {0, 43, 60}),
      fragment(udp("10.99.0.2", 6000, "192.168.7.9", 53, 400), 0, 200, 7),
      fragment(udp("fd99::2", 6000, "fd07::9", 53, 400), 200, 200, 7),
  };
  uint64_t passed = 0;
  constexpr int kPackets = 60'000;
  for (int i = 0; i < kPackets; i++) {
    const Bytes packet = random_packet(random, good);
    const Hook hook = random() % 2 == 0 ? Hook::kTailnetIn : Hook::kTailnetOut;
    const Quick seen = judge_quickly(gateway.plane().program_fd(hook).value_or(-1), packet);
    ASSERT_EQ(seen.fault, 0);
    passed += seen.passed ? 1U : 0U;
    if (seen.passed) {
      ASSERT_TRUE(is_sensible(packet)) << testing::PrintToString(packet);
    }
  }
  EXPECT_GT(passed, 1000U);  // else nothing was tried
  const auto counts = gateway.plane().verdicts();
  ASSERT_TRUE(counts);
  uint64_t counted = 0;
  for (const auto& hook : *counts) {
    for (const sp_count& count : hook) counted += count.packets;
  }
  EXPECT_EQ(counted, uint64_t{kPackets});
}

}  // namespace
}  // namespace sallyport::test
