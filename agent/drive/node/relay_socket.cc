// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/relay_socket.h"

#include <utility>

#include "agent/io/clock.h"

namespace sallyport {
namespace {

constexpr uint32_t kLoopback = 0x7f000001;

// WireGuard answers a burst of 512 with another.
constexpr unsigned kReceiveBuffers = 512;
// Groups that the kernel may not take at once. (On lo a sender's buffer is never full for long: a
// packet no longer counts against it when it is received.)
constexpr size_t kSendQueue = 16;
// A stream is read 16 KB a turn, which is a dozen large packets: while more of it is there to be
// read the groups may grow, and each system call and walk through the stack serves more of them.
constexpr unsigned kTurnsToGrow = 4;
constexpr size_t kEnough = size_t{4} * InjectGroups::kMaxPackets;

bool is_parking(const IpAddress& address) {
  return address.is_v4() && address.v4_number() >> 24 == kLoopback >> 24;
}

}  // namespace

RelaySocket::RelaySocket(io::Loop& loop, uint16_t wireguard, RelaySocketHooks hooks)
    : loop_(loop),
      wireguard_{IpAddress::v4(kLoopback), wireguard},
      on_(std::move(hooks)),
      paused_(loop, [this] { flush(); }),
      self_(std::make_shared<RelaySocket*>(this)) {}

Result<std::unique_ptr<RelaySocket>> RelaySocket::adopt(io::Loop& loop, Fd socket,
                                                        uint16_t wireguard,
                                                        RelaySocketHooks hooks) {
  std::unique_ptr<RelaySocket> relay(new RelaySocket(loop, wireguard, std::move(hooks)));
  RelaySocket* const self = relay.get();
  relay->socket_ = TRY(io::UdpSocket::adopt(
      loop, std::move(socket),
      {.packet_info = true,
       .receive_buffers = kReceiveBuffers,
       .receive_bytes = kMaxPacket,
       .send_queue = kSendQueue},
      {.on_datagram = [self](const io::Received& received) { self->on_datagram(received); },
       .on_writable = [self] { self->flush(); },
       .on_error = [self](const Error& why) { self->on_.on_broken(why); }}));
  return relay;
}

void RelaySocket::on_datagram(const io::Received& received) {
  // Any program of this host may send to us; nobody else has WireGuard's port.
  if (received.from != wireguard_ || !received.to) {
    ++counters_.strangers;
    return;
  }
  ++counters_.parked;
  on_.on_parked(*received.to, received.bytes);
}

void RelaySocket::inject(const IpAddress& parking, ByteView packet) {
  if (!is_parking(parking) || !waiting_.add(parking, packet)) {
    ++counters_.dropped;
    return;
  }
  if (waiting_.packets() >= kEnough && !paused_.armed()) {
    flush();
  } else {
    flush_later();
  }
}

void RelaySocket::flush_later() {
  if (turn_posted_ || paused_.armed()) return;
  turn_posted_ = true;
  waiting_last_turn_ = waiting_.packets();
  loop_.post([weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock()) (*self)->on_turn();
  });
}

void RelaySocket::on_turn() {
  turn_posted_ = false;
  if (waiting_.empty() || paused_.armed()) return;
  // The first time round it is told apart from a lone packet by what came in the turn that follows.
  const bool grows = turns_ == 0 || waiting_.packets() > waiting_last_turn_;
  if (grows && ++turns_ < kTurnsToGrow) return flush_later();
  flush();
}

void RelaySocket::flush() {
  turns_ = 0;
  paused_.cancel();
  const Instant now = io::boot_now();
  while (!waiting_.empty()) {
    const InjectGroup& group = waiting_.front();
    if (!pace_.take(group.packets, now)) return paused_.arm(pace_.ready(group.packets));
    if (!write(group)) return;  // on_writable goes on
    waiting_.pop();
  }
}

/// False: the socket's queue is full.
bool RelaySocket::write(const InjectGroup& group) {
  const uint64_t refused = socket_.counters().refused;
  const bool taken = socket_.send(
      {.bytes = group.bytes,
       .to = wireguard_,
       .from = group.parking,
       .segment_bytes = static_cast<uint16_t>(group.packets > 1 ? group.segment_bytes : 0)});
  if (!taken) return false;
  socket_.flush();
  if (socket_.counters().refused != refused) {
    counters_.dropped += group.packets;
  } else {
    counters_.injected += group.packets;
    ++counters_.groups;
  }
  return true;
}

}  // namespace sallyport
