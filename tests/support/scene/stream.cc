// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/scene/stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace sallyport::scene {
namespace {

constexpr auto kTick = std::chrono::milliseconds(2);
constexpr size_t kAtOnce = 32;          // fewer than any queue on the way takes
constexpr int kUnasked = 256;           // of WireGuard's 1,024; others use them too
constexpr uint64_t kWordsInPacket = 8;  // 64 bytes
constexpr uint64_t kNoNumber = 100'000'000;

using Packet = std::array<uint64_t, kWordsInPacket>;

/// Packets for sendmmsg(2) or recvmmsg(2), with room for their addresses.
struct Batch {
  std::array<Packet, kAtOnce> packets{};
  std::array<SocketAddress, kAtOnce> addresses{};
  std::array<iovec, kAtOnce> parts{};
  std::array<mmsghdr, kAtOnce> headers{};

  Batch() {
    for (size_t i = 0; i < kAtOnce; ++i) {
      parts[i] = {packets[i].data(), sizeof(Packet)};
      headers[i].msg_hdr.msg_iov = &parts[i];
      headers[i].msg_hdr.msg_iovlen = 1;
      headers[i].msg_hdr.msg_name = &addresses[i].storage;
    }
  }
};

}  // namespace

Stream::Stream(const Ends& ends, int per_second, uint64_t window)
    : a_{.socket = udp_socket(ends.a_netns, ends.a_address)},
      b_{.socket = udp_socket(ends.b_netns, ends.b_address, ends.b_port)},
      per_second_(per_second),
      window_(window),
      b_address_(socket_address(ends.b_address, port_of(b_.socket))) {
  a_receiver_ = std::thread([this] { receive_loop(a_); });
  b_receiver_ = std::thread([this] { receive_loop(b_); });
  sender_ = std::thread([this] { send_loop(); });
}

Stream::~Stream() {
  sending_ = false;
  running_ = false;
  if (sender_.joinable()) sender_.join();
  a_receiver_.join();
  b_receiver_.join();
}

void Stream::send_some(Side& from, const Side& to, const SocketAddress& where, uint64_t most) {
  const uint64_t first = from.sent;
  if (window_ != 0) most = std::min(most, window_ - std::min(window_, first - to.received));
  most = std::min<uint64_t>(most, kAtOnce);
  if (most == 0) return;
  Batch batch;
  for (uint64_t i = 0; i < most; ++i) {
    batch.packets[i][0] = first + i;
    batch.addresses[i] = where;
    batch.headers[i].msg_hdr.msg_namelen = where.length;
  }
  // Counted before they go: nobody receives a number that is not among the sent ones.
  from.sent = first + most;
  const int sent =
      ::sendmmsg(from.socket.raw(), batch.headers.data(), static_cast<unsigned>(most), 0);
  from.sent = first + static_cast<uint64_t>(std::max(sent, 0));
}

void Stream::send_loop() {
  auto next = Clock::now();
  double due = 0;
  while (sending_) {
    std::this_thread::sleep_until(next);
    const auto now = Clock::now();
    // After a stall (a busy machine) the missed packets follow, so that the rate holds on average.
    due += std::chrono::duration<double>(now - next + kTick).count() * per_second_;
    // Of a second at most; without a window no more than the queues on the way take.
    due = std::min<double>(due, window_ == 0 ? kUnasked : per_second_);
    next = now + kTick;
    const auto most = static_cast<uint64_t>(std::min<double>(due, kAtOnce));
    due -= static_cast<double>(most);
    if (a_sends_) send_some(a_, b_, b_address_, most);
    SocketAddress back;
    {
      const std::lock_guard lock(mutex_);
      back = a_seen_as_;
    }
    if (b_sends_ && back.length != 0) send_some(b_, a_, back, most);
  }
}

void Stream::receive_loop(Side& to) {
  Batch batch;
  while (running_) {
    pollfd one{to.socket.raw(), POLLIN, 0};
    if (::poll(&one, 1, 20) <= 0) continue;
    for (mmsghdr& header : batch.headers) header.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    const int got =
        ::recvmmsg(to.socket.raw(), batch.headers.data(), kAtOnce, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < got; ++i) {
      const auto at = static_cast<size_t>(i);
      const uint64_t number = batch.packets[at][0];
      if (batch.headers[at].msg_len != sizeof(Packet) || number > kNoNumber) continue;
      if (&to == &b_) {
        const std::lock_guard lock(mutex_);
        a_seen_as_ = batch.addresses[at];
        a_seen_as_.length = batch.headers[at].msg_hdr.msg_namelen;
      }
      if (to.seen.size() <= number) to.seen.resize(number + 4096);
      if (to.seen[number]) {
        ++to.duplicates;
      } else {
        to.seen[number] = true;
        ++to.received;
      }
      to.highest = std::max(to.highest.load(), number);
      to.last = Clock::now().time_since_epoch().count();
    }
  }
}

bool Stream::flowing(uint64_t packets, std::chrono::milliseconds limit) {
  const Report before = now();
  return eventually(
      [&] {
        const Report after = now();
        return after.a_to_b.received >= before.a_to_b.received + packets &&
               after.b_to_a.received >= before.b_to_a.received + packets;
      },
      limit);
}

Stream::Report Stream::now() const {
  const auto direction = [](const Side& from, const Side& to) {
    // What is received is read first: the difference never looks smaller than it is.
    const uint64_t received = to.received;
    return Direction{from.sent, received, to.duplicates, to.highest,
                     Clock::time_point(Clock::duration(to.last.load()))};
  };
  return {direction(a_, b_), direction(b_, a_), Clock::now()};
}

double Stream::Report::rate_since(const Report& earlier) const {
  const double seconds = std::chrono::duration<double>(at - earlier.at).count();
  const uint64_t sent =
      std::min(a_to_b.sent - earlier.a_to_b.sent, b_to_a.sent - earlier.b_to_a.sent);
  return static_cast<double>(sent) / seconds;
}

std::string Stream::Report::text() const {
  const auto direction = [](const char* name, const Direction& way) {
    return std::string(name) + ": sent " + std::to_string(way.sent) + ", received " +
           std::to_string(way.received) + ", highest " + std::to_string(way.highest) +
           ", duplicates " + std::to_string(way.duplicates) + "\n";
  };
  return direction("there", a_to_b) + direction("back", b_to_a);
}

Stream::Report Stream::finish(std::chrono::milliseconds patience) {
  const Report last = now();
  sending_ = false;
  // Ended, not only told to end: what it sends after a look at the counters would count as lost.
  if (sender_.joinable()) sender_.join();
  eventually([&] { return now().lost() == 0; }, patience);
  Report out = now();
  out.at = last.at;  // of the sending
  return out;
}

TcpPump::TcpPump(Connection connection) : connection_(std::move(connection)) {
  thread_ = std::thread([this] {
    constexpr size_t kBytes = 4'000;
    while (running_) {
      if (!tcp_echo(connection_.socket, kBytes, 30s)) {
        good_ = false;
        return;
      }
      echoed_ += kBytes;
      std::this_thread::sleep_for(10ms);  // its pace
    }
  });
}

TcpPump::~TcpPump() { finish(); }

bool TcpPump::finish() {
  running_ = false;
  if (thread_.joinable()) thread_.join();
  return good_;
}

}  // namespace sallyport::scene
