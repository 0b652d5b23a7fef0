// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/agent_channel.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "tests/support/hostile_node.h"

namespace sallyport::channel {
namespace {

Bytes from_hex(std::string_view text) {
  Bytes out;
  std::string digits;
  for (const char c : text) {
    if (c == ' ') continue;
    digits += c;
    if (digits.size() < 2) continue;
    out.push_back(static_cast<uint8_t>(std::stoul(digits, nullptr, 16)));
    digits.clear();
  }
  return out;
}

template <class Record>
Bytes one(const Record& record) {
  if constexpr (std::is_constructible_v<NodeRecord, Record>) {
    const std::array records{NodeRecord{record}};
    return write_node_messages(records).value().at(0);
  } else {
    const std::array records{AgentRecord{record}};
    return write_agent_messages(records).value().at(0);
  }
}

PublicKey key(uint8_t n) { return Victim::key(n); }
std::string key_hex(const char* byte) {
  std::string out;
  for (int i = 0; i < 32; ++i) out += byte;
  return out;
}

TEST(agent_channel, writes_these_bytes) {
  EXPECT_EQ(one(Begin{0x0102}), from_hex("01 0008 0000000000000102"));
  EXPECT_EQ(one(Commit{7}), from_hex("04 0008 0000000000000007"));
  EXPECT_EQ(one(Put{PeerEndpoint{key(0x11), {IpAddress::v4(0xc0000201), 51820}}}),
            from_hex("02 0028 01" + key_hex("11") + "04 c0000201 ca6c"));
  EXPECT_EQ(one(Put{OwnAddress{Prefix::parse("fd00::1").value()}}),
            from_hex("02 0013 03 06 80 fd000000000000000000000000000001"));
  EXPECT_EQ(one(Put{ClockTrust::kCredible}), from_hex("02 0002 05 01"));
  EXPECT_EQ(
      one(Put{TailnetPeer{key(9), "n", "us", {Prefix::parse("10.0.0.0/8").value()}, {}, 25, true}}),
      from_hex("02 0033 02" + key_hex("09") + "02 0019 0001 6e 0002 7573 0001 04 08 0a000000"));
  Rule rule;
  rule.id = "r";
  rule.from = {IpRange::parse("10.0.0.1-10.0.0.2").value()};
  rule.to = {IpRange::parse("10.0.0.0/8").value()};
  rule.protos = {IpProto::kTcp};
  rule.ports = {{22, 23}};
  rule.not_after = WallTime{Duration{1}};
  EXPECT_EQ(one(Put{NodeRule{3, rule}}),
            from_hex("02 0031 04 0003 0001 72 0001 04 0a000001 0a000002 0001 04 0a000000 0affffff "
                     "0001 06 0001 0016 0017 0000 00 01 0000000000000001"));
  EXPECT_EQ(one(Delete{ObjectId{ObjectKind::kRule, {}, {}, 3}}), from_hex("03 0003 04 0003"));
  EXPECT_EQ(one(Hello{1, WallTime{Duration{2}}}), from_hex("41 000a 0001 0000000000000002"));
  EXPECT_EQ(one(Name{key(1), "a.b", 443}),
            from_hex("42 0027" + key_hex("01") + "01bb 0003 612e62"));
  EXPECT_EQ(one(Ready{}), from_hex("44 0000"));
  EXPECT_EQ(one(ClockSync{true}), from_hex("45 0001 01"));
  EXPECT_EQ(one(RefusedObject{5, {ObjectId{}, Refusal::kSequence}}),
            from_hex("48 000a 0000000000000005 00 05"));
  EXPECT_EQ(one(Withdrawn{ObjectId{ObjectKind::kEndpoint, key(0x11), {}, 0}}),
            from_hex("49 0021 01" + key_hex("11")));
}

TEST(agent_channel, reads_back_what_it_wrote) {
  std::mt19937 random(1);
  HostileNode node([&](uint32_t n) { return static_cast<uint32_t>(random() % n); });
  std::vector<NodeRecord> records{Begin{1}};
  for (int i = 0; i < 3000; ++i) {
    NodeObject object = node.object();
    records.push_back(Delete{id_of(object)});
    records.push_back(Put{std::move(object)});
  }
  records.push_back(Commit{1});
  const auto messages = write_node_messages(records).value();
  EXPECT_GT(messages.size(), 3U);
  std::vector<NodeRecord> back;
  for (const Bytes& message : messages) {
    ASSERT_LE(message.size(), kMaxMessage);
    const auto parsed = parse_node_message(message).value();
    back.insert(back.end(), parsed.begin(), parsed.end());
  }
  EXPECT_TRUE(back == records);
}

TEST(agent_channel, reads_back_the_steps_of_a_path) {
  const Endpoint v4{IpAddress::v4(0xc0000201), 41641};
  const Endpoint v6{IpAddress::parse("2001:db8::1").value(), 1};
  const std::vector<NodeRecord> records{
      MovePeer{{key(1),
                {SetPin{{v6, IpAddress::parse("2001:db8::2").value(), 7}}, ClearPin{},
                 SetReverse{v4}, ClearReverse{v6}, PointAt{}, PointAt{v4, true}}}},
      MovePeer{{key(2), {}}}, Observe{key(3)}};
  const auto messages = write_node_messages(records).value();
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_TRUE(parse_node_message(messages[0]).value() == records);
  EXPECT_FALSE(write_node_messages(std::array{NodeRecord{
      MovePeer{{key(1), std::vector<KernelStep>(kMaxPathSteps + 1, KernelStep{ClearPin{}})}}}}));
}

TEST(agent_channel, reads_back_what_the_agent_wrote) {
  std::vector<AgentRecord> records{Hello{kVersion, WallTime{std::chrono::years{55}}}};
  for (uint8_t n = 1; n < 250; ++n) records.push_back(Name{key(n), "vpn-1.example.net", n});
  records.insert(records.end(),
                 {Ready{}, Forget{key(3)}, ClockSync{false}, NetworkChanged{}, Accepted{1U << 31}});
  for (uint8_t n = 0; n < kRefusalCount; ++n) {
    records.push_back(
        RefusedObject{n, {ObjectId{ObjectKind::kPeer, key(n), {}, 0}, static_cast<Refusal>(n)}});
    records.push_back(Withdrawn{ObjectId{ObjectKind::kRule, {}, {}, n}});
  }
  Join join{.url = "https://control.example.org",
            .auth_key = "tskey-auth-x",
            .hostname = "gate",
            .ca_file = "/etc/ca.pem",
            .max_netmap_age_s = 86400,
            .wg_port = 51820,
            .relay_port = 51821,
            .prefs = {}};
  join.prefs.advertise_routes = {Prefix::parse("10.0.0.0/16").value(),
                                 Prefix::parse("::/0").value()};
  join.prefs.snat = {{Prefix::parse("10.0.0.0/16").value(), false}};
  join.prefs.accept_routes = true;
  join.prefs.exit_node = "nABC";
  records.insert(records.end(),
                 {join, LocalAddresses{{Prefix::parse("192.0.2.1/24").value()}, false},
                  Observed{key(1), Instant{Duration{5}}, {}, 77}, Serve{}});
  std::vector<AgentRecord> back;
  const auto messages = write_agent_messages(records).value();
  for (const Bytes& message : messages) {
    const auto parsed = parse_agent_message(message).value();
    back.insert(back.end(), parsed.begin(), parsed.end());
  }
  EXPECT_TRUE(back == records);
}

TEST(agent_channel, the_largest_objects_fit_and_larger_ones_are_not_written) {
  TailnetPeer peer;
  peer.name = std::string(kMaxText, 'n');
  for (uint32_t n = 0; n < kMaxAllowedIps; ++n) {
    IpAddress a = IpAddress::parse("fd00::").value();
    a.bytes[14] = static_cast<uint8_t>(n >> 8);
    a.bytes[15] = static_cast<uint8_t>(n);
    peer.allowed_ips.push_back(Prefix::host(a));
  }
  Rule rule;
  for (size_t n = 0; n < kMaxRanges; ++n) {
    const Prefix host = peer.allowed_ips.at(2 * n);
    rule.from.push_back(host.range());
    rule.to.push_back(host.range());
  }
  TimeWindow window;
  window.zone = std::string(kMaxText, 'z');
  window.text = std::string(kMaxText, 't');
  rule.when.assign(kMaxWindows, window);
  for (size_t n = 0; n < kMaxPorts; ++n) {
    rule.ports.push_back({static_cast<uint16_t>(2 * n), static_cast<uint16_t>(2 * n)});
  }
  std::vector<NodeRecord> records{Put{peer}, Put{NodeRule{1, rule}}};
  const auto messages = write_node_messages(records);
  ASSERT_TRUE(messages);
  EXPECT_EQ(messages->size(), 2U);
  for (const Bytes& message : *messages) EXPECT_TRUE(parse_node_message(message));

  peer.allowed_ips.push_back(Prefix::parse("fe00::1").value());
  records = {Put{peer}};
  EXPECT_FALSE(write_node_messages(records));
  rule.ports.push_back({60000, 60000});
  records = {Put{NodeRule{1, rule}}};
  EXPECT_FALSE(write_node_messages(records));
}

struct Bad {
  const char* why;
  std::string hex;
  ChannelError error;
};

TEST(agent_channel, refuses) {
  const std::string k = key_hex("01");
  const std::vector<Bad> rows = {
      {"half a head", "01 00", ChannelError::kTruncated},
      {"a body that is not there", "01 0008 00", ChannelError::kTruncated},
      {"a body too short", "01 0004 00000001", ChannelError::kTruncated},
      {"a body too long", "01 0009 000000000000000001", ChannelError::kTrailing},
      {"no kind", "00 0000", ChannelError::kUnknownKind},
      {"the agent's kind", "44 0000", ChannelError::kUnknownKind},
      {"no object", "02 0001 09", ChannelError::kUnknownKind},
      {"an empty object", "02 0000", ChannelError::kTruncated},
      {"no family", "02 0028 01" + k + "05 c0000201 ca6c", ChannelError::kUnknownKind},
      {"IPv4 spelt as IPv6", "02 0013 03 06 80 00000000000000000000ffff0a000001",
       ChannelError::kBadValue},
      {"a prefix too long", "02 0007 03 04 21 0a000001", ChannelError::kBadValue},
      {"a clock of three states", "02 0002 05 02", ChannelError::kBadValue},
      {"prefixes out of order",
       "02 0036 02" + k + "00 0000 0000 0000 0002 04 08 0b000000 04 08 0a000000",
       ChannelError::kBadValue},
      {"a prefix twice", "02 0036 02" + k + "00 0000 0000 0000 0002 04 08 0a000000 04 08 0a000000",
       ChannelError::kBadValue},
      {"unknown flags", "02 002a 02" + k + "80 0000 0000 0000 0000", ChannelError::kBadValue},
      {"an escape sequence in a name", "02 002c 02" + k + "00 0000 0002 1b5b 0000 0000",
       ChannelError::kBadValue},
      {"more prefixes than may be", "02 002a 02" + k + "00 0000 0000 0000 ffff",
       ChannelError::kTooMany},
      {"a range backwards",
       "02 0018 04 0001 0000 0001 04 0a000002 0a000001 0000 0000 0000 0000 00 00",
       ChannelError::kBadValue},
      {"a rule cut off", "02 0005 04 0001 0000", ChannelError::kTruncated},
  };
  for (const Bad& row : rows) {
    const auto parsed = parse_node_message(from_hex(row.hex));
    ASSERT_FALSE(parsed) << row.why;
    EXPECT_EQ(parsed.error(), row.error) << row.why;
  }
  EXPECT_EQ(parse_node_message(Bytes(kMaxMessage + 1)).error(), ChannelError::kTooLong);
  EXPECT_EQ(parse_agent_message(from_hex("01 0008 0000000000000001")).error(),
            ChannelError::kUnknownKind);
  EXPECT_EQ(parse_agent_message(from_hex("48 000a 0000000000000005 ff 05")).error(),
            ChannelError::kBadValue);
  EXPECT_EQ(parse_agent_message(from_hex("42 0027" + k + "01bb 0003 2f2e2e")).error(),
            ChannelError::kBadValue);  // "/.." is no host
}

TEST(agent_channel, every_prefix_of_a_message_is_refused_or_whole_records) {
  std::mt19937 random(2);
  HostileNode node([&](uint32_t n) { return static_cast<uint32_t>(random() % n); });
  std::vector<NodeRecord> records;
  for (int i = 0; i < 30; ++i) records.push_back(Put{node.object()});
  const Bytes message = write_node_messages(records).value().at(0);
  size_t whole = 0;
  for (size_t length = 0; length < message.size(); ++length) {
    const auto parsed = parse_node_message(ByteView(message).first(length));
    if (!parsed) continue;
    ++whole;
    EXPECT_TRUE(std::equal(parsed->begin(), parsed->end(), records.begin()));
  }
  EXPECT_EQ(whole, records.size());
}

}  // namespace
}  // namespace sallyport::channel
