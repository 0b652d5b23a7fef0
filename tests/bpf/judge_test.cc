// SPDX-License-Identifier: BSD-3-Clause
/// Verdicts of tailnet_in and tailnet_out, a row a story. A packet that passes leaves as it came.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/bpf/gateway.h"
#include "tests/bpf/judged.h"
#include "tests/bpf/packets.h"

namespace sallyport::test {
namespace {

using namespace std::chrono_literals;

struct Step {
  Way way;
  Bytes packet;
  sp_verdict expected;
  Duration before = 0ns;  // time that passes first
};
struct Story {
  std::string_view name;
  std::vector<Step> steps;
};

constexpr Way kIn = Way::kIn;
constexpr Way kOut = Way::kOut;

// Addresses of one family.
struct Hosts {
  std::string_view laptop1, laptop2, member, self, lan, lan2, internet, router;
};
constexpr Hosts kV4{"10.99.0.2",   "10.99.0.3",   "10.99.0.4",    "10.99.0.1",
                    "192.168.7.9", "192.168.7.8", "203.0.113.77", "198.51.100.1"};
constexpr Hosts kV6{"fd99::2", "fd99::3", "fd99::4",        "fd99::1",
                    "fd07::9", "fd07::8", "2001:db8:5::77", "2001:db8:7::1"};

Bytes cut(Bytes packet, size_t length) {
  packet.resize(length);
  return packet;
}
Bytes with(Bytes packet, size_t at, uint8_t value) {
  packet.at(at) = value;
  return packet;
}

std::vector<Story> stories(const Hosts& h) {
  const bool v6 = h.self == kV6.self;
  const uint8_t echo = v6 ? 128 : 8;
  const uint8_t echo_reply = v6 ? 129 : 0;
  const uint8_t unreachable = v6 ? 1 : 3;
  const Bytes syn = tcp(h.laptop1, 5000, h.lan, 22, kSyn);
  const Bytes syn_ack = tcp(h.lan, 22, h.laptop1, 5000, kSyn | kAck);
  const Bytes ack = tcp(h.laptop1, 5000, h.lan, 22, kAck, 10);
  const Bytes data = tcp(h.lan, 22, h.laptop1, 5000, kAck | kPsh, 100);
  const Bytes query = udp(h.laptop1, 6000, h.lan, 53);
  const Bytes answer = udp(h.lan, 53, h.laptop1, 6000);
  const Bytes big = udp(h.laptop1, 6000, h.lan, 53, 3000);
  const Bytes big_closed = udp(h.laptop1, 6000, h.lan, 54, 3000);
  const size_t header = v6 ? 40 : 20;
  return {
      {"a TCP connection by a rule, both ways",
       {{kIn, syn, SP_ALLOW_RULE},
        {kOut, syn_ack, SP_ALLOW_FLOW},
        {kIn, ack, SP_ALLOW_FLOW},
        {kOut, data, SP_ALLOW_FLOW}}},
      {"another port, another host, another peer",
       {{kIn, tcp(h.laptop1, 5000, h.lan, 23, kSyn), SP_DROP_NO_RULE},
        {kIn, tcp(h.laptop1, 5000, h.lan, 79, kSyn), SP_DROP_NO_RULE},
        {kIn, tcp(h.laptop1, 5000, h.lan, 80, kSyn), SP_ALLOW_RULE},
        {kIn, tcp(h.laptop1, 5000, h.lan, 89, kSyn), SP_ALLOW_RULE},
        {kIn, tcp(h.laptop1, 5000, h.lan, 90, kSyn), SP_DROP_NO_RULE},
        {kIn, tcp(h.laptop1, 5000, h.self, 22, kSyn), SP_DROP_NO_RULE},
        {kIn, tcp(h.laptop2, 5000, h.lan, 22, kSyn), SP_DROP_NO_RULE},
        {kIn, tcp(h.laptop1, 5000, h.internet, 22, kSyn), SP_DROP_EXIT_LOCAL},
        {kIn, tcp(h.laptop1, 5000, h.lan, 8080, kSyn), SP_DROP_CEILING}}},
      {"TCP that is no SYN has to have a flow, or a rule in its own direction",
       {{kOut, syn_ack, SP_DROP_TCP_NO_FLOW},
        {kOut, data, SP_DROP_TCP_NO_FLOW},
        {kIn, tcp(h.laptop1, 5000, h.lan, 23, kAck), SP_DROP_TCP_NO_FLOW},
        {kIn, ack, SP_ALLOW_RULE},
        {kOut, data, SP_ALLOW_FLOW}}},
      {"what goes out and is no SYN grants no way back, though a rule lets it go",
       {{kOut, tcp(h.lan, 4000, h.laptop2, 80, kAck), SP_ALLOW_RULE},
        {kIn, tcp(h.laptop2, 80, h.lan, 4000, kAck), SP_DROP_TCP_NO_FLOW},
        {kOut, tcp(h.lan, 4000, h.laptop2, 80, kSyn), SP_ALLOW_RULE},
        {kIn, tcp(h.laptop2, 80, h.lan, 4000, kSyn | kAck), SP_ALLOW_FLOW}}},
      {"UDP by a rule, and nothing else between the two",
       {{kOut, answer, SP_DROP_NO_RULE},
        {kIn, query, SP_ALLOW_RULE},
        {kOut, answer, SP_ALLOW_FLOW},
        {kIn, query, SP_ALLOW_FLOW},
        {kOut, udp(h.lan, 53, h.laptop1, 6001), SP_DROP_NO_RULE},
        {kOut, udp(h.lan2, 53, h.laptop1, 6000), SP_DROP_NO_RULE}}},
      {"SCTP and another protocol",
       {{kIn, sctp(h.laptop1, 7000, h.lan, 3868), SP_ALLOW_RULE},
        {kOut, sctp(h.lan, 3868, h.laptop1, 7000), SP_ALLOW_FLOW},
        {kIn, sctp(h.laptop1, 7000, h.lan, 3869), SP_DROP_NO_RULE},
        {kIn, ip(h.laptop1, h.lan, 47, Bytes(24)), SP_ALLOW_RULE},
        {kOut, ip(h.lan, h.laptop1, 47, Bytes(24)), SP_ALLOW_FLOW},
        {kIn, ip(h.laptop1, h.lan, 50, Bytes(24)), SP_DROP_NO_RULE}}},
      {"echo: any rule between the two serves the request, the reply needs the request",
       {{kOut, icmp(h.lan, h.laptop1, echo_reply, 0, 77), SP_DROP_ICMP_NO_FLOW},
        {kIn, icmp(h.laptop1, h.lan, echo, 0, 77), SP_ALLOW_RULE},
        {kOut, icmp(h.lan, h.laptop1, echo_reply, 0, 77), SP_ALLOW_FLOW},
        {kOut, icmp(h.lan, h.laptop1, echo_reply, 0, 78), SP_DROP_ICMP_NO_FLOW},
        {kOut, icmp(h.lan, h.laptop1, echo, 0, 77), SP_DROP_NO_RULE},
        {kIn, icmp(h.laptop1, h.lan, echo_reply, 0, 77), SP_DROP_ICMP_NO_FLOW}}},
      {"ICMP errors find the flow that they are about",
       {{kOut, icmp_error(h.router, h.laptop1, unreachable, query), SP_DROP_ICMP_NO_FLOW},
        {kIn, query, SP_ALLOW_RULE},
        {kOut, icmp_error(h.router, h.laptop1, unreachable, query), SP_ALLOW_RELATED},
        {kOut, icmp_error(h.router, h.laptop2, unreachable, query), SP_DROP_ICMP_NO_FLOW},
        {kOut, icmp_error(h.router, h.laptop1, unreachable, syn), SP_DROP_ICMP_NO_FLOW},
        {kIn, icmp_error(h.laptop1, h.lan, unreachable, answer), SP_ALLOW_RELATED},
        {kIn, icmp_error(h.laptop2, h.lan, unreachable, answer), SP_DROP_ICMP_NO_FLOW},
        {kIn, icmp_error(h.router, h.lan, unreachable, answer), SP_DROP_SPOOFED},
        {kIn, icmp_error(h.laptop1, h.lan, unreachable, query), SP_DROP_ICMP_NO_FLOW},
        {kIn, icmp(h.laptop1, h.lan, echo, 0, 77), SP_ALLOW_RULE},
        {kOut, icmp_error(h.router, h.laptop1, v6 ? 3 : 11, icmp(h.laptop1, h.lan, echo, 0, 77)),
         SP_ALLOW_RELATED}}},
      {"an ICMP error does not keep a flow alive",
       {{kIn, query, SP_ALLOW_RULE},
        {kOut, icmp_error(h.router, h.laptop1, unreachable, query), SP_ALLOW_RELATED, 100s},
        {kOut, icmp_error(h.router, h.laptop1, unreachable, query), SP_DROP_ICMP_NO_FLOW, 90s}}},
      {"an idle flow ends",
       {{kIn, query, SP_ALLOW_RULE},
        {kOut, answer, SP_ALLOW_FLOW, 179s},
        {kOut, answer, SP_ALLOW_FLOW, 179s},
        {kOut, answer, SP_DROP_FLOW_EXPIRED, 181s},
        {kIn, query, SP_ALLOW_RULE},
        {kOut, answer, SP_ALLOW_FLOW}}},
      {"TCP: opening for 60 s, open for two hours, closing for 60 s",
       {{kIn, syn, SP_ALLOW_RULE},
        {kOut, syn_ack, SP_DROP_FLOW_EXPIRED, 61s},
        {kIn, syn, SP_ALLOW_RULE},
        {kOut, syn_ack, SP_ALLOW_FLOW, 59s},
        {kOut, data, SP_ALLOW_FLOW, 7200s},
        {kOut, tcp(h.lan, 22, h.laptop1, 5000, kFin | kAck), SP_ALLOW_FLOW},
        {kOut, data, SP_ALLOW_FLOW, 59s},
        {kOut, data, SP_DROP_FLOW_EXPIRED, 61s}}},
      {"a closing connection's port is used again",
       {{kIn, syn, SP_ALLOW_RULE},
        {kOut, tcp(h.lan, 22, h.laptop1, 5000, kRst | kAck), SP_ALLOW_FLOW},
        {kIn, syn, SP_ALLOW_RULE},
        {kOut, syn_ack, SP_ALLOW_FLOW},
        {kOut, data, SP_ALLOW_FLOW, 7200s}}},
      {"an open peer: what goes to it is allowed and may be answered, unless it is TCP without SYN",
       {{kIn, udp(h.member, 9, h.lan, 4000), SP_DROP_NO_RULE},
        {kOut, udp(h.lan, 4000, h.member, 9), SP_ALLOW_OUTBOUND},
        {kIn, udp(h.member, 9, h.lan, 4000), SP_ALLOW_FLOW},
        {kOut, tcp(h.lan, 4000, h.member, 9, kAck), SP_ALLOW_OUTBOUND},
        {kIn, tcp(h.member, 9, h.lan, 4000, kAck), SP_DROP_TCP_NO_FLOW},
        {kOut, tcp(h.lan, 4000, h.member, 9, kSyn), SP_ALLOW_OUTBOUND},
        {kIn, tcp(h.member, 9, h.lan, 4000, kSyn | kAck), SP_ALLOW_FLOW}}},
      {"nobody's addresses",
       {{kIn, tcp(h.internet, 5000, h.lan, 22, kSyn), SP_DROP_SPOOFED},
        {kIn, tcp(h.self, 5000, h.lan, 22, kSyn), SP_DROP_SPOOFED},
        {kIn, tcp(h.lan, 5000, h.laptop2, 80, kSyn), SP_DROP_SPOOFED},
        {kOut, udp(h.lan, 5000, h.internet, 53), SP_DROP_NO_PEER},
        {kOut, udp(h.lan, 5000, h.self, 53), SP_DROP_NO_PEER}}},
      {"fragments fare as the first one",
       {{kIn, fragment(big, 1000, 1000, 7), SP_DROP_FRAGMENT_NO_FIRST},
        {kIn, fragment(big, 0, 1000, 7), SP_ALLOW_RULE},
        {kIn, fragment(big, 1000, 1000, 7), SP_ALLOW_FRAGMENT},
        {kIn, fragment(big, 2000, 1008, 7), SP_ALLOW_FRAGMENT},
        {kIn, fragment(big, 1000, 1000, 8), SP_DROP_FRAGMENT_NO_FIRST},
        {kIn, fragment(big_closed, 0, 1000, 9), SP_DROP_NO_RULE},
        {kIn, fragment(big_closed, 1000, 1000, 9), SP_DROP_FRAGMENT_DENIED},
        {kIn, fragment(big, 1000, 1000, 7), SP_ALLOW_FRAGMENT, 14s},
        {kIn, fragment(big, 1000, 1000, 7), SP_DROP_FRAGMENT_NO_FIRST, 2s}}},
      {"fragments that would overlay a header",
       {{kIn, fragment(big, 0, 1000, 7), SP_ALLOW_RULE},
        {kIn, fragment(big, 8, 1000, 7), SP_DROP_FRAGMENT_TINY},
        {kIn, fragment(big, 72, 1000, 7), SP_DROP_FRAGMENT_TINY},
        {kIn, fragment(big, 80, 1000, 7), SP_ALLOW_FRAGMENT},
        {kIn, fragment(tcp(h.laptop1, 5000, h.lan, 22, kSyn, 100), 0, 16, 8),
         SP_DROP_FRAGMENT_TINY}}},
      {"an echo in fragments",
       {{kIn, fragment(icmp(h.laptop1, h.lan, echo, 0, 77, Bytes(3000)), 0, 1000, 7),
         SP_ALLOW_RULE},
        {kIn, fragment(icmp(h.laptop1, h.lan, echo, 0, 77, Bytes(3000)), 1000, 1000, 7),
         SP_ALLOW_FRAGMENT}}},
      {"too short, and what contradicts itself",
       {{kIn, cut(syn, 19), SP_DROP_TOO_SHORT},
        {kIn, cut(syn, header + 20 - 1), SP_DROP_MALFORMED},
        {kIn, ip(h.laptop1, h.lan, 6, Bytes(19)), SP_DROP_TOO_SHORT},
        {kIn, ip(h.laptop1, h.lan, 17, Bytes(7)), SP_DROP_TOO_SHORT},
        {kIn, ip(h.laptop1, h.lan, 132, Bytes(11)), SP_DROP_TOO_SHORT},
        {kIn, ip(h.laptop1, h.lan, v6 ? 58 : 1, Bytes(4)), SP_DROP_TOO_SHORT},
        {kIn, ip(h.laptop1, h.lan, v6 ? 1 : 58, Bytes(16, 8)), SP_DROP_MALFORMED},
        {kIn, with(syn, header + 12, 0x40), SP_DROP_MALFORMED},
        {kIn, with(syn, header + 12, 0x60), SP_DROP_MALFORMED},
        {kIn, with(syn, 0, 0x55), SP_DROP_MALFORMED},
        {kIn, with(syn, v6 ? 4 : 2, 0xff), SP_DROP_MALFORMED}}},
      {"a packet with bytes behind its end is judged by its own length",
       {{kIn, cut(syn, syn.size() + 6), SP_ALLOW_RULE}}},
  };
}

class judge : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(gateway_.ready()) << gateway_.why_not();
    gateway_.plane().peers()[3].flags = SP_PEER_OUTBOUND_OPEN;
    ASSERT_NE(gateway_.load(rules_of_gateway().blob()), 0U);
  }

  void tell(const Story& story) {
    gateway_.forget();
    for (size_t i = 0; i < story.steps.size(); i++) {
      const Step& step = story.steps[i];
      SCOPED_TRACE(fmt::format("{}, step {}", story.name, i + 1));
      gateway_.age(step.before);
      const Seen seen = gateway_.judge(step.way, step.packet);
      EXPECT_EQ(seen.verdict, name_of(step.expected));
      EXPECT_EQ(seen.passed, step.expected <= SP_LAST_ALLOW);
      if (seen.passed) {
        EXPECT_EQ(seen.packet, step.packet);
      }
    }
  }

  Judged gateway_;
};

TEST_F(judge, stories_v4) {
  for (const Story& story : stories(kV4)) tell(story);
}
TEST_F(judge, stories_v6) {
  for (const Story& story : stories(kV6)) tell(story);
}

TEST_F(judge, only_v4) {
  const Bytes syn = tcp("10.99.0.2", 5000, "192.168.7.9", 22, kSyn);
  tell({"destinations that are never carried, and headers",
        {{kIn, udp("10.99.0.2", 1, "224.0.0.251", 53), SP_DROP_MULTICAST},
         {kIn, udp("10.99.0.2", 1, "255.255.255.255", 53), SP_DROP_MULTICAST},
         {kOut, udp("192.168.7.9", 1, "239.1.1.1", 53), SP_DROP_MULTICAST},
         {kIn, udp("10.99.0.2", 1, "169.254.1.1", 53), SP_DROP_LINK_LOCAL},
         {kIn, udp("10.99.0.2", 1, "169.254.169.254", 53), SP_DROP_METADATA},
         {kIn, icmp("10.99.0.2", "192.168.7.9", 13, 0, 5), SP_ALLOW_RULE},
         {kOut, icmp("192.168.7.9", "10.99.0.2", 14, 0, 5), SP_ALLOW_FLOW},
         {kOut, icmp("192.168.7.9", "10.99.0.2", 0, 0, 5), SP_DROP_ICMP_NO_FLOW},
         {kIn, icmp("10.99.0.2", "192.168.7.9", 17, 0, 5), SP_ALLOW_RULE},
         {kIn, with(syn, 0, 0x44), SP_DROP_MALFORMED},
         {kIn, with(syn, 0, 0x4f), SP_DROP_MALFORMED}}});
}

TEST_F(judge, only_v6) {
  const Bytes syn = tcp("fd99::2", 5000, "fd07::9", 22, kSyn);
  Bytes mapped = syn;  // ::ffff:0a63:0002 as its source
  for (size_t i = 8; i < 18; i++) mapped.at(i) = 0;
  mapped.at(18) = mapped.at(19) = 0xff;
  const Bytes big = udp("fd99::2", 6000, "fd07::9", 53, 3000);
  const Bytes first = fragment(big, 0, 1000, 7);
  tell({"destinations that are never carried, and extension headers",
        {{kIn, udp("fd99::2", 1, "ff02::1", 53), SP_DROP_MULTICAST},
         {kIn, udp("fd99::2", 1, "fe80::1", 53), SP_DROP_LINK_LOCAL},
         {kIn, udp("fd99::2", 1, "febf::1", 53), SP_DROP_LINK_LOCAL},
         {kIn, udp("fd99::2", 1, "fec0::1", 53), SP_DROP_EXIT_LOCAL},
         {kIn, mapped, SP_DROP_MALFORMED},
         {kIn, with_ext_headers(syn, {0, 43, 60}), SP_ALLOW_RULE},
         {kIn, with_ext_headers(syn, {0, 60, 43, 60, 60, 60}), SP_ALLOW_FLOW},
         {kIn, with_ext_headers(syn, {0, 60, 43, 60, 60, 60, 60}), SP_DROP_EXT_HEADERS},
         {kIn, fragment(fragment(big, 0, 2000, 8), 0, 1000, 8), SP_DROP_EXT_HEADERS},
         {kIn, cut(with_ext_headers(syn, {0, 60}), 50), SP_DROP_MALFORMED},
         {kIn, with_ext_headers(ip("fd99::2", "fd07::9", 59, {}), {60}), SP_DROP_NO_RULE},
         {kIn, with_ext_headers(first, {60}), SP_ALLOW_RULE}}});
}

}  // namespace
}  // namespace sallyport::test
