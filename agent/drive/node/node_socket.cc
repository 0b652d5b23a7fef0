// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/node_socket.h"

#include <utility>

#include "agent/io/sockaddr.h"

namespace sallyport {
namespace {

// Pings of many peers at once wait here and not in the kernel, which counts them against its own.
constexpr unsigned kReceiveBuffers = 128;
// A round of probes to every endpoint of every peer.
constexpr size_t kSendQueue = 1024;

}  // namespace

Result<NodeSocket> NodeSocket::adopt(io::Loop& loop, Fd socket, NodeSocketHooks hooks) {
  const Endpoint at = TRY(io::local_endpoint(socket));
  io::UdpCallbacks callbacks;
  callbacks.on_datagram = [on_datagram =
                               std::move(hooks.on_datagram)](const io::Received& received) {
    if (!received.to) return;  // a socket without packet information, which adopt() rules out
    on_datagram({received.from, *received.to, received.ifindex}, received.bytes);
  };
  callbacks.on_error = std::move(hooks.on_broken);
  auto udp = TRY(io::UdpSocket::adopt(loop, std::move(socket),
                                      {.packet_info = true,
                                       .receive_buffers = kReceiveBuffers,
                                       .receive_bytes = kMaxDatagram,
                                       .send_queue = kSendQueue},
                                      std::move(callbacks)));
  return NodeSocket{std::move(udp), !at.address.is_v4()};
}

void NodeSocket::send(const Endpoint& to, const std::optional<IpAddress>& from, uint32_t ifindex,
                      ByteView bytes) {
  const bool is_v4 = to.address.is_v4();
  // Half an IPv6 address would be taken for an IPv4 one.
  if ((!is_v4 && !has_v6_) || (from && from->is_v4() != is_v4)) {
    ++impossible_;
    return;
  }
  if (!socket_.send({.bytes = bytes, .to = to, .from = from, .ifindex = ifindex})) ++dropped_;
}

NodeSocketCounters NodeSocket::counters() const {
  const io::UdpCounters udp = socket_.counters();
  return {.received = udp.received,
          .sent = udp.sent,
          .refused = udp.refused + impossible_,
          .dropped = dropped_,
          .truncated = udp.truncated};
}

}  // namespace sallyport
