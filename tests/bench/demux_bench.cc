// SPDX-License-Identifier: BSD-3-Clause
/// demux.tax: what sharing WireGuard's port with the node costs one of WireGuard's own packets: the
/// program of a port with a node that holds paths, less the same without one, as BPF_PROG_TEST_RUN.
/// The packet comes from an endpoint that is watched, which is the longest way through it. Against
/// it, what the other way to hear disco on that port costs the same packet: a raw socket whose
/// filter takes nothing else, seen in the time that a datagram takes from one socket on lo to
/// another, which the kernel spends in the sender's call.
///
/// demux.other: likewise for a datagram to another port, which most are.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <iostream>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "kmod-glue/bpf_loader.h"
#include "tests/bench/figure.h"

namespace sallyport::bench {
namespace {

constexpr int kRounds = 15;
constexpr int kRuns = 400'000;      // of a program in a round
constexpr int kDatagrams = 20'000;  // through sockets in a round
constexpr int kBurst = 64;          // so many fit into the receiver's buffer
constexpr size_t kPayload = 128;    // a small packet of WireGuard's
constexpr uint16_t kWg = 55555, kAgent = 55556, kRelay = 55557, kPeerPort = 41641;
constexpr uint32_t kPeer = 0xcb007109;  // 203.0.113.9
constexpr uint32_t kUs = 0xc6336401;    // 198.51.100.1

[[noreturn]] void give_up(const std::string& why) {
  std::cerr << "bench_demux: " << why << '\n';
  std::exit(1);
}
template <class T>
T need(Result<T> result) {
  if (!result) give_up(result.error().text());
  return std::move(result).value();
}
void need(const Result<void>& result) {
  if (!result) give_up(result.error().text());
}

void put16(std::vector<uint8_t>& out, size_t at, uint32_t value) {
  out.at(at) = static_cast<uint8_t>(value >> 8);
  out.at(at + 1) = static_cast<uint8_t>(value);
}
void put32(std::vector<uint8_t>& out, size_t at, uint32_t value) {
  put16(out, at, value >> 16);
  put16(out, at + 2, value & 0xffff);
}

// An Ethernet frame with WireGuard's data to this port. Nothing looks at its checksums.
std::vector<uint8_t> frame(uint16_t to) {
  std::vector<uint8_t> out(14 + 20 + 8 + kPayload);
  put16(out, 12, 0x0800);
  put32(out, 14, 0x45000000 | static_cast<uint32_t>(20 + 8 + kPayload));
  out.at(22) = 64;
  out.at(23) = IPPROTO_UDP;
  put32(out, 26, kPeer);
  put32(out, 30, kUs);
  put16(out, 34, kPeerPort);
  put16(out, 36, to);
  put16(out, 38, 8 + kPayload);
  out.at(42) = 4;  // data
  return out;
}

double run_ns(const DataPlane& plane, const std::vector<uint8_t>& packet) {
  bpf_test_run_opts run{};
  run.sz = sizeof(run);
  run.data_in = packet.data();
  run.data_size_in = static_cast<uint32_t>(packet.size());
  run.repeat = kRuns;
  if (bpf_prog_test_run_opts(plane.program_fd(Hook::kPortIn).value_or(-1), &run) != 0 ||
      run.retval != UINT32_MAX) {
    give_up(fmt::format("a run ended with {}", run.retval));
  }
  return run.duration;
}

void bring_up_lo() {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  if (ioctl(socket.raw(), SIOCGIFFLAGS, &request) != 0) give_up("there is no lo");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (ioctl(socket.raw(), SIOCSIFFLAGS, &request) != 0) give_up("lo does not come up");
}

// Takes datagrams that begin with disco's magic.
Fd raw_socket() {
  Fd socket(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP));
  std::array<sock_filter, 5> steps{{
      BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_IND, 8),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x5453f09f, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
      BPF_STMT(BPF_RET | BPF_K, 0),
  }};
  const sock_fprog program{steps.size(), steps.data()};
  if (!socket.valid() ||
      setsockopt(socket.raw(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0) {
    give_up(std::string("a raw socket: ") + std::strerror(errno));
  }
  return socket;
}

class Sockets {
 public:
  Sockets()
      : from_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
        to_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(at);
    auto* raw = reinterpret_cast<sockaddr*>(&at);
    if (bind(to_.raw(), raw, length) != 0 || getsockname(to_.raw(), raw, &length) != 0 ||
        connect(from_.raw(), raw, length) != 0) {
      give_up("two sockets on lo");
    }
  }
  /// Of the sender's call, the median burst: what comes between is a burst of its own.
  double ns_a_datagram() {
    Samples bursts;
    for (int sent = 0; sent < kDatagrams; sent += kBurst) {
      const int64_t before = now_ns();
      for (int i = 0; i < kBurst; i++) {
        if (send(from_.raw(), payload_.data(), payload_.size(), 0) < 0) give_up("lo is full");
      }
      bursts.add(static_cast<double>(now_ns() - before) / kBurst);
      int got = 0;
      while (recv(to_.raw(), payload_.data(), payload_.size(), 0) > 0) got++;
      if (got != kBurst) give_up(fmt::format("{} of {} arrived", got, kBurst));
    }
    return bursts.median();
  }

 private:
  static int64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
  }
  Fd from_;
  Fd to_;
  std::array<uint8_t, kPayload> payload_{4};
};

int measure(const Filter& filter) {
  if (!filter.wants("demux.tax") && !filter.wants("demux.other")) return 0;
  bring_up_lo();
  const auto plane = need(DataPlane::open({.pin_dir = {}}));
  PathMaps& paths = plane->paths();
  need(paths.watch({IpAddress::v4(kPeer), kPeerPort}, {}));
  Sockets sockets;
  Samples tax;
  Samples other;
  Samples raw;
  for (int round = 0; round <= kRounds; round++) {
    paths.set_ports({});
    const double without = run_ns(*plane, frame(kWg));
    paths.set_ports({kWg, kAgent, kRelay, {0x80000, 0xff0000}});
    const double with = run_ns(*plane, frame(kWg));
    const double passing = run_ns(*plane, frame(kWg + 100));
    const double alone = sockets.ns_a_datagram();
    const Fd listener = raw_socket();
    const double heard = sockets.ns_a_datagram();
    if (round == 0) continue;  // warm
    tax.add(with - without);
    other.add(passing - without);
    raw.add(heard - alone);
  }
  const auto heard = need(paths.heard({IpAddress::v4(kPeer), kPeerPort}));
  const uint64_t expected = uint64_t{kRounds + 1} * kRuns;
  if (!heard || heard->packets != expected) give_up("not measured as meant");
  const Baseline base{"raw_socket", raw};
  if (filter.wants("demux.tax")) print({"demux.tax", "ns", tax, base, at_most(0.1)});
  if (filter.wants("demux.other")) print({"demux.other", "ns", other, base});
  return 0;
}

}  // namespace
}  // namespace sallyport::bench

int main(int argc, char** argv) {
  return sallyport::bench::measure(sallyport::bench::Filter(argc, argv));
}
