// SPDX-License-Identifier: BSD-3-Clause
/// loop.echo: what a UDP packet that comes and goes costs the echoing thread, through agent/io and
/// by hand with recvmmsg and sendmmsg.
///
///   client, windows of 64 x 100 B  --lo-->  echo thread (its CPU time is the figure)
///                                  <--lo--
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <ctime>
#include <functional>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include "agent/io/loop.h"
#include "agent/io/sockaddr.h"
#include "agent/io/udp.h"
#include "tests/bench/figure.h"

namespace sallyport::io {
namespace {

constexpr size_t kWindow = 64;
constexpr size_t kPacketBytes = 100;
constexpr size_t kWindows = 300;
constexpr int kRounds = 15;
// One byte long: the echo ends.
constexpr size_t kLastBytes = 1;

double thread_cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Each returns the ns a packet of its own thread.
double echo_by_loop(std::promise<Endpoint>& ready) {
  const auto loop = *Loop::create();
  std::optional<UdpSocket> socket;
  size_t packets = 0;
  socket = *UdpSocket::bind(*loop, {IpAddress::v4(0x7f000001), 0}, {},
                            {.on_datagram = [&](const Received& received) {
                              if (received.bytes.size() == kLastBytes) return loop->stop();
                              ++packets;
                              (void)socket->send({.bytes = received.bytes, .to = received.from});
                            }});
  ready.set_value(*socket->local());
  const double before = thread_cpu_ns();
  (void)loop->run();
  return (thread_cpu_ns() - before) / static_cast<double>(packets);
}

double echo_by_hand(std::promise<Endpoint>& ready) {
  const Fd socket = *open_udp({IpAddress::v4(0x7f000001), 0});
  std::vector<std::array<uint8_t, 2048>> buffers(kWindow);
  std::vector<sockaddr_in6> names(kWindow);
  std::vector<iovec> parts(kWindow);
  std::vector<mmsghdr> headers(kWindow);
  size_t packets = 0;
  ready.set_value(*local_endpoint(socket));
  const double before = thread_cpu_ns();
  for (bool last = false; !last;) {
    for (size_t i = 0; i < kWindow; ++i) {
      parts[i] = {buffers[i].data(), buffers[i].size()};
      headers[i].msg_hdr = {&names[i], sizeof names[i], &parts[i], 1, nullptr, 0, 0};
    }
    const int count = ::recvmmsg(socket.raw(), headers.data(), kWindow, MSG_WAITFORONE, nullptr);
    for (int i = 0; i < count; ++i) {
      parts[static_cast<size_t>(i)].iov_len = headers[static_cast<size_t>(i)].msg_len;
      last = last || headers[static_cast<size_t>(i)].msg_len == kLastBytes;
    }
    for (int sent = 0; sent < count;) {
      const int now =
          ::sendmmsg(socket.raw(), headers.data() + sent, static_cast<unsigned>(count - sent), 0);
      sent += now > 0 ? now : 1;
    }
    packets += static_cast<size_t>(std::max(count, 0));
  }
  return (thread_cpu_ns() - before) / static_cast<double>(packets);
}

void drive_client(const Endpoint& to) {
  const Fd socket = *open_udp({IpAddress::v4(0x7f000001), 0});
  const timeval patience{1, 0};  // a lost packet ends its window
  ::setsockopt(socket.raw(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  SocketAddress name = to_socket_address(to, AF_INET);
  ::connect(socket.raw(), &name.base, name.bytes);
  std::vector<std::array<uint8_t, kPacketBytes>> buffers(kWindow);
  std::vector<iovec> parts(kWindow);
  std::vector<mmsghdr> headers(kWindow);
  for (size_t i = 0; i < kWindow; ++i) {
    parts[i] = {buffers[i].data(), buffers[i].size()};
    headers[i].msg_hdr.msg_iov = &parts[i];
    headers[i].msg_hdr.msg_iovlen = 1;
  }
  for (size_t window = 0; window < kWindows; ++window) {
    ::sendmmsg(socket.raw(), headers.data(), kWindow, 0);
    for (size_t back = 0; back < kWindow;) {
      const int count = ::recvmmsg(socket.raw(), headers.data(),
                                   static_cast<unsigned>(kWindow - back), MSG_WAITFORONE, nullptr);
      if (count <= 0) break;
      back += static_cast<size_t>(count);
    }
  }
  ::send(socket.raw(), buffers[0].data(), kLastBytes, 0);
}

double measure(double (*echo)(std::promise<Endpoint>&)) {
  std::promise<Endpoint> ready;
  double ns = 0;
  std::thread thread{[&] { ns = echo(ready); }};
  drive_client(ready.get_future().get());
  thread.join();
  return ns;
}

}  // namespace
}  // namespace sallyport::io

int main(int argc, char** argv) {
  using namespace sallyport;
  const bench::Filter filter{argc, argv};
  if (!filter.wants("loop.echo")) return 0;
  bench::Samples ours;
  bench::Samples by_hand;
  for (int round = 0; round < io::kRounds; ++round) {  // in turn: the machine's load hits both
    ours.add(io::measure(io::echo_by_loop));
    by_hand.add(io::measure(io::echo_by_hand));
  }
  bench::print({.name = "loop.echo",
                .unit = "ns",
                .samples = ours,
                .baseline = bench::Baseline{"recvmmsg_sendmmsg", by_hand},
                .goal = bench::at_most(1.2)});
  return 0;
}
