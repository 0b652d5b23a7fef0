// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/scene/window.h"

#include <gtest/gtest.h>

namespace sallyport::scene {
namespace {

// A busy machine lets an acknowledgement wait for longer than the 200 ms after which Linux sends
// again, and a tail-loss probe comes sooner still. Neither tells of a loss: here only a gap in the
// sequence does, or fifteen seconds of silence.
Connection patient_connection(const Office& office, const Side& side, uint16_t port) {
  const char* family = &side == &kV6 ? "-6" : "-4";
  const auto patient = [&](const std::string& netns, const std::string& to) {
    sh("sysctl -qw net.ipv4.tcp_early_retrans=0 net.ipv4.tcp_recovery=0 && ip " +
           std::string(family) + " route change $(ip " + family + " route show " + to +
           " | head -1 | sed 's/ pref medium//') rto_min 15s",
       netns);
  };
  patient(office.laptop, &side == &kV6 ? "fd00:10::/64" : "10.0.0.0/24");
  patient(office.server, "default");
  return tcp_connect(office.laptop, side.server, port);
}

// Nothing may be lost here, so a wait costs time only where something is wrong.
constexpr auto kPatience = 30s;

// Where a packet may have ended that no rule of ours denied: sockets, queues of a CPU, devices.
std::string kernel_counters(const std::string& netns) {
  return "--- " + netns + "\n" +
         run({"/bin/sh", "-c",
              "grep Udp: /proc/net/snmp; cat /proc/net/softnet_stat; nstat -as | grep -i -e drop "
              "-e err; ip -s link; ss -uamn"},
             netns)
             .out;
}

}  // namespace

Window::Window(const Office& office, const Side& side, uint16_t udp_port, const EchoServer& tcp)
    : office_(office),
      stream_({office.laptop, side.laptop, office.server, side.server, udp_port}),
      pump_(patient_connection(office, side, tcp.port())) {
  expect_flowing("before the window");
  opened_ = stream_.now();
  retransmits_ = retransmits();
}

std::pair<uint64_t, uint64_t> Window::retransmits() const {
  return {tcp_retransmits(office_.laptop), tcp_retransmits(office_.server)};
}

void Window::expect_flowing(const char* when) {
  const uint64_t echoed = pump_.echoed();
  EXPECT_TRUE(stream_.flowing(250)) << when << "\n"
                                    << stream_.now().text() << office_.gateway->dump();
  EXPECT_TRUE(eventually([&] { return pump_.echoed() > echoed; }))
      << when << office_.gateway->dump();
}

void Window::around(const std::function<void()>& event) {
  ++events_;
  expect_flowing("before the event");
  const auto before = stream_.now();
  event();
  const auto after = stream_.now();
  expect_flowing("after the event");
  const auto now = stream_.now();
  for (const auto direction : {&Stream::Report::a_to_b, &Stream::Report::b_to_a}) {
    EXPECT_GT((before.*direction).sent, (opened_.*direction).sent) << "the event is in the window";
    EXPECT_GT((after.*direction).sent, (before.*direction).sent) << "sent during the event";
    EXPECT_GT((now.*direction).highest, (after.*direction).sent) << "sent and received after it";
  }
}

void Window::close() {
  expect_flowing("at the end");
  EXPECT_GT(events_, 0);
  const auto report = stream_.finish(kPatience);
  EXPECT_EQ(report.lost(), 0U) << report.text() << office_.gateway->dump()
                               << kernel_counters(office_.laptop) << kernel_counters(office_.gw)
                               << kernel_counters(office_.server);
  EXPECT_GE(report.rate_since(opened_), kLeastRate) << "this machine is too busy to judge by\n"
                                                    << report.text();
  EXPECT_TRUE(pump_.finish()) << office_.gateway->dump();
  EXPECT_EQ(retransmits(), retransmits_) << office_.gateway->dump();
}

}  // namespace sallyport::scene
