// SPDX-License-Identifier: BSD-3-Clause
/// Demux and pins on devices, with real sockets. A plain UDP socket stands for WireGuard.
///
///   LAN host                      gateway                                  outside
///   lan1 10.0.7.9, fd07::9 --- lan0 10.0.7.1, fd07::1
///                              wan0 198.51.100.1, 2001:db8::1 --- wan1 198.51.100.9, 2001:db8::9
///                              ppp0 (no link header), the test at its other end
///   on the gateway: WireGuard's port W, the node's socket on port A, its relay socket on lo, port
///   P. It forwards; rp_filter is 1.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "kmod-glue/path_sockets.h"
#include "tests/bpf/judged.h"
#include "tests/bpf/packets.h"
#include "tests/bpf/tun.h"
#include "tests/bpf/wire_datagrams.h"

namespace sallyport::test {
namespace {

constexpr int kPatience = 5000;  // ms
constexpr uint16_t kPeerPort = 41641;
constexpr uint32_t kOwnMark = 0x80000;
const std::string kParked = "127.1.2.3";
const IpAddress kParking = *IpAddress::parse(kParked);

IpAddress ip_of(const std::string& text) { return *IpAddress::parse(text); }

// A network namespace that threads enter and leave.
class Host {
 public:
  Host() {
    const Fd before(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (unshare(CLONE_NEWNET) != 0) return;
    ns_ = Fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    ready_ = setns(before.raw(), CLONE_NEWNET) == 0 && run("ip link set lo up");
  }
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] std::string path() const {
    return fmt::format("/proc/{}/fd/{}", getpid(), ns_.raw());
  }
  [[nodiscard]] bool enter() const { return setns(ns_.raw(), CLONE_NEWNET) == 0; }
  [[nodiscard]] bool run(const std::string& command) const {
    const Fd before(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!enter()) return false;
    const bool done = std::system(("{ " + command + " ; }").c_str()) == 0;
    return setns(before.raw(), CLONE_NEWNET) == 0 && done;
  }

 private:
  Fd ns_;
  bool ready_ = false;
};

struct SocketAddress {
  sockaddr_in6 v6{};
  socklen_t length = 0;
};
SocketAddress mapped_address_of(const Endpoint& at) {
  SocketAddress out;
  out.v6.sin6_family = AF_INET6;
  out.v6.sin6_port = htons(at.port);
  std::memcpy(&out.v6.sin6_addr, at.address.bytes.data(), 16);
  out.length = sizeof(out.v6);
  return out;
}
SocketAddress address_of(const Endpoint& at) {
  SocketAddress out;
  if (at.address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(at.port);
    v4.sin_addr.s_addr = htonl(at.address.v4_number());
    std::memcpy(&out.v6, &v4, sizeof(v4));
    out.length = sizeof(v4);
    return out;
  }
  return mapped_address_of(at);
}
Endpoint endpoint_of(const sockaddr_in6& raw) {
  if (raw.sin6_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &raw, sizeof(v4));
    return {IpAddress::v4(ntohl(v4.sin_addr.s_addr)), ntohs(v4.sin_port)};
  }
  IpAddress address;
  std::memcpy(address.bytes.data(), &raw.sin6_addr, 16);
  return {address, ntohs(raw.sin6_port)};
}

struct Got {
  Bytes payload;
  Endpoint from;
  IpAddress to;
  uint32_t ifindex = 0;
};

// A UDP socket of one family that says where its datagrams came in.
class Udp {
 public:
  Udp() = default;
  Udp(bool v6, uint16_t port)
      : fd_(::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const int one = 1;
    if (v6) {
      setsockopt(fd_.raw(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
      setsockopt(fd_.raw(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
    } else {
      setsockopt(fd_.raw(), IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
    }
    const SocketAddress at = address_of({v6 ? IpAddress{} : IpAddress::v4(0), port});
    if (bind(fd_.raw(), reinterpret_cast<const sockaddr*>(&at.v6), at.length) != 0) fd_.reset();
  }
  // One of the agent's; of both families: its addresses are all written as IPv6.
  static Udp adopt(Result<Fd> socket, bool both_families) {
    Udp out;
    if (socket) out.fd_ = std::move(*socket);
    out.both_families_ = both_families;
    return out;
  }
  [[nodiscard]] bool ready() const { return fd_.valid(); }
  [[nodiscard]] const Fd& fd() const { return fd_; }
  [[nodiscard]] int raw() const { return fd_.raw(); }
  [[nodiscard]] uint16_t port() const { return bound_port(fd_); }
  [[nodiscard]] bool send(const Endpoint& to, const Bytes& payload) const {
    const SocketAddress at = both_families_ ? mapped_address_of(to) : address_of(to);
    return sendto(fd_.raw(), payload.data(), payload.size(), 0,
                  reinterpret_cast<const sockaddr*>(&at.v6),
                  at.length) == static_cast<ssize_t>(payload.size());
  }
  [[nodiscard]] std::optional<Got> receive(int patience = kPatience) const {
    pollfd ready{fd_.raw(), POLLIN, 0};
    if (poll(&ready, 1, patience) != 1) return {};
    Got got;
    got.payload.resize(65536);
    sockaddr_in6 from{};
    alignas(cmsghdr) std::array<char, 256> control{};
    iovec part{got.payload.data(), got.payload.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t length = recvmsg(fd_.raw(), &message, 0);
    if (length < 0) return {};
    got.payload.resize(static_cast<size_t>(length));
    got.from = endpoint_of(from);
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        in_pktinfo info{};
        std::memcpy(&info, CMSG_DATA(c), sizeof(info));
        got.to = IpAddress::v4(ntohl(info.ipi_addr.s_addr));
        got.ifindex = static_cast<uint32_t>(info.ipi_ifindex);
      } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        in6_pktinfo info{};
        std::memcpy(&info, CMSG_DATA(c), sizeof(info));
        std::memcpy(got.to.bytes.data(), &info.ipi6_addr, 16);
        got.ifindex = info.ipi6_ifindex;
      }
    }
    return got;
  }
  [[nodiscard]] bool silent() const { return !receive(0).has_value(); }

 private:
  Fd fd_;
  bool both_families_ = false;
};

// What the node does for a relayed packet: from the peer's parking address, in one message or cut
// into `segment` bytes by the kernel.
bool relay(const Udp& socket, uint16_t wg_port, const Bytes& payload, uint16_t segment = 0) {
  const SocketAddress to = address_of({ip_of("127.0.0.1"), wg_port});
  iovec part{const_cast<uint8_t*>(payload.data()), payload.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in_pktinfo)) + CMSG_SPACE(sizeof(segment))>
      control{};
  msghdr message{};
  message.msg_name = const_cast<sockaddr_in6*>(&to.v6);
  message.msg_namelen = to.length;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = segment != 0 ? control.size() : CMSG_SPACE(sizeof(in_pktinfo));
  cmsghdr* c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = IPPROTO_IP;
  c->cmsg_type = IP_PKTINFO;
  c->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo info{};
  info.ipi_spec_dst.s_addr = htonl(kParking.v4_number());
  std::memcpy(CMSG_DATA(c), &info, sizeof(info));
  if (segment != 0) {
    c = CMSG_NXTHDR(&message, c);
    c->cmsg_level = SOL_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(segment));
    std::memcpy(CMSG_DATA(c), &segment, sizeof(segment));
  }
  return sendmsg(socket.raw(), &message, 0) == static_cast<ssize_t>(payload.size());
}

class PathDevices : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    before_ = Fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(gw_.ready() && out_.ready() && lan_.ready());
    ASSERT_TRUE(gw_.enter());
    tun_.emplace("ppp0");
    ASSERT_TRUE(tun_->ready());
    ASSERT_TRUE(gw_.run(fmt::format(
        "for d in all default lo; do echo 1 > /proc/sys/net/ipv4/conf/$d/rp_filter; done;"
        "echo 1 > /proc/sys/net/ipv4/conf/lo/route_localnet;"
        "echo 1 > /proc/sys/net/ipv4/conf/lo/accept_local;"
        "ip link add wan0 type veth peer name wan1 netns {} &&"
        "ip link add lan0 type veth peer name lan1 netns {} &&"
        "ip link set wan0 up && ip link set lan0 up && ip link set ppp0 addrgenmode none up &&"
        "ip addr add 198.51.100.1/24 dev wan0 && ip addr add 2001:db8::1/64 dev wan0 nodad &&"
        "ip addr add 10.0.7.1/24 dev lan0 && ip addr add fd07::1/64 dev lan0 nodad &&"
        "ip addr add 192.0.2.1/24 dev ppp0 && ip addr add fd02::1/64 dev ppp0 nodad &&"
        "echo 1 > /proc/sys/net/ipv4/ip_forward &&"
        "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
        out_.path(), lan_.path())));
    ASSERT_TRUE(
        out_.run("ip link set wan1 up && ip addr add 198.51.100.9/24 dev wan1 &&"
                 "ip addr add 2001:db8::9/64 dev wan1 nodad &&"
                 "ip route add 10.0.7.0/24 via 198.51.100.1 && ip route add fd07::/64 via "
                 "2001:db8::1"));
    ASSERT_TRUE(
        lan_.run("ip link set lan1 up && ip addr add 10.0.7.9/24 dev lan1 &&"
                 "ip addr add fd07::9/64 dev lan1 nodad &&"
                 "ip route add default via 10.0.7.1 && ip route add default via fd07::1"));
    wan_ = if_nametoindex("wan0");
    ppp_ = if_nametoindex("ppp0");
    wg_ = Udp(v6_, 0);
    wg_v4_ = v6_ ? Udp(false, wg_.port()) : Udp();
    node_ = Udp::adopt(open_node_socket(0, kOwnMark), true);
    relay_ = Udp::adopt(open_relay_socket(0), false);
    ASSERT_TRUE(wg_.ready() && node_.ready() && relay_.ready() && (!v6_ || wg_v4_.ready()));
    gateway_.emplace();
    ASSERT_TRUE(gateway_->ready()) << gateway_->why_not();
    for (const char* port : {"wan0", "lan0", "ppp0"}) {
      ASSERT_TRUE(gateway_->plane().attach({port, Hook::kPortIn}));
      ASSERT_TRUE(gateway_->plane().attach({port, Hook::kPortOut}));
    }
    ASSERT_TRUE(gateway_->plane().attach({"lo", Hook::kLoopback}));
    paths().set_ports({wg_.port(), node_.port(), relay_.port(), {kOwnMark, 0xff0000}});
    ASSERT_TRUE(out_.enter());
    peer_ = Udp(v6_, kPeerPort);
    also_wg_ = Udp(v6_, wg_.port());
    also_node_ = Udp(v6_, node_.port());
    ASSERT_TRUE(lan_.enter());
    laptop_wg_ = Udp(v6_, wg_.port());
    laptop_node_ = Udp(v6_, node_.port());
    ASSERT_TRUE(peer_.ready() && also_wg_.ready() && also_node_.ready());
    ASSERT_TRUE(laptop_wg_.ready() && laptop_node_.ready());
    ASSERT_TRUE(gw_.enter());
  }
  void TearDown() override { setns(before_.raw(), CLONE_NEWNET); }

  PathMaps& paths() { return gateway_->plane().paths(); }
  [[nodiscard]] Endpoint us(uint16_t port) const { return {us_, port}; }
  [[nodiscard]] Endpoint peer() const { return {outside_, kPeerPort}; }
  const Udp& wg_of_relay() { return v6_ ? wg_v4_ : wg_; }
  static void expect(const std::optional<Got>& got, const Bytes& payload, const Endpoint& from,
                     const IpAddress& to, uint32_t ifindex) {
    ASSERT_TRUE(got);
    EXPECT_EQ(got->payload, payload);
    EXPECT_EQ(got->from.text(), from.text());
    EXPECT_EQ(got->to.text(), to.text());
    EXPECT_EQ(got->ifindex, ifindex);
  }

  const bool v6_ = GetParam();
  const IpAddress us_ = ip_of(v6_ ? "2001:db8::1" : "198.51.100.1");
  const IpAddress outside_ = ip_of(v6_ ? "2001:db8::9" : "198.51.100.9");
  const IpAddress laptop_ = ip_of(v6_ ? "fd07::9" : "10.0.7.9");
  Fd before_;
  Host gw_, out_, lan_;
  std::optional<Tun> tun_;
  std::optional<Judged> gateway_;
  uint32_t wan_ = 0, ppp_ = 0;
  Udp wg_, wg_v4_, node_, relay_;
  Udp peer_, also_wg_, also_node_;
  Udp laptop_wg_, laptop_node_;
};

TEST_P(PathDevices, the_node_and_wireguard_share_a_port) {
  ASSERT_TRUE(peer_.send(us(wg_.port()), data()));
  expect(wg_.receive(), data(), peer(), us_, wan_);
  ASSERT_TRUE(peer_.send(us(wg_.port()), disco()));
  expect(node_.receive(), disco(), peer(), us_, wan_);
  ASSERT_TRUE(peer_.send(us(wg_.port()), disco(1300)));
  expect(node_.receive(), disco(1300), peer(), us_, wan_);
  // Its answer comes from the port that the peer knows; WireGuard's too.
  ASSERT_TRUE(node_.send(peer(), disco()));
  auto answer = peer_.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->from, us(wg_.port()));
  EXPECT_EQ(answer->payload, disco());
  ASSERT_TRUE(wg_.send(peer(), data()));
  answer = peer_.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->from, us(wg_.port()));
  // The node's own port is no way in.
  ASSERT_TRUE(peer_.send(us(node_.port()), disco()));
  ASSERT_TRUE(peer_.send(us(wg_.port()), stun(0x0101)));
  expect(node_.receive(), stun(0x0101), peer(), us_, wan_);
  EXPECT_TRUE(node_.silent() && wg_.silent());
}

// A datagram that the network has cut reaches the node whole, both ways.
TEST_P(PathDevices, a_datagram_in_fragments_reaches_the_node) {
  ASSERT_TRUE(peer_.send(us(wg_.port()), disco(3000)));
  expect(node_.receive(), disco(3000), peer(), us_, wan_);
  ASSERT_TRUE(node_.send(peer(), disco(3000)));
  const auto answer = peer_.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->from, us(wg_.port()));
  EXPECT_EQ(answer->payload, disco(3000));
}

// Whatever a LAN host says to whom, on our port numbers and in our protocols: the box only routes.
TEST_P(PathDevices, a_lan_host_keeps_its_packets) {
  const auto crosses = [&](const Udp& a, const Udp& b, const IpAddress& from, const IpAddress& to) {
    for (const Bytes& payload : {disco(), stun(0x0101), geneve(0x7a12), data()}) {
      ASSERT_TRUE(a.send({to, b.port()}, payload));
      const auto got = b.receive();
      ASSERT_TRUE(got);
      EXPECT_EQ(got->payload, payload);
      EXPECT_EQ(got->from, (Endpoint{from, a.port()}));
    }
  };
  crosses(laptop_wg_, also_wg_, laptop_, outside_);
  crosses(laptop_node_, also_node_, laptop_, outside_);
  crosses(laptop_node_, also_wg_, laptop_, outside_);
  crosses(also_wg_, laptop_wg_, outside_, laptop_);
  crosses(also_node_, laptop_node_, outside_, laptop_);
  // Also if it talks to a peer of ours that is held on a relay.
  ASSERT_TRUE(paths().set_reverse({outside_, wg_.port()}, kParking));
  crosses(also_wg_, laptop_wg_, outside_, laptop_);
  EXPECT_TRUE(node_.silent() && wg_.silent());
  // And it reaches us by the LAN.
  const IpAddress gateway = ip_of(v6_ ? "fd07::1" : "10.0.7.1");
  ASSERT_TRUE(laptop_wg_.send({gateway, wg_.port()}, disco()));
  expect(node_.receive(), disco(), {laptop_, wg_.port()}, gateway, if_nametoindex("lan0"));
}

TEST_P(PathDevices, a_pinned_packet_looks_direct_to_wireguard) {
  ASSERT_TRUE(relay(relay_, wg_.port(), data()));
  expect(wg_of_relay().receive(), data(), {kParking, relay_.port()}, ip_of("127.0.0.1"), 1);
  ASSERT_TRUE(paths().pin(kParking, {peer(), us_, wan_}));
  ASSERT_TRUE(relay(relay_, wg_.port(), data()));
  expect(wg_.receive(), data(), peer(), us_, wan_);
  // A group is cut behind the pin.
  ASSERT_TRUE(relay(relay_, wg_.port(), padded(data(1200), 40 * 1200), 1200));
  for (int i = 0; i < 40; i++) {
    const auto got = wg_.receive();
    ASSERT_TRUE(got) << i;
    EXPECT_EQ(got->payload.size(), 1200U);
    EXPECT_EQ(got->from, peer());
    EXPECT_EQ(got->ifindex, wan_);
  }
  const auto counts = paths().counts();
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->at(SP_PATH_PINNED), 41U);
  EXPECT_EQ(counts->at(SP_PATH_PINNED_SEEN), 41U);
  EXPECT_EQ(counts->at(SP_PATH_UNREADABLE), 0U);
  ASSERT_TRUE(paths().unpin(kParking));
  ASSERT_TRUE(relay(relay_, wg_.port(), data()));
  expect(wg_of_relay().receive(), data(), {kParking, relay_.port()}, ip_of("127.0.0.1"), 1);
}

TEST_P(PathDevices, a_reverse_pinned_packet_looks_relayed_to_wireguard) {
  ASSERT_TRUE(paths().set_reverse(peer(), kParking));
  for (const size_t bytes : {32U, 148U, 1312U}) {
    ASSERT_TRUE(peer_.send(us(wg_.port()), data(bytes)));
    expect(wg_of_relay().receive(), data(bytes), {kParking, relay_.port()}, ip_of("127.0.0.1"), 1);
  }
  // What WireGuard answers there reaches the relay socket.
  ASSERT_TRUE(wg_of_relay().send({kParking, relay_.port()}, data()));
  const auto parked = relay_.receive();
  ASSERT_TRUE(parked);
  EXPECT_EQ(parked->from, (Endpoint{ip_of("127.0.0.1"), wg_.port()}));
  EXPECT_EQ(parked->to, kParking);
  // Disco is still the node's.
  ASSERT_TRUE(peer_.send(us(wg_.port()), disco()));
  expect(node_.receive(), disco(), peer(), us_, wan_);
  ASSERT_TRUE(paths().clear_reverse(peer()));
  ASSERT_TRUE(peer_.send(us(wg_.port()), data()));
  expect(wg_.receive(), data(), peer(), us_, wan_);
}

TEST_P(PathDevices, all_of_it_without_a_link_header) {
  const std::string mine = v6_ ? "fd02::1" : "192.0.2.1";
  const std::string theirs = v6_ ? "fd02::9" : "192.0.2.9";
  const Endpoint from{ip_of(theirs), kPeerPort};
  const auto comes_in = [&](const Bytes& payload) {
    return tun_->write(udp(theirs, kPeerPort, mine, wg_.port(), payload));
  };
  ASSERT_TRUE(comes_in(disco()));
  expect(node_.receive(), disco(), from, ip_of(mine), ppp_);
  ASSERT_TRUE(comes_in(data()));
  expect(wg_.receive(), data(), from, ip_of(mine), ppp_);
  ASSERT_TRUE(node_.send(from, disco()));
  Bytes left;
  do {  // the kernel has things of its own to say there
    left = tun_->read().value_or(Bytes());
  } while (!left.empty() && left.at(left[0] >> 4 == 4 ? 9 : 6) != 17);
  if (!v6_ && left.size() > 11) left[4] = left[5] = left[10] = left[11] = 0;  // its number
  Bytes expected = udp(mine, wg_.port(), theirs, kPeerPort, disco());
  if (!v6_) expected[10] = expected[11] = 0;
  if (v6_ && left.size() > 4) left[1] = left[2] = left[3] = 0;  // its flow label
  EXPECT_EQ(left, expected);

  ASSERT_TRUE(paths().pin(kParking, {from, ip_of(mine), ppp_}));
  ASSERT_TRUE(relay(relay_, wg_.port(), data()));
  expect(wg_.receive(), data(), from, ip_of(mine), ppp_);
  ASSERT_TRUE(paths().unpin(kParking));

  ASSERT_TRUE(paths().set_reverse(from, kParking));
  ASSERT_TRUE(comes_in(data()));
  expect(wg_of_relay().receive(), data(), {kParking, relay_.port()}, ip_of("127.0.0.1"), 1);
}

// After a restart the service manager hands them back, or something else by that name.
TEST_P(PathDevices, the_agents_sockets_are_known_again) {
  EXPECT_TRUE(is_node_socket(node_.fd(), node_.port(), kOwnMark));
  EXPECT_FALSE(is_node_socket(node_.fd(), node_.port(), kOwnMark + 1));
  EXPECT_FALSE(is_node_socket(node_.fd(), relay_.port(), kOwnMark));
  EXPECT_FALSE(is_node_socket(relay_.fd(), relay_.port(), 0));
  EXPECT_TRUE(is_relay_socket(relay_.fd(), relay_.port()));
  EXPECT_FALSE(is_relay_socket(relay_.fd(), node_.port()));
  EXPECT_FALSE(is_relay_socket(node_.fd(), node_.port()));
  EXPECT_FALSE(is_relay_socket(wg_.fd(), wg_.port()));
  const auto second = open_relay_socket(relay_.port());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, std::errc::address_in_use);
}

// Nobody reaches WireGuard's relay by a port.
TEST_P(PathDevices, the_relay_socket_hears_lo_alone) {
  ASSERT_TRUE(peer_.send(us(relay_.port()), data()));
  ASSERT_TRUE(peer_.send(us(wg_.port()), data()));
  ASSERT_TRUE(wg_.receive());  // the later one is through
  EXPECT_TRUE(relay_.silent());
}

INSTANTIATE_TEST_SUITE_P(families, PathDevices, testing::Bool(),
                         [](const auto& info) { return info.param ? "v6" : "v4"; });

}  // namespace
}  // namespace sallyport::test
