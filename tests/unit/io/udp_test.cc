// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/udp.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/io/drive.h"

namespace sallyport::io {
namespace {

const Endpoint kAny4{IpAddress::v4(0x7f000001), 0};
const Endpoint kAny6{*IpAddress::parse("::1"), 0};

UdpSocket bind(Loop& loop, const Endpoint& at, UdpCallbacks callbacks,
               const UdpOptions& options = {}) {
  auto made = UdpSocket::bind(loop, at, options, std::move(callbacks));
  EXPECT_TRUE(made) << (made ? "" : made.error().text());
  return made ? std::move(made).value() : UdpSocket{};
}

struct Seen {
  std::string bytes;
  Endpoint from;
  std::optional<IpAddress> to;
  uint32_t ifindex;
  uint16_t segment_bytes;
};
UdpCallbacks collect(std::vector<Seen>& into) {
  return {.on_datagram = [&into](const Received& r) {
    into.push_back({text(r.bytes), r.from, r.to, r.ifindex, r.segment_bytes});
  }};
}

class udp_family : public testing::TestWithParam<Endpoint> {};

TEST_P(udp_family, echo) {
  const auto loop = make_loop();
  std::optional<UdpSocket> echo;
  echo = bind(*loop, GetParam(), {.on_datagram = [&](const Received& r) {
    EXPECT_TRUE(echo->send({.bytes = r.bytes, .to = r.from}));
  }});
  std::vector<Seen> seen;
  UdpSocket client = bind(*loop, GetParam(), collect(seen));
  for (int i = 0; i < 1000; ++i) {
    // One window: neither the socket's queue nor ours overflows.
    ASSERT_TRUE(client.send({.bytes = view("n" + std::to_string(i)), .to = *echo->local()}));
    if (i % 100 == 99) {
      ASSERT_TRUE(run_until(*loop, [&] { return seen.size() == static_cast<size_t>(i + 1); }));
    }
  }
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].bytes, "n" + std::to_string(i));
    EXPECT_EQ(seen[i].from, *echo->local());
  }
  EXPECT_EQ(echo->counters().received, 1000U);
  EXPECT_EQ(echo->counters().sent, 1000U);
}

TEST_P(udp_family, packet_info_names_both_ends) {
  const auto loop = make_loop();
  std::vector<Seen> seen;
  UdpSocket server = bind(*loop, GetParam(), collect(seen), {.packet_info = true});
  UdpSocket client = bind(*loop, GetParam(), {}, {});
  ASSERT_TRUE(client.send({.bytes = view("x"), .to = *server.local(), .from = GetParam().address}));
  ASSERT_TRUE(run_until(*loop, [&] { return !seen.empty(); }));
  EXPECT_EQ(seen[0].to, GetParam().address);
  EXPECT_EQ(seen[0].ifindex, 1U);  // lo
  EXPECT_EQ(seen[0].from, *client.local());
}

TEST_P(udp_family, segments_arrive_coalesced) {
  const auto loop = make_loop();
  std::vector<Seen> seen;
  UdpSocket server = bind(*loop, GetParam(), collect(seen),
                          {.coalesce = true, .receive_buffers = 8, .receive_bytes = 65536});
  UdpSocket client = bind(*loop, GetParam(), {});
  std::string payload(5 * 1000 + 300, 'a');
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<char>('a' + i / 1000);
  ASSERT_TRUE(client.send({.bytes = view(payload), .to = *server.local(), .segment_bytes = 1000}));
  std::string all;
  ASSERT_TRUE(run_until(*loop, [&] {
    all.clear();
    for (const Seen& one : seen) all += one.bytes;
    return all.size() >= payload.size();
  }));
  EXPECT_EQ(all, payload);
  EXPECT_EQ(seen.at(0).segment_bytes, 1000);
}

INSTANTIATE_TEST_SUITE_P(families, udp_family, testing::Values(kAny4, kAny6),
                         [](const auto& row) { return row.param == kAny4 ? "ipv4" : "ipv6"; });

TEST(udp, dual_stack_shows_ipv4_as_ipv4) {
  const auto loop = make_loop();
  std::vector<Seen> seen;
  UdpSocket server = bind(*loop, {*IpAddress::parse("::"), 0}, collect(seen),
                          {.packet_info = true, .dual_stack = true});
  UdpSocket client = bind(*loop, kAny4, {});
  ASSERT_TRUE(client.send({.bytes = view("x"), .to = {kAny4.address, server.local()->port}}));
  ASSERT_TRUE(run_until(*loop, [&] { return !seen.empty(); }));
  EXPECT_EQ(seen[0].from, *client.local());
  EXPECT_EQ(seen[0].to, kAny4.address);
}

TEST(udp, dual_stack_sends_ipv4_by_a_device_without_naming_a_source) {
  const auto loop = make_loop();
  std::vector<Seen> seen;
  UdpSocket server = bind(*loop, kAny4, collect(seen), {.packet_info = true});
  UdpSocket client = bind(*loop, {*IpAddress::parse("::"), 0}, {}, {.dual_stack = true});
  const IpAddress other = IpAddress::v4(0x7f000002);
  ASSERT_TRUE(client.send({.bytes = view("x"), .to = *server.local(), .ifindex = 1}));
  ASSERT_TRUE(
      client.send({.bytes = view("y"), .to = *server.local(), .from = other, .ifindex = 1}));
  ASSERT_TRUE(run_until(*loop, [&] { return seen.size() == 2; }));
  EXPECT_EQ(seen[0].from.address, kAny4.address);
  EXPECT_EQ(seen[1].from.address, other);
  EXPECT_EQ(client.counters().refused, 0U);
}

TEST(udp, flush_does_not_wait_for_the_end_of_the_turn) {
  const auto loop = make_loop();
  UdpSocket client = bind(*loop, kAny4, {});
  ASSERT_TRUE(client.send({.bytes = view("x"), .to = *client.local()}));
  EXPECT_EQ(client.counters().sent, 0U);
  client.flush();
  EXPECT_EQ(client.counters().sent, 1U);
}

TEST(udp, empty_datagrams_are_datagrams_and_long_ones_are_counted) {
  const auto loop = make_loop();
  std::vector<Seen> seen;
  UdpSocket server = bind(*loop, kAny4, collect(seen), {.receive_bytes = 100});
  UdpSocket client = bind(*loop, kAny4, {});
  const std::string fits(100, 'f');
  const std::string longer(101, 'l');
  for (const std::string& bytes : {std::string{}, longer, fits}) {
    ASSERT_TRUE(client.send({.bytes = view(bytes), .to = *server.local()}));
  }
  ASSERT_TRUE(run_until(*loop, [&] { return seen.size() == 2; }));
  EXPECT_EQ(seen[0].bytes, "");
  EXPECT_EQ(seen[1].bytes, fits);
  EXPECT_EQ(server.counters().truncated, 1U);
}

TEST(udp, goes_on_after_all_buffers_were_full) {
  const auto loop = make_loop();
  std::vector<Seen> seen;
  UdpSocket server = bind(*loop, kAny4, collect(seen), {.receive_buffers = 4});
  UdpSocket client = bind(*loop, kAny4, {});
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(client.send({.bytes = view("x"), .to = *server.local()}));
  }
  ASSERT_TRUE(run_until(*loop, [&] { return seen.size() == 100; }));
  EXPECT_GT(server.counters().starved, 0U);
}

TEST(udp, a_refused_datagram_is_reported_and_the_others_leave) {
  const auto loop = make_loop();
  std::vector<Seen> seen;
  UdpSocket server = bind(*loop, kAny4, collect(seen));
  std::vector<std::pair<Endpoint, int>> refused;
  UdpSocket client =
      bind(*loop, kAny4,
           {.on_refused = [&](const Endpoint& to, int error) { refused.emplace_back(to, error); }});
  const std::string huge(66'000, 'h');
  const Endpoint wrong_family{*IpAddress::parse("2001:db8::1"), 9};
  ASSERT_TRUE(client.send({.bytes = view("one"), .to = *server.local()}));
  ASSERT_TRUE(client.send({.bytes = view(huge), .to = *server.local()}));
  ASSERT_TRUE(client.send({.bytes = view("x"), .to = wrong_family}));
  ASSERT_TRUE(client.send({.bytes = view("two"), .to = *server.local()}));
  ASSERT_TRUE(run_until(*loop, [&] { return seen.size() == 2 && refused.size() == 2; }));
  EXPECT_EQ(refused[0], std::pair(*server.local(), EMSGSIZE));
  EXPECT_EQ(refused[1], std::pair(wrong_family, EDESTADDRREQ));
  EXPECT_EQ(client.counters().refused, 2U);
}

TEST(udp, a_full_queue_is_an_answer_and_room_is_announced) {
  const auto loop = make_loop();
  bool writable = false;
  UdpSocket client =
      bind(*loop, kAny4, {.on_writable = [&] { writable = true; }}, {.send_queue = 3});
  const Endpoint nobody = *client.local();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(client.send({.bytes = view("x"), .to = nobody}));
  EXPECT_FALSE(client.send({.bytes = view("x"), .to = nobody}));
  ASSERT_TRUE(run_until(*loop, [&] { return writable; }));
  EXPECT_TRUE(client.send({.bytes = view("x"), .to = nobody}));
}

TEST(udp, adopts_a_nonblocking_socket) {
  const auto loop = make_loop();
  Fd socket = *open_udp(kAny4);
  ASSERT_EQ(::fcntl(socket.raw(), F_SETFL, O_NONBLOCK), 0);
  std::vector<Seen> seen;
  auto server = UdpSocket::adopt(*loop, std::move(socket), {}, collect(seen));
  ASSERT_TRUE(server);
  UdpSocket client = bind(*loop, kAny4, {});
  settle(*loop);
  ASSERT_TRUE(client.send({.bytes = view("x"), .to = *server->local()}));
  ASSERT_TRUE(run_until(*loop, [&] { return !seen.empty(); }));
}

TEST(udp, refuses_what_is_no_udp_socket) {
  const auto loop = make_loop();
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
  const Fd other{pair[1]};
  const auto made = UdpSocket::adopt(*loop, Fd{pair[0]}, {}, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code.value(), EAFNOSUPPORT);
}

TEST(udp, destroyed_within_its_own_callback_with_more_to_come) {
  const auto loop = make_loop();
  int calls = 0;
  std::optional<UdpSocket> server;
  server =
      bind(*loop, kAny4, {.on_datagram = [&, canary = std::vector<int>(64, 1)](const Received& r) {
        const Endpoint from = r.from;
        server.reset();
        calls += canary.at(63);
        EXPECT_EQ(text(r.bytes), "x");  // the buffer is the loop's
        EXPECT_EQ(r.from, from);
      }});
  UdpSocket client = bind(*loop, kAny4, {});
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(client.send({.bytes = view("x"), .to = *server->local()}));
  }
  ASSERT_TRUE(run_until(*loop, [&] { return calls > 0; }));
  settle(*loop);
  EXPECT_EQ(calls, 1);
}

TEST(udp, destroyed_with_operations_in_flight_and_the_port_is_free_again) {
  const auto loop = make_loop();
  std::optional<UdpSocket> server{
      bind(*loop, kAny4, {.on_datagram = [](const Received&) { FAIL(); }})};
  UdpSocket client = bind(*loop, kAny4, {});
  const Endpoint at = *server->local();
  settle(*loop);
  const size_t before = loop->in_flight();
  ASSERT_TRUE(client.send({.bytes = view("late"), .to = at}));
  loop->post([&] { server.reset(); });  // the datagram is in its queue by then
  ASSERT_TRUE(run_until(*loop, [&] { return loop->in_flight() < before; }));
  EXPECT_TRUE(open_udp(at));
}

TEST(udp, what_was_taken_is_sent_even_if_the_socket_goes_at_once) {
  const auto loop = make_loop();
  std::vector<Seen> seen;
  UdpSocket server = bind(*loop, kAny4, collect(seen));
  {
    UdpSocket client = bind(*loop, kAny4, {});
    ASSERT_TRUE(client.send({.bytes = view("bye"), .to = *server.local()}));
  }
  ASSERT_TRUE(run_until(*loop, [&] { return !seen.empty(); }));
  EXPECT_EQ(seen[0].bytes, "bye");
}

TEST(udp, works_on_a_restricted_ring) {
  const auto loop = make_loop({.allowed_operations = own_operations()});
  std::vector<Seen> seen;
  UdpSocket server = bind(*loop, kAny4, collect(seen));
  UdpSocket client = bind(*loop, kAny4, {});
  ASSERT_TRUE(client.send({.bytes = view("x"), .to = *server.local()}));
  ASSERT_TRUE(run_until(*loop, [&] { return !seen.empty(); }));
}

TEST(udp, an_operation_that_the_ring_forbids_is_an_error_of_the_socket) {
  const auto loop = make_loop({.allowed_operations = std::vector<uint8_t>{11, 12}});  // timeouts
  std::optional<Error> error;
  UdpSocket server = bind(*loop, kAny4, {.on_error = [&](const Error& e) { error = e; }});
  ASSERT_TRUE(run_until(*loop, [&] { return error.has_value(); }));
  EXPECT_EQ(error->code.value(), EACCES);
}

}  // namespace
}  // namespace sallyport::io
