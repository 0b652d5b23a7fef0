// SPDX-License-Identifier: BSD-3-Clause
/// What our nftables table does to packets: who is translated, to which ports, and who is not.
///
///   peer 100.64.0.9 ~ sallyport0 (TUN) [ gateway ] wan0 192.0.2.2 --- wan1 (seen here)
///                                                  lan0 10.1.2.1  --- lan1 (seen here, host .9)
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"
#include "tests/netns/kernel_fixture.h"

namespace sallyport {
namespace {

constexpr uint16_t kWgPort = 51820;
constexpr size_t kIpBytes = 20;
constexpr size_t kIp6Bytes = 40;

uint16_t checksum(ByteView data) {
  uint32_t sum = 0;
  for (size_t i = 0; i < data.size(); ++i) sum += i % 2 == 0 ? data[i] << 8U : data[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16U);
  return static_cast<uint16_t>(~sum);
}
void put16(Bytes& at, size_t offset, uint16_t value) {
  at[offset] = static_cast<uint8_t>(value >> 8U);
  at[offset + 1] = static_cast<uint8_t>(value);
}

Bytes ip_packet(uint8_t protocol, const char* from, const char* to, const Bytes& payload) {
  Bytes packet(kIpBytes, 0);
  packet[0] = 0x45;
  put16(packet, 2, static_cast<uint16_t>(kIpBytes + payload.size()));
  packet[8] = 64;
  packet[9] = protocol;
  inet_pton(AF_INET, from, &packet[12]);
  inet_pton(AF_INET, to, &packet[16]);
  put16(packet, 10, checksum(packet));
  packet.insert(packet.end(), payload.begin(), payload.end());
  return packet;
}
/// Over the pseudo-header too (RFC 8200 8.1); 0 for a datagram whose checksum is right.
uint16_t udp6_checksum(const Bytes& packet) {
  Bytes summed(packet.begin() + 8, packet.end());
  summed.insert(summed.end(), {0, 0, packet[4], packet[5], 0, 0, 0, IPPROTO_UDP});
  return checksum(summed);
}
/// Without checksum, which IPv4 allows.
Bytes udp(const char* from, uint16_t port, const char* to) {
  Bytes payload(12, 0);
  put16(payload, 0, port);
  put16(payload, 2, 9);
  put16(payload, 4, 12);
  return ip_packet(IPPROTO_UDP, from, to, payload);
}
/// With its checksum, which IPv6 asks for.
Bytes udp6(const char* from, uint16_t port, const char* to) {
  constexpr uint16_t kUdpBytes = 12;
  Bytes packet(kIp6Bytes + kUdpBytes, 0);
  packet[0] = 0x60;
  put16(packet, 4, kUdpBytes);
  packet[6] = IPPROTO_UDP;
  packet[7] = 64;
  inet_pton(AF_INET6, from, &packet[8]);
  inet_pton(AF_INET6, to, &packet[24]);
  put16(packet, kIp6Bytes, port);
  put16(packet, kIp6Bytes + 2, 9);
  put16(packet, kIp6Bytes + 4, kUdpBytes);
  put16(packet, kIp6Bytes + 6, udp6_checksum(packet));
  return packet;
}
Bytes echo_request(const char* from, const char* to) {
  Bytes payload(8, 0);
  payload[0] = 8;
  put16(payload, 4, 77);
  put16(payload, 2, checksum(payload));
  return ip_packet(IPPROTO_ICMP, from, to, payload);
}

/// Source address and, of UDP, source port.
struct Source {
  std::string address;
  int port = 0;
  friend bool operator==(const Source&, const Source&) = default;
};

/// One end of a veth pair, with frames in and out.
class Wire {
 public:
  explicit Wire(const char* device, uint16_t ethertype = ETH_P_IP)
      : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ethertype))) {
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ethertype);
    at.sll_ifindex = static_cast<int>(if_nametoindex(device));
    EXPECT_EQ(bind(fd_.raw(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    setsockopt(fd_.raw(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  /// The next packet that comes out here.
  [[nodiscard]] Source next() const {
    const Bytes packet = next_packet();
    if (packet.size() < kIpBytes + 8) return {"nothing came"};
    const uint8_t* ip = packet.data();
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, ip + 12, text, sizeof text);
    return {text, ip[9] == IPPROTO_UDP ? ip[kIpBytes] << 8 | ip[kIpBytes + 1] : 0};
  }
  /// The same of the next UDP datagram in IPv6, whose checksum has to be right; neighbour discovery
  /// is passed over.
  [[nodiscard]] Source next_udp6() const {
    Bytes packet;
    do {
      packet = next_packet();
      if (packet.size() < kIp6Bytes + 8) return {"nothing came"};
    } while (packet[6] != IPPROTO_UDP);
    EXPECT_EQ(udp6_checksum(packet), 0);
    char text[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, &packet[8], text, sizeof text);
    return {text, packet[kIp6Bytes] << 8 | packet[kIp6Bytes + 1]};
  }
  void send(const Bytes& packet, const std::array<uint8_t, 6>& to) const {
    Bytes frame(to.begin(), to.end());
    const uint16_t type = packet[0] >> 4U == 6 ? ETH_P_IPV6 : ETH_P_IP;
    frame.insert(frame.end(),
                 {2, 0, 0, 0, 0, 9, static_cast<uint8_t>(type >> 8U), static_cast<uint8_t>(type)});
    frame.insert(frame.end(), packet.begin(), packet.end());
    EXPECT_EQ(::send(fd_.raw(), frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  }

 private:
  /// Empty: none came in time.
  [[nodiscard]] Bytes next_packet() const {
    Bytes frame(2048);
    sockaddr_ll from{};
    socklen_t size = sizeof from;
    do {
      const ssize_t got = recvfrom(fd_.raw(), frame.data(), frame.size(), 0,
                                   reinterpret_cast<sockaddr*>(&from), &size);
      if (got < ETH_HLEN) return {};
      frame.resize(static_cast<size_t>(got));
    } while (from.sll_pkttype == PACKET_OUTGOING && (frame.resize(2048), true));
    frame.erase(frame.begin(), frame.begin() + ETH_HLEN);
    return frame;
  }

  Fd fd_;
};

class kernel_nat : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    make_device();
    open_tun();
    shell(
        "sysctl -qw net.ipv4.ip_forward=1\n"
        "for d in all default wan0 lan0 sallyport0; do "
        "sysctl -qw net.ipv4.conf.$d.rp_filter=0; done\n"
        "ip link set lan0 address 02:00:00:00:00:0a\n"
        "ip neigh replace 192.0.2.1 lladdr 02:00:00:00:00:01 dev wan0 nud permanent\n"
        "ip neigh replace 10.1.2.7 lladdr 02:00:00:00:00:07 dev lan0 nud permanent\n"
        "ip neigh replace 10.1.2.9 lladdr 02:00:00:00:00:09 dev lan0 nud permanent");
    apply({ReplaceNftTable{{.wg_device = kDevice,
                            .wg_port = kWgPort,
                            .masquerades = {{"lan0", Prefix::parse("10.1.2.8/29"), Family::kV4},
                                            {"wan0", std::nullopt, Family::kV4}},
                            .wan_devices = {"wan0"}}}});
  }
  void open_tun() {
    tun_ = Fd{open("/dev/net/tun", O_RDWR | O_CLOEXEC)};
    ifreq request{};
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    kDevice.copy(request.ifr_name, IFNAMSIZ - 1);
    ASSERT_EQ(ioctl(tun_.raw(), TUNSETIFF, &request), 0);
  }
  /// A peer's packet, decrypted.
  void from_peer(const Bytes& packet) const {
    ASSERT_EQ(write(tun_.raw(), packet.data(), packet.size()), static_cast<ssize_t>(packet.size()));
  }
  static constexpr std::array<uint8_t, 6> kLanMac{2, 0, 0, 0, 0, 10};
  Fd tun_;
};

TEST_F(kernel_nat, a_peer_leaves_with_our_address_and_a_port_of_the_range) {
  const Wire wan{"wan1"};
  from_peer(udp("100.64.0.9", 41641, "198.51.100.7"));
  EXPECT_EQ(wan.next(), (Source{"192.0.2.2", 41641}));  // in the range: kept
  for (const uint16_t port : {uint16_t{1000}, kWgPort, uint16_t{60000}}) {
    from_peer(udp("100.64.0.9", port, "198.51.100.7"));
    const Source seen = wan.next();
    EXPECT_EQ(seen.address, "192.0.2.2");
    EXPECT_GE(seen.port, 20000) << port;
    EXPECT_LE(seen.port, 50000) << port;
  }
}

TEST_F(kernel_nat, other_protocols_of_a_peer_are_translated_too) {
  const Wire wan{"wan1"};
  from_peer(echo_request("100.64.0.9", "198.51.100.7"));
  EXPECT_EQ(wan.next(), (Source{"192.0.2.2", 0}));
}

TEST_F(kernel_nat, a_lan_is_translated_to_where_it_is_asked_and_no_further) {
  const Wire lan{"lan1"};
  from_peer(udp("100.64.0.9", 41641, "10.1.2.9"));
  EXPECT_EQ(lan.next(), (Source{"10.1.2.1", 41641}));
  from_peer(udp("100.64.0.9", 41641, "10.1.2.7"));
  EXPECT_EQ(lan.next(), (Source{"100.64.0.9", 41641}));
}

TEST_F(kernel_nat, nobody_behind_us_leaves_from_our_port) {
  const Wire wan{"wan1"};
  const Wire lan{"lan1"};
  lan.send(udp("10.1.2.9", kWgPort, "198.51.100.7"), kLanMac);
  const Source guarded = wan.next();
  EXPECT_EQ(guarded.address, "192.0.2.2");
  EXPECT_GE(guarded.port, 20000);
  EXPECT_LE(guarded.port, 50000);
  // Only that port: what the host does otherwise is not our business.
  lan.send(udp("10.1.2.9", kWgPort + 1, "198.51.100.7"), kLanMac);
  EXPECT_EQ(wan.next(), (Source{"10.1.2.9", kWgPort + 1}));
}

TEST_F(kernel_nat, a_foreign_masquerade_does_not_give_our_port_away) {
  shell(
      "nft 'table ip theirs { chain p { type nat hook postrouting priority srcnat; "
      "oifname wan0 masquerade; }; }'");
  const Wire wan{"wan1"};
  const Wire lan{"lan1"};
  lan.send(udp("10.1.2.9", kWgPort, "198.51.100.7"), kLanMac);
  EXPECT_NE(wan.next().port, kWgPort);
  // The twin: without our table it does. Another host, because NAT uses a mapping again that a
  // host's port has already, whatever the destination.
  apply({DeleteNftTable{}});
  lan.send(udp("10.1.2.7", kWgPort, "198.51.100.7"), kLanMac);
  EXPECT_EQ(wan.next(), (Source{"192.0.2.2", kWgPort}));
}

TEST_F(kernel_nat, our_own_packets_keep_our_port) {
  const Wire wan{"wan1"};
  const Fd own{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(kWgPort);
  ASSERT_EQ(bind(own.raw(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  at.sin_port = htons(9);
  inet_pton(AF_INET, "198.51.100.7", &at.sin_addr);
  ASSERT_EQ(sendto(own.raw(), "x", 1, 0, reinterpret_cast<sockaddr*>(&at), sizeof at), 1);
  EXPECT_EQ(wan.next(), (Source{"192.0.2.2", kWgPort}));
}

TEST_F(kernel_nat, a_peer_leaves_by_ipv6_with_our_address_where_that_is_asked_for) {
  shell(
      "sysctl -qw net.ipv6.conf.all.forwarding=1\n"
      "ip -6 addr add fd09::1/64 dev sallyport0 nodad\n"
      "ip -6 route add default via 2001:db8::1 dev wan0\n"
      "ip neigh replace 2001:db8::1 lladdr 02:00:00:00:00:01 dev wan0 nud permanent\n"
      "ip -6 addr add fd01::1/64 dev lan0 nodad\n"
      "ip neigh replace fd01::9 lladdr 02:00:00:00:00:09 dev lan0 nud permanent");
  const Wire wan{"wan1", ETH_P_IPV6};
  const Wire lan{"lan1", ETH_P_IPV6};
  // Off: as it came, and our port is a LAN host's own affair.
  from_peer(udp6("fd09::9", 41641, "2001:db8:77::7"));
  EXPECT_EQ(wan.next_udp6(), (Source{"fd09::9", 41641}));
  lan.send(udp6("fd01::9", kWgPort, "2001:db8:77::8"), kLanMac);
  EXPECT_EQ(wan.next_udp6(), (Source{"fd01::9", kWgPort}));

  apply({ReplaceNftTable{{.wg_device = kDevice,
                          .wg_port = kWgPort,
                          .masquerades = {{"lan0", Prefix::parse("fd01::8/125"), Family::kV6},
                                          {"wan0", std::nullopt, Family::kV6}},
                          .wan_devices = {"wan0"}}}});
  from_peer(udp6("fd09::9", 41642, "2001:db8:77::7"));
  EXPECT_EQ(wan.next_udp6(), (Source{"2001:db8::2", 41642}));  // in the range: kept
  for (const uint16_t port : {uint16_t{1000}, kWgPort, uint16_t{60000}}) {
    from_peer(udp6("fd09::9", port, "2001:db8:77::7"));
    const Source seen = wan.next_udp6();
    EXPECT_EQ(seen.address, "2001:db8::2");
    EXPECT_GE(seen.port, 20000) << port;
    EXPECT_LE(seen.port, 50000) << port;
  }
  from_peer(udp6("fd09::9", 41643, "fd01::9"));
  EXPECT_EQ(lan.next_udp6(), (Source{"fd01::1", 41643}));
  // The guard stands in IPv6 too now; another destination, which no mapping is kept for.
  lan.send(udp6("fd01::9", kWgPort, "2001:db8:77::9"), kLanMac);
  EXPECT_NE(wan.next_udp6().port, kWgPort);
}

TEST_F(kernel_nat, a_flow_under_way_keeps_its_mapping_when_the_table_is_written_again) {
  const Wire wan{"wan1"};
  from_peer(udp("100.64.0.9", 1000, "198.51.100.7"));
  const Source before = wan.next();
  NftTable other{.wg_device = kDevice,
                 .wg_port = kWgPort,
                 .masquerades = {{"wan0", std::nullopt, Family::kV4}},
                 .wan_devices = {}};
  apply({ReplaceNftTable{other}});
  from_peer(udp("100.64.0.9", 1000, "198.51.100.7"));
  EXPECT_EQ(wan.next(), before);
}

}  // namespace
}  // namespace sallyport
