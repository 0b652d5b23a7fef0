// SPDX-License-Identifier: BSD-3-Clause
/// A denied packet is turned round: the whole answer, byte by byte, as it leaves.
///
///   test --TUN-- gateway      what the test writes comes out of the tunnel; the answers go back in
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <netinet/in.h>

#include <cerrno>
#include <string_view>
#include <vector>

#include "tests/bpf/gateway.h"
#include "tests/bpf/judged.h"
#include "tests/bpf/packets.h"
#include "tests/bpf/tun.h"
#include "tests/support/own_netns.h"

namespace sallyport::test {
namespace {

constexpr size_t kMostQuoted6 = 1232;

// What the rows speak of, in one family.
struct Hosts {
  bool v6;
  std::string_view laptop, laptop2, lan, self;
};
constexpr Hosts kV4{false, "10.99.0.2", "10.99.0.3", "192.168.7.9", "10.99.0.1"};
constexpr Hosts kV6{true, "fd99::2", "fd99::3", "fd07::9", "fd99::1"};

Bytes from_to(std::string_view src, std::string_view dst, const Segment& s, uint16_t sport = 5000,
              uint16_t dport = 23) {
  return tcp(src, sport, dst, dport, s);
}

// "Communication administratively prohibited" from `src` to `dst`, about `denied`.
Bytes prohibited(std::string_view src, std::string_view dst, const Bytes& denied) {
  const bool v6 = denied.at(0) >> 4 == 6;
  const size_t most = v6 ? kMostQuoted6 : (denied.at(0) & 0xfU) * 4 + 8;
  Bytes message = v6 ? Bytes{1, 1, 0, 0, 0, 0, 0, 0} : Bytes{3, 13, 0, 0, 0, 0, 0, 0};
  const auto quoted = static_cast<ptrdiff_t>(std::min(most, denied.size()));
  message.insert(message.end(), denied.begin(), denied.begin() + quoted);
  return icmp_message(src, dst, message);
}

struct Row {
  std::string_view name;
  Bytes denied;
  Bytes answer;  // empty: silence
};

// `src` may not reach `dst` by any of these.
std::vector<Row> tcp_rows(bool v6, std::string_view src, std::string_view dst) {
  const auto row = [&](std::string_view name, const Segment& denied, const Segment& answer) {
    return Row{name, from_to(src, dst, denied), tcp(dst, 23, src, 5000, answer)};
  };
  const Bytes options{2, 4, 5, 0xb4, 1, 1, 4, 2};
  const auto reset = [](uint32_t seq) { return Segment{.flags = kRst, .seq = seq}; };
  const auto refuse = [](uint32_t ack) { return Segment{.flags = kRst | kAck, .ack = ack}; };
  std::vector<Row> rows{
      row("SYN", {.flags = kSyn, .seq = 1000}, refuse(1001)),
      row("SYN with options and data", {.flags = kSyn, .seq = 7, .options = options, .data = 5},
          refuse(13)),
      row("SYN whose number wraps", {.flags = kSyn, .seq = 0xffffffff}, refuse(0)),
      row("ACK", {.flags = kAck, .seq = 5, .ack = 0xfffffffe}, reset(0xfffffffe)),
      row("data", {.flags = kAck | kPsh, .seq = 5, .ack = 77, .data = 1001}, reset(77)),
      row("data without ACK", {.flags = kPsh, .seq = 5, .data = 1001}, refuse(1006)),
      row("FIN", {.flags = kFin, .seq = 5}, refuse(6)),
      row("FIN|ACK", {.flags = kFin | kAck, .seq = 5, .ack = 6}, reset(6)),
      row("SYN|ACK", {.flags = kSyn | kAck, .seq = 5, .ack = 99}, reset(99)),
  };
  const Row syn = rows[0];
  if (v6) {
    rows.push_back({"SYN behind extension headers", with_ext_headers(syn.denied, {0, 60, 60, 60}),
                    syn.answer});
  } else {
    rows.push_back({"SYN behind an option", with_options(syn.denied, 4), syn.answer});
    rows.push_back({"SYN behind all options", with_options(syn.denied, 40), syn.answer});
  }
  return rows;
}

std::vector<Row> other_rows(bool v6, std::string_view src, std::string_view dst) {
  const auto row = [&](std::string_view name, const Bytes& denied) {
    return Row{name, denied, prohibited(dst, src, denied)};
  };
  const uint8_t echo = v6 ? 128 : 8;
  return {
      row("UDP", udp(src, 6000, dst, 54)),
      row("UDP without data", udp(src, 6000, dst, 54, 0)),
      row("UDP of odd length", udp(src, 6000, dst, 54, 77)),
      row("UDP that is longer than a quote", udp(src, 6000, dst, 54, 1301)),
      row("UDP that is just as long as a quote", udp(src, 6000, dst, 54, 1232 - 48)),
      row("echo request", icmp(src, dst, echo, 0, 7, Bytes(57, 3))),
      row("another protocol", ip(src, dst, 50, Bytes(31, 9))),
      row("a protocol without any data", ip(src, dst, 50, {})),
      row("SCTP", sctp(src, 1, dst, 2)),
      row("the first fragment of UDP", fragment(udp(src, 6000, dst, 54, 3000), 0, 1200, 5)),
      row("the first fragment of TCP", fragment(tcp(src, 1, dst, 2, kSyn, 3000), 0, 1200, 6)),
  };
}

std::vector<Row> silent_rows(bool v6, std::string_view src, std::string_view dst,
                             std::string_view third) {
  const uint8_t error = v6 ? 1 : 3;
  const std::string_view multicast = v6 ? "ff05::1" : "239.1.1.1";
  Bytes overlong = tcp(src, 5000, dst, 23, kSyn);
  overlong.at(overlong.size() - 8) = 0xf0;
  const Bytes later = fragment(udp(src, 6000, dst, 54, 3000), 1200, 1200, 5);
  return {
      {"RST", from_to(src, dst, {.flags = kRst, .seq = 1}), {}},
      {"RST|ACK", from_to(src, dst, {.flags = kRst | kAck, .seq = 1, .ack = 3}), {}},
      {"an ICMP error", icmp_error(src, dst, error, udp(dst, 54, src, 6000)), {}},
      {"time exceeded", icmp_error(src, dst, v6 ? 3 : 11, udp(dst, 54, src, 6000)), {}},
      {"an echo reply", icmp(src, dst, v6 ? 129 : 0, 0, 7), {}},
      {"a timestamp request, or a redirect", icmp(src, dst, v6 ? 137 : 13, 0, 7), {}},
      {"a later fragment", later, {}},
      {"a later fragment whose first nobody saw",
       fragment(udp(src, 6, dst, 54, 3000), 1200, 1200, 9),
       {}},
      {"multicast", udp(src, 6000, multicast, 54), {}},
      {"TSMP", ip(src, dst, 99, Bytes{'!', 6, 'A', 1, 2, 3, 4}), {}},
      {"from nobody's address, to nobody's", udp(third, 6000, third, 54), {}},
      {"a TCP header that says it is longer than the packet", overlong, {}},
  };
}

class Answer : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(netns_.entered());
    ASSERT_TRUE(tun_.ready()) << std::strerror(errno);
    gateway_.emplace();
    ASSERT_TRUE(gateway_->ready()) << gateway_->why_not();
    ASSERT_NE(gateway_->load(rules_of_gateway().blob()), 0U);
    settings().answer_interval_ns = 0;  // as many as you like
    for (const Hook hook : {Hook::kTailnetIn, Hook::kTailnetOut}) {
      ASSERT_TRUE(plane().attach({tun_.name(), hook}));
    }
    ASSERT_TRUE(tun_.up());
  }
  [[nodiscard]] const Hosts& hosts() const { return GetParam() ? kV6 : kV4; }
  DataPlane& plane() { return gateway_->plane(); }
  sp_settings& settings() { return plane().settings(); }
  uint64_t count(sp_hook hook, sp_verdict verdict) {
    const auto counts = plane().verdicts();
    return counts ? counts->at(hook).at(verdict).packets : UINT64_MAX;
  }
  // One that is certain to be answered: what it is not preceded by, is not there.
  Row marker(uint16_t port) {
    return {"marker", tcp(hosts().laptop, port, hosts().lan, 23, Segment{.flags = kSyn}),
            tcp(hosts().lan, 23, hosts().laptop, port, Segment{.flags = kRst | kAck, .ack = 1})};
  }
  void expect_silence() {
    const Row mark = marker(++marks_);
    ASSERT_TRUE(tun_.write(mark.denied));
    EXPECT_EQ(tun_.read(), mark.answer);
  }

  OwnNetns netns_;
  Tun tun_{"wg0"};
  std::optional<Judged> gateway_;
  uint16_t marks_ = 40000;
};

TEST_P(Answer, to_a_peer_goes_back_into_the_tunnel) {
  const Hosts& h = hosts();
  std::vector<Row> rows = tcp_rows(h.v6, h.laptop, h.lan);
  for (const auto& more : {other_rows(h.v6, h.laptop2, h.lan), tcp_rows(h.v6, h.laptop2, h.self)}) {
    rows.insert(rows.end(), more.begin(), more.end());
  }
  if (!h.v6) {
    const Bytes options = with_options(udp(h.laptop, 6000, h.lan, 54), 40);
    rows.push_back({"UDP behind options", options, prohibited(h.lan, h.laptop, options)});
  } else {
    const Bytes far = with_ext_headers(udp(h.laptop, 6000, h.lan, 54), {0, 60});
    rows.push_back({"UDP behind extension headers", far, prohibited(h.lan, h.laptop, far)});
  }
  uint64_t answers = 0;
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    ASSERT_TRUE(tun_.write(row.denied));
    const auto answer = tun_.read();
    ASSERT_TRUE(answer);
    EXPECT_EQ(*answer, row.answer);
    EXPECT_EQ(count(SP_HOOK_TAILNET_OUT, SP_ALLOW_ANSWER), ++answers);
  }
}

TEST_P(Answer, is_silence_where_an_answer_would_be_wrong) {
  const Hosts& h = hosts();
  const std::string_view third = h.v6 ? "fd55::1" : "10.55.0.1";
  for (const Row& row : silent_rows(h.v6, h.laptop, h.lan, third)) {
    SCOPED_TRACE(row.name);
    ASSERT_TRUE(tun_.write(row.denied));
    expect_silence();
  }
}

TEST_P(Answer, is_silence_if_so_configured) {
  settings().flags &= ~uint32_t{SP_DENY_REJECT};
  ASSERT_TRUE(tun_.write(marker(1).denied));
  settings().flags |= SP_DENY_REJECT;
  expect_silence();
}

TEST_P(Answer, ends_a_revoked_connection) {
  const Hosts& h = hosts();
  ASSERT_TRUE(tun_.write(tcp(h.laptop, 5000, h.lan, 22, kSyn)));
  ASSERT_NE(gateway_->load(addresses_of_gateway().blob()), 0U);
  ASSERT_TRUE(tun_.write(
      tcp(h.laptop, 5000, h.lan, 22, Segment{.flags = kAck, .seq = 1001, .ack = 300, .data = 10})));
  EXPECT_EQ(tun_.read(), tcp(h.lan, 22, h.laptop, 5000, Segment{.flags = kRst, .seq = 300}));
  EXPECT_EQ(count(SP_HOOK_TAILNET_IN, SP_DROP_REVOKED), 1U);
}

TEST_P(Answer, tells_a_tailscale_client_why) {
  const Hosts& h = hosts();
  plane().peers()[1].flags = SP_PEER_TSMP;
  const Row syn = tcp_rows(h.v6, h.laptop, h.lan)[0];
  ASSERT_TRUE(tun_.write(syn.denied));
  EXPECT_EQ(tun_.read(),
            ip(h.lan, h.laptop, 99, Bytes{'!', 6, 'A', 5000 >> 8, 5000 & 0xff, 0, 23}));
  EXPECT_EQ(tun_.read(), syn.answer);
  const Row ack = tcp_rows(h.v6, h.laptop, h.lan)[3];
  ASSERT_TRUE(tun_.write(ack.denied));
  EXPECT_EQ(tun_.read(), ack.answer);
}

TEST_P(Answer, is_given_to_each_peer_at_its_own_rate) {
  const Hosts& h = hosts();
  constexpr uint64_t kHour = 3600'000'000'000;
  settings().answer_interval_ns = kHour;
  settings().answer_burst_ns = 3 * kHour - 1;
  for (uint16_t port = 1; port <= 20; port++) ASSERT_TRUE(tun_.write(marker(port).denied));
  for (uint16_t port = 1; port <= 3; port++) EXPECT_EQ(tun_.read(), marker(port).answer);
  const Bytes other = tcp(h.laptop2, 9, h.lan, 23, Segment{.flags = kSyn});
  ASSERT_TRUE(tun_.write(other));  // has its own share; and nothing was before it
  EXPECT_EQ(tun_.read(), tcp(h.lan, 23, h.laptop2, 9, Segment{.flags = kRst | kAck, .ack = 1}));
  EXPECT_EQ(count(SP_HOOK_TAILNET_IN, SP_DROP_NO_RULE), 21U);
  plane().peers()[1].answers_full_ns -= kHour;
  expect_silence();  // one more, an hour later
}

INSTANTIATE_TEST_SUITE_P(families, Answer, testing::Bool(),
                         [](const auto& info) { return info.param ? "v6" : "v4"; });

// ---- The other way: towards a peer. What goes out is put there by a packet socket, which sees the
// answer come in.

class Refused : public Answer {
 protected:
  void SetUp() override {
    Answer::SetUp();
    protocol_ = htons(GetParam() ? 0x86dd : 0x0800);
    socket_ = Fd(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, protocol_));
    at_.sll_family = AF_PACKET;
    at_.sll_protocol = protocol_;
    at_.sll_ifindex = static_cast<int>(if_nametoindex_of(tun_.name()));
    const int one = 1;
    ASSERT_EQ(setsockopt(socket_.raw(), SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)), 0);
    ASSERT_EQ(bind(socket_.raw(), reinterpret_cast<const sockaddr*>(&at_), sizeof(at_)), 0);
  }
  static unsigned if_nametoindex_of(const std::string& name) {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
    return ioctl(socket.raw(), SIOCGIFINDEX, &request) == 0
               ? static_cast<unsigned>(request.ifr_ifindex)
               : 0;
  }
  [[nodiscard]] bool send_out(const Bytes& packet) const {
    return sendto(socket_.raw(), packet.data(), packet.size(), 0,
                  reinterpret_cast<const sockaddr*>(&at_),
                  sizeof(at_)) == static_cast<ssize_t>(packet.size());
  }
  struct Arrived {
    Bytes packet;
    bool checksum_open = false;
  };
  [[nodiscard]] std::optional<Arrived> arrived() const {
    pollfd ready{socket_.raw(), POLLIN, 0};
    if (poll(&ready, 1, 5000) != 1) return {};
    Arrived out{.packet = Bytes(4096)};
    iovec data{out.packet.data(), out.packet.size()};
    alignas(cmsghdr) std::array<char, 256> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t length = recvmsg(socket_.raw(), &message, 0);
    if (length < 0) return {};
    out.packet.resize(static_cast<size_t>(length));
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
      tpacket_auxdata auxiliary{};
      std::memcpy(&auxiliary, CMSG_DATA(c), sizeof(auxiliary));
      out.checksum_open = (auxiliary.tp_status & TP_STATUS_CSUMNOTREADY) != 0;
    }
    return out;
  }

  uint16_t protocol_ = 0;
  Fd socket_;
  sockaddr_ll at_{};
};

TEST_P(Refused, packets_to_a_peer_come_back) {
  const Hosts& h = hosts();
  std::vector<Row> rows = tcp_rows(h.v6, h.lan, h.laptop);
  for (const auto& more : {other_rows(h.v6, h.lan, h.laptop), tcp_rows(h.v6, h.self, h.laptop)}) {
    rows.insert(rows.end(), more.begin(), more.end());
  }
  uint64_t answers = 0;
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    ASSERT_TRUE(send_out(row.denied)) << std::strerror(errno);
    const auto answer = arrived();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->packet, row.answer);
    EXPECT_FALSE(answer->checksum_open);
    EXPECT_EQ(count(SP_HOOK_TAILNET_IN, SP_ALLOW_ANSWER), ++answers);
  }
}

TEST_P(Refused, silence_where_an_answer_would_be_wrong) {
  const Hosts& h = hosts();
  const std::string_view third = h.v6 ? "fd55::1" : "10.55.0.1";
  for (const Row& row : silent_rows(h.v6, h.lan, h.laptop, third)) {
    SCOPED_TRACE(row.name);
    EXPECT_FALSE(send_out(row.denied));  // dropped: the socket is told
    EXPECT_EQ(errno, ENOBUFS);
    const Row mark = tcp_rows(h.v6, h.lan, h.laptop)[0];
    ASSERT_TRUE(send_out(mark.denied));
    const auto answer = arrived();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->packet, mark.answer);
  }
}

INSTANTIATE_TEST_SUITE_P(families, Refused, testing::Bool(),
                         [](const auto& info) { return info.param ? "v6" : "v4"; });

}  // namespace
}  // namespace sallyport::test
