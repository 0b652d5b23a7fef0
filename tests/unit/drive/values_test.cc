// SPDX-License-Identifier: BSD-3-Clause
// The agent's small values: slots of peers, the drops that it remembers, what it saves of others'
// settings.
#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "agent/drive/agent/drop_log.h"
#include "agent/drive/agent/peer_slots.h"
#include "agent/drive/agent/saved_text.h"
#include "bpf/abi/verdict.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;

PublicKey key(uint8_t last) {
  PublicKey out;
  out.bytes[31] = last;
  return out;
}
bool none(uint32_t) { return false; }

using Slots = std::vector<uint32_t>;  // that were given to a new peer

TEST(peer_slots, a_peer_keeps_its_slot) {
  PeerSlots slots;
  EXPECT_EQ(slots.assign({key(1), key(2)}, 8, none), (Slots{1, 2}));
  EXPECT_EQ(slots.assign({key(3), key(2)}, 8, none), (Slots{1}));
  EXPECT_EQ(slots.find(key(2)), 2U);
  EXPECT_EQ(slots.find(key(3)), 1U);
  EXPECT_EQ(slots.find(key(1)), 0U) << "gave it up";
}

TEST(peer_slots, a_slot_with_flows_of_its_predecessor_is_handed_to_nobody) {
  PeerSlots slots;
  ASSERT_TRUE(slots.assign({key(1)}, 8, none));
  EXPECT_EQ(slots.assign({key(2)}, 8, [](uint32_t slot) { return slot == 1; }), (Slots{2}));
  EXPECT_EQ(slots.assign({key(2), key(3)}, 8, none), (Slots{1})) << "its flows are gone";
}

TEST(peer_slots, its_own_flows_do_not_drive_a_peer_out) {
  PeerSlots slots;
  ASSERT_TRUE(slots.assign({key(1)}, 8, none));
  EXPECT_EQ(slots.assign({key(1)}, 8, [](uint32_t) { return true; }), (Slots{}));
  EXPECT_EQ(slots.find(key(1)), 1U);
}

TEST(peer_slots, too_many_change_nothing) {
  PeerSlots slots;
  ASSERT_TRUE(slots.assign({key(1), key(2)}, 3, none));
  EXPECT_FALSE(slots.assign({key(2), key(3), key(4)}, 3, none));
  EXPECT_EQ(slots.find(key(1)), 1U);
  EXPECT_EQ(slots.find(key(3)), 0U);
}

TEST(peer_slots, a_smaller_table_moves_those_beyond_it) {
  PeerSlots slots;
  ASSERT_TRUE(slots.assign({key(1), key(2), key(3)}, 8, none));
  EXPECT_EQ(slots.assign({key(3)}, 3, none), (Slots{1}));
}

TEST(peer_slots, the_highest_is_of_those_that_live) {
  PeerSlots slots;
  EXPECT_EQ(slots.highest(), 0U);
  ASSERT_TRUE(slots.assign({key(3), key(2), key(1)}, 8, none));
  EXPECT_EQ(slots.highest(), 3U);
  ASSERT_TRUE(slots.assign({key(2)}, 8, none));
  EXPECT_EQ(slots.highest(), 2U);
  EXPECT_EQ(PeerSlots::parse(slots.text())->highest(), 2U);
}

TEST(peer_slots, are_read_back) {
  PeerSlots slots;
  ASSERT_TRUE(slots.assign({key(7), key(1), key(9)}, 8, none));
  const auto again = PeerSlots::parse(slots.text());
  ASSERT_TRUE(again);
  for (const PublicKey& one : {key(7), key(1), key(9)})
    EXPECT_EQ(again->find(one), slots.find(one));
  EXPECT_EQ(again->text(), slots.text());
  EXPECT_TRUE(PeerSlots::parse(""));
}

TEST(peer_slots, refuse_what_they_have_not_written) {
  const std::string good = key(1).text();
  ASSERT_TRUE(PeerSlots::parse(good + " 1\n"));
  for (const std::string& bad :
       {good + " 1", good + "\n", good + " 0\n", good + " -1\n", good + " 1x\n", good + " \n",
        good + " 99999999999\n", "x" + good + " 1\n", std::string("\n"), good + " 1\n\n"}) {
    EXPECT_FALSE(PeerSlots::parse(bad)) << bad;
  }
}

sp_drop_event event(uint16_t dst_port, uint16_t src_port = 1000) {
  sp_drop_event out{};
  const IpAddress src = *IpAddress::parse("10.8.0.2");
  const IpAddress dst = *IpAddress::parse("fd00::1");
  std::memcpy(out.src_addr, src.bytes.data(), 16);
  std::memcpy(out.dst_addr, dst.bytes.data(), 16);
  out.src_port_be = __builtin_bswap16(src_port);
  out.dst_port_be = __builtin_bswap16(dst_port);
  out.peer = 3;
  out.proto = 6;
  out.verdict = SP_DROP_NO_RULE;
  return out;
}
constexpr WallTime kStart{24h};

TEST(drop_log, counts_one_kind_together_under_its_latest_packet) {
  DropLog log;
  log.add(event(22, 1000), kStart);
  log.add(event(22, 2000), kStart + 1s);
  log.add(event(23, 3000), kStart + 2s);
  const std::vector<Drop> seen = log.newest();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].count, 2U);
  EXPECT_EQ(seen[0].at, kStart + 1s);
  EXPECT_EQ(seen[0].packet, (PacketKey{*IpAddress::parse("10.8.0.2"), *IpAddress::parse("fd00::1"),
                                       IpProto::kTcp, 2000, 22}));
  EXPECT_EQ(seen[1].count, 1U);
  EXPECT_EQ(seen[1].packet.dst_port, 23);
}

TEST(drop_log, tells_kinds_apart_by_all_but_time_and_source_port) {
  DropLog log;
  log.add(event(22), kStart);
  const auto add_with = [&](auto&& change) {
    sp_drop_event other = event(22);
    change(other);
    log.add(other, kStart);
  };
  add_with([](sp_drop_event& e) { e.verdict = SP_DROP_CEILING; });
  add_with([](sp_drop_event& e) { e.peer = 4; });
  add_with([](sp_drop_event& e) { e.proto = 17; });
  add_with([](sp_drop_event& e) { e.hook = SP_HOOK_TAILNET_OUT; });
  add_with([](sp_drop_event& e) { e.src_addr[15] ^= 1; });
  add_with([](sp_drop_event& e) { e.dst_addr[15] ^= 1; });
  add_with([](sp_drop_event& e) { e.ifindex = 5; });
  add_with([](sp_drop_event& e) { e.rule = 6; });
  EXPECT_EQ(log.newest().size(), 9U);
  add_with([](sp_drop_event& e) { e.src_port_be = 7; });
  add_with([](sp_drop_event& e) { e.length = 8; });
  EXPECT_EQ(log.newest().size(), 9U);
}

TEST(drop_log, the_oldest_kind_makes_room) {
  DropLog log;
  for (uint16_t port = 0; port < DropLog::kKinds; ++port) {
    log.add(event(port), kStart + std::chrono::seconds(port));
  }
  log.add(event(0), kStart + 1h);  // the first one is the newest again
  log.add(event(40'000), kStart + 2h);
  const std::vector<Drop> seen = log.newest();
  ASSERT_EQ(seen.size(), DropLog::kKinds);
  EXPECT_EQ(seen.front().packet.dst_port, 2) << "1 was the oldest";
  EXPECT_EQ(seen[seen.size() - 2].packet.dst_port, 0);
  EXPECT_EQ(seen[seen.size() - 2].count, 2U);
  EXPECT_EQ(seen.back().packet.dst_port, 40'000);
}

TEST(drop_log, sums_what_the_kernel_did_not_tell) {
  DropLog log;
  sp_drop_event some = event(1);
  some.suppressed = 41;
  log.add(some, kStart);
  some.suppressed = 1;
  log.add(some, kStart);
  EXPECT_EQ(log.suppressed(), 42U);
}

TEST(saved_text, is_read_back) {
  Saved saved;
  saved.sysctls["net.ipv4.ip_forward"] = "0";
  saved.sysctls["net.ipv4.ip_local_reserved_ports"] = "1-3,\"7\"\n";
  saved.offloads[{"eth0", "rx-gro-list"}] = true;
  saved.offloads[{"eth0", "rx-udp-gro-forwarding"}] = false;
  EXPECT_EQ(parse_saved(saved_text(saved)), saved);
  EXPECT_EQ(parse_saved(saved_text({})), Saved{});
}

TEST(asked_text, is_read_back_and_odd_lines_are_left_out) {
  const AskedEndpoints asked{{key(1), Endpoint::parse("192.0.2.1:51820")},
                             {key(2), Endpoint::parse("[2001:db8::1]:1")},
                             {key(3), std::nullopt}};
  EXPECT_EQ(parse_asked(asked_text(asked)), asked);
  EXPECT_EQ(parse_asked("\n \nx y\n" + key(4).text() + " nowhere\n" + asked_text(asked) + "half"),
            asked);
  EXPECT_TRUE(parse_asked("").empty());
}

TEST(saved_text, refuses_what_it_has_not_written) {
  ASSERT_TRUE(parse_saved(R"({"sysctls":{"a":"1"},"offloads":[["eth0","x",true]]})"));
  for (const char* bad :
       {"", "[]", "{}", R"({"sysctls":{}})", R"({"sysctls":{"a":1},"offloads":[]})",
        R"({"sysctls":{},"offloads":[["eth0","x"]]})",
        R"({"sysctls":{},"offloads":[["eth0","x","on"]]})", R"({"sysctls":{},"offloads":["x"]})",
        R"({"sysctls":{"a":"1"},"offloads":[["eth0","x",true]])"}) {
    EXPECT_FALSE(parse_saved(bad)) << bad;
  }
}

}  // namespace
}  // namespace sallyport
