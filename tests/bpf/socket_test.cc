// SPDX-License-Identifier: BSD-3-Clause
/// What real sockets see of it: a laptop behind the tunnel, and the gateway towards the laptop.
///
///   laptop  wg0 10.99.0.2, fd99::2 --(a thread carries packets)-- wg0 10.99.0.1, fd99::1  gateway
///                                                        and on lo 192.168.7.9, fd07::9 ("the
///                                                        LAN")
///
/// What TCP sends is CHECKSUM_PARTIAL where the programs see it, and filled in behind them; UDP's
/// is too if the device takes checksums, as WireGuard's does.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <thread>

#include "tests/bpf/gateway.h"
#include "tests/bpf/judged.h"
#include "tests/bpf/packets.h"
#include "tests/bpf/tun.h"
#include "tests/support/own_netns.h"

namespace sallyport::test {
namespace {

constexpr int kPatience = 5000;  // ms; a lost SYN or a silent drop takes longer to be noticed

bool run(const std::string& command) { return std::system(command.c_str()) == 0; }

// Carries packets between the two devices until the end of this object.
class Shuttle {
 public:
  Shuttle(const Tun& a, const Tun& b)
      : stop_(eventfd(0, EFD_CLOEXEC)), thread_([this, &a, &b] { carry(a, b); }) {}
  Shuttle(const Shuttle&) = delete;
  Shuttle& operator=(const Shuttle&) = delete;
  ~Shuttle() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(stop_.raw(), &one, sizeof(one));
    thread_.join();
  }

 private:
  void carry(const Tun& a, const Tun& b) const {
    std::array<pollfd, 3> ready{pollfd{a.raw(), POLLIN, 0}, pollfd{b.raw(), POLLIN, 0},
                                pollfd{stop_.raw(), POLLIN, 0}};
    while (poll(ready.data(), ready.size(), -1) > 0 && ready[2].revents == 0) {
      if (ready[0].revents != 0) pass(a, b);
      if (ready[1].revents != 0) pass(b, a);
    }
  }
  static void pass(const Tun& from, const Tun& to) {
    const auto packet = from.read();
    if (packet && !to.write(*packet)) ADD_FAILURE() << std::strerror(errno);
  }
  Fd stop_;
  std::thread thread_;
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage); }
};
SocketAddress address_of(const std::string& text, uint16_t port) {
  SocketAddress out;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out.length = sizeof(*v4);
  } else if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out.length = sizeof(*v6);
  }
  return out;
}

// The error that a socket of this type gets for `to`; 0: connected (or nothing came, for UDP).
int error_of(const Fd& socket, int type, const SocketAddress& to) {
  if (connect(socket.raw(), to.raw(), to.length) != 0 && errno != EINPROGRESS) return errno;
  if (type == SOCK_DGRAM && send(socket.raw(), "?", 1, 0) != 1) return errno;
  pollfd ready{socket.raw(), static_cast<short>(type == SOCK_STREAM ? POLLOUT : POLLIN), 0};
  if (poll(&ready, 1, kPatience) != 1) return ETIMEDOUT;
  int error = 0;
  socklen_t length = sizeof(error);
  getsockopt(socket.raw(), SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

int segment_of(const Fd& socket) {
  int bytes = 0;
  socklen_t length = sizeof(bytes);
  getsockopt(socket.raw(), IPPROTO_TCP, TCP_MAXSEG, &bytes, &length);
  return bytes;
}

class Sockets : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(gateway_ns_.entered());
    gateway_.emplace();
    ASSERT_TRUE(gateway_->ready()) << gateway_->why_not();
    ASSERT_NE(gateway_->load(rules_of_gateway().blob()), 0U);
    gateway_->plane().settings().wg_mtu = 1280;
    gateway_tun_.emplace("wg0");
    ASSERT_TRUE(gateway_tun_->ready());
    for (const Hook hook : {Hook::kTailnetIn, Hook::kTailnetOut}) {
      ASSERT_TRUE(gateway_->plane().attach({"wg0", hook}));
    }
    ASSERT_TRUE(
        run("ip link set lo up && ip addr add 192.168.7.9/32 dev lo &&"
            "ip addr add fd07::9/128 dev lo nodad"));
    ASSERT_TRUE(set_up("10.99.0.1/24", "fd99::1/64", "10.99.0.0/24"));
    listener_ = listen_on(lan_, 22);
    sender_[0] = Fd(::socket(family_, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sender_[1] = Fd(::socket(family_, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    watcher_ = packet_socket();
    laptop_ns_.emplace();
    ASSERT_TRUE(laptop_ns_->entered());
    laptop_tun_.emplace("wg0");
    ASSERT_TRUE(laptop_tun_->ready());
    ASSERT_TRUE(set_up("10.99.0.2/24", "fd99::2/64", "192.168.7.0/24") &&
                run("ip route add fd07::/64 dev wg0"));
    shuttle_.emplace(*gateway_tun_, *laptop_tun_);
  }
  static bool set_up(const std::string& v4, const std::string& v6, const std::string& route) {
    return run(
        fmt::format("ip link set wg0 addrgenmode none up && ip addr add {} dev wg0 &&"
                    "ip addr add {} dev wg0 nodad && ip route replace {} dev wg0",
                    v4, v6, route));
  }
  [[nodiscard]] Fd listen_on(const std::string& address, uint16_t port) const {
    Fd socket(::socket(family_, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const SocketAddress at = address_of(address, port);
    if (bind(socket.raw(), at.raw(), at.length) != 0 || listen(socket.raw(), 5) != 0) return {};
    return socket;
  }
  // Sees what comes in by wg0, of the family.
  [[nodiscard]] Fd packet_socket() const {
    const auto protocol = htons(v6_ ? 0x86dd : 0x0800);
    Fd socket(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, protocol));
    const int one = 1;
    setsockopt(socket.raw(), SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one));
    return socket;
  }
  [[nodiscard]] Fd laptop_socket(int type) const {
    return Fd(::socket(family_, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  }

  const bool v6_ = GetParam();
  const int family_ = v6_ ? AF_INET6 : AF_INET;
  const int prohibited_ = v6_ ? EACCES : EHOSTUNREACH;
  const std::string lan_ = v6_ ? "fd07::9" : "192.168.7.9";
  const std::string laptop_ = v6_ ? "fd99::2" : "10.99.0.2";
  OwnNetns gateway_ns_;
  std::optional<Judged> gateway_;
  std::optional<Tun> gateway_tun_;
  Fd listener_;
  std::array<Fd, 2> sender_;
  Fd watcher_;
  std::optional<OwnNetns> laptop_ns_;
  std::optional<Tun> laptop_tun_;
  std::optional<Shuttle> shuttle_;
};

TEST_P(Sockets, of_the_laptop_connect_or_are_refused_at_once) {
  for (int round = 0; round < 2; round++) {
    const Fd client = laptop_socket(SOCK_STREAM);
    EXPECT_EQ(error_of(client, SOCK_STREAM, address_of(lan_, 22)), 0);
    const Fd refused = laptop_socket(SOCK_STREAM);
    EXPECT_EQ(error_of(refused, SOCK_STREAM, address_of(lan_, 23)), ECONNREFUSED);
    const Fd denied = laptop_socket(SOCK_DGRAM);
    EXPECT_EQ(error_of(denied, SOCK_DGRAM, address_of(lan_, 54)), prohibited_);
  }
}

TEST_P(Sockets, have_segments_that_fit_into_the_tunnel) {
  const Fd client = laptop_socket(SOCK_STREAM);
  ASSERT_EQ(error_of(client, SOCK_STREAM, address_of(lan_, 22)), 0);
  const Fd server(accept(listener_.raw(), nullptr, nullptr));
  const int fits = 1280 - (v6_ ? 60 : 40) - 12;  // both use timestamps
  EXPECT_EQ(segment_of(client), fits);
  EXPECT_EQ(segment_of(server), fits);
}

TEST_P(Sockets, of_the_gateway_are_refused_on_their_way_in) {
  ASSERT_TRUE(gateway_tun_->takes_checksums());
  EXPECT_EQ(error_of(sender_[0], SOCK_STREAM, address_of(laptop_, 22)), ECONNREFUSED);
  EXPECT_EQ(error_of(sender_[1], SOCK_DGRAM, address_of(laptop_, 54)), prohibited_);
}

TEST_P(Sockets, get_a_quote_that_no_device_writes_a_checksum_into) {
  ASSERT_TRUE(gateway_tun_->takes_checksums());
  ASSERT_EQ(error_of(sender_[1], SOCK_DGRAM, address_of(laptop_, 54)), prohibited_);
  Bytes packet(4096);
  iovec data{packet.data(), packet.size()};
  alignas(cmsghdr) std::array<char, 256> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ASSERT_GT(recvmsg(watcher_.raw(), &message, MSG_DONTWAIT), 0) << std::strerror(errno);
  EXPECT_EQ(packet.at(v6_ ? 6 : 9), v6_ ? 58 : 1);
  tpacket_auxdata auxiliary{};
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA)
      std::memcpy(&auxiliary, CMSG_DATA(c), sizeof(auxiliary));
  }
  EXPECT_GT(auxiliary.tp_len, 0U);
  EXPECT_EQ(auxiliary.tp_status & TP_STATUS_CSUMNOTREADY, 0U);
}

INSTANTIATE_TEST_SUITE_P(families, Sockets, testing::Bool(),
                         [](const auto& info) { return info.param ? "v6" : "v4"; });

}  // namespace
}  // namespace sallyport::test
