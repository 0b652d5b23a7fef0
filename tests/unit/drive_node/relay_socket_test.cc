// SPDX-License-Identifier: BSD-3-Clause
// Between a relay socket and a socket that stands for WireGuard, over lo.
#include "agent/drive/node/relay_socket.h"

#include <map>
#include <string>
#include <vector>

#include "agent/io/sockaddr.h"
#include "tests/unit/io/drive.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;
using io::text;
using io::view;

const IpAddress kLo = IpAddress::v4(0x7f000001);
const IpAddress kFirst = IpAddress::v4(0x7f010203);
const IpAddress kSecond = IpAddress::v4(0x7f010204);

class relay_socket : public testing::Test {
 protected:
  void SetUp() override { open({}); }
  void open(const io::LoopOptions& options) {
    relay_.reset();
    wireguard_ = {};
    loop_ = io::make_loop(options);
    wireguard_ = *io::UdpSocket::bind(
        *loop_, {kLo, 0}, {}, {.on_datagram = [this](const io::Received& received) {
          EXPECT_EQ(received.from.port, port_);
          decrypted_[received.from.address].push_back(text(received.bytes));
          ++arrived_;
        }});
    Fd socket = *io::open_udp({IpAddress::v4(0), 0});
    port_ = io::local_endpoint(socket)->port;
    auto made = RelaySocket::adopt(*loop_, std::move(socket), wireguard_.local()->port,
                                   {.on_parked = [this](const IpAddress& parking, ByteView packet) {
                                     parked_.emplace_back(parking, text(packet));
                                   }});
    ASSERT_TRUE(made) << made.error().text();
    relay_ = std::move(made).value();
  }
  template <class Predicate>
  bool until(Predicate&& done) {
    return io::run_until(*loop_, done);
  }
  void inject(const IpAddress& parking, const std::string& packet) {
    relay_->inject(parking, view(packet));
  }

  std::unique_ptr<io::Loop> loop_;
  io::UdpSocket wireguard_;
  uint16_t port_ = 0;
  std::unique_ptr<RelaySocket> relay_;
  std::map<IpAddress, std::vector<std::string>> decrypted_;
  size_t arrived_ = 0;
  std::vector<std::pair<IpAddress, std::string>> parked_;
};

TEST_F(relay_socket, wireguards_packets_say_whose_they_are) {
  ASSERT_TRUE(wireguard_.send({.bytes = view("one"), .to = {kFirst, port_}}));
  ASSERT_TRUE(wireguard_.send({.bytes = view("two"), .to = {kSecond, port_}}));
  ASSERT_TRUE(until([&] { return parked_.size() == 2; }));
  EXPECT_EQ(parked_,
            (std::vector<std::pair<IpAddress, std::string>>{{kFirst, "one"}, {kSecond, "two"}}));
  EXPECT_EQ(relay_->counters().parked, 2U);
}

TEST_F(relay_socket, another_program_of_the_host_is_not_wireguard) {
  io::UdpSocket stranger = *io::UdpSocket::bind(*loop_, {kFirst, 0}, {}, {});
  ASSERT_TRUE(stranger.send({.bytes = view("x"), .to = {kSecond, port_}}));
  ASSERT_TRUE(until([&] { return relay_->counters().strangers == 1; }));
  ASSERT_TRUE(wireguard_.send({.bytes = view("one"), .to = {kFirst, port_}}));
  ASSERT_TRUE(until([&] { return !parked_.empty(); }));
  EXPECT_EQ(parked_[0].second, "one");
}

TEST_F(relay_socket, packets_come_to_wireguard_as_the_peers) {
  std::map<IpAddress, std::vector<std::string>> sent;
  for (int i = 0; i < 20; ++i) {
    for (const IpAddress& peer : {kFirst, kSecond}) {
      const std::string packet =
          std::to_string(i) + std::string(static_cast<size_t>(i % 5 == 4 ? 100 : 300), 'p');
      sent[peer].push_back(packet);
      inject(peer, packet);
    }
  }
  ASSERT_TRUE(until([&] { return arrived_ == 40; }));
  EXPECT_EQ(decrypted_, sent);
  EXPECT_EQ(relay_->counters().injected, 40U);
  EXPECT_EQ(relay_->counters().dropped, 0U);
  // Per peer: 0-4, 5-9, then 10 (longer by a digit) to 14 and 15-19.
  EXPECT_EQ(relay_->counters().groups, 8U);
}

TEST_F(relay_socket, equal_packets_leave_as_one_and_arrive_as_many) {
  for (int i = 0; i < 64; ++i) inject(kFirst, std::string(500, static_cast<char>('0' + i)));
  ASSERT_TRUE(until([&] { return arrived_ == 64; }));
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(decrypted_[kFirst][static_cast<size_t>(i)],
              std::string(500, static_cast<char>('0' + i)));
  }
  EXPECT_EQ(relay_->counters().groups, 1U);
}

TEST_F(relay_socket, a_burst_is_paced) {
  const Instant begin = io::boot_now();
  constexpr size_t kMany = 3000;
  for (size_t i = 0; i < kMany; ++i) inject(kFirst, "packet");
  // No turn of the loop has passed.
  const auto elapsed = std::chrono::duration<double, std::milli>(io::boot_now() - begin).count();
  EXPECT_GE(relay_->counters().injected, kInjectBurst - InjectGroups::kMaxPackets);
  EXPECT_LE(static_cast<double>(relay_->counters().injected),
            double{kInjectBurst} + elapsed * double{kInjectPerMs});
  ASSERT_TRUE(until([&] {
    const RelaySocketCounters& counters = relay_->counters();
    return counters.injected + counters.dropped == kMany;
  }));
  const auto all = std::chrono::duration<double, std::milli>(io::boot_now() - begin).count();
  // What did not fit while it was all given to us is gone; what fitted left in time.
  EXPECT_LE(
      static_cast<double>(relay_->counters().injected),
      double{kInjectBurst} + double{InjectGroups::kQueuePackets} + elapsed * double{kInjectPerMs});
  EXPECT_LE(static_cast<double>(relay_->counters().injected),
            double{kInjectBurst} + all * double{kInjectPerMs});
}

TEST_F(relay_socket, what_comes_while_it_waits_leaves_in_order) {
  size_t sent = 0;
  const auto some = [&](size_t count) {
    for (size_t i = 0; i < count; ++i) inject(kFirst, std::to_string(sent++) + "/");
  };
  // Small ones in small lots: a receiver's buffer holds them all.
  for (int lot = 0; lot < 12; ++lot) {
    some(90);
    ASSERT_TRUE(until([&] { return arrived_ + relay_->counters().dropped >= sent; }));
  }
  EXPECT_EQ(relay_->counters().dropped, 0U);
  for (size_t i = 0; i < sent; ++i) {
    ASSERT_EQ(decrypted_[kFirst].at(i), std::to_string(i) + "/");
  }
}

TEST_F(relay_socket, no_parking_address_and_no_packet_are_dropped) {
  inject(IpAddress::v4(0xc0000201), "x");
  inject(*IpAddress::parse("::1"), "x");
  inject(kFirst, "");
  EXPECT_EQ(relay_->counters().dropped, 3U);
  inject(kFirst, "x");
  ASSERT_TRUE(until([&] { return arrived_ == 1; }));
}

TEST_F(relay_socket, what_the_kernel_refuses_is_counted) {
  relay_->set_wireguard_port(0);
  inject(kFirst, "one");
  inject(kFirst, "two");
  ASSERT_TRUE(until([&] { return relay_->counters().dropped == 2; }));
  relay_->set_wireguard_port(wireguard_.local()->port);
  inject(kFirst, "three");
  ASSERT_TRUE(until([&] { return arrived_ == 1; }));
  EXPECT_EQ(relay_->counters().injected, 1U);
}

TEST_F(relay_socket, an_answer_within_the_hook_and_the_end_within_it) {
  relay_.reset();
  Fd socket = *io::open_udp({IpAddress::v4(0), 0});
  port_ = io::local_endpoint(socket)->port;
  relay_ = *RelaySocket::adopt(*loop_, std::move(socket), wireguard_.local()->port,
                               {.on_parked = [this](const IpAddress& parking, ByteView packet) {
                                 relay_->inject(parking, packet);
                                 if (text(packet) == "end") relay_.reset();
                               }});
  ASSERT_TRUE(wireguard_.send({.bytes = view("echo"), .to = {kFirst, port_}}));
  ASSERT_TRUE(until([&] { return arrived_ == 1; }));
  EXPECT_EQ(decrypted_[kFirst].at(0), "echo");
  ASSERT_TRUE(wireguard_.send({.bytes = view("end"), .to = {kFirst, port_}}));
  ASSERT_TRUE(until([&] { return relay_ == nullptr; }));
  io::settle(*loop_);
  EXPECT_EQ(arrived_, 1U);
}

TEST_F(relay_socket, works_on_a_restricted_ring) {
  open({.allowed_operations = io::own_operations()});
  inject(kFirst, "x");
  ASSERT_TRUE(wireguard_.send({.bytes = view("y"), .to = {kSecond, port_}}));
  ASSERT_TRUE(until([&] { return arrived_ == 1 && parked_.size() == 1; }));
}

}  // namespace
}  // namespace sallyport
