// SPDX-License-Identifier: BSD-3-Clause
// A WireGuard dump made of strangers' bytes: whatever is accepted is a sane value.
#include <cstdlib>

#include "kmod-glue/netlink/answer.h"
#include "kmod-glue/netlink/wg_message.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport;
  const ByteView datagram(data, size);
  WgDumpReader reader;
  bool understood = true;
  AnswerWalk walk(datagram);
  while (const auto answer = walk.next()) {
    // The input is also taken as the request that an extack points into.
    if (const auto ack = parse_acknowledgement(*answer, datagram)) {
      require(ack->error >= 0 && ack->error < 4096);
      require(ack->words.size() <= size + 64);
    }
    understood = understood && reader.on_message(answer->generic_attrs());
  }
  const WgObserved seen = std::move(reader).finish();
  require(seen.stats.size() == seen.device.peers.size());
  for (const auto& [key, peer] : seen.device.peers) {
    require(peer.public_key == key && seen.stats.contains(key));
    for (const Prefix& prefix : peer.allowed_ips) require(prefix.length <= prefix.address.bits());
  }
  if (!understood) return 0;

  // What was understood can be asked for again, in messages of any size.
  std::vector<SetPeer> peers;
  for (const auto& [key, peer] : seen.device.peers) {
    peers.push_back({"wg0", key, true, true, peer.preshared_key, peer.endpoint, peer.keepalive_s,
                     peer.allowed_ips});
  }
  Message message(size % 1024 + 256);
  for (PeerCursor at; at.peer < peers.size();) {
    const PeerCursor next = write_set_peers(message, 0x1c, peers, at);
    require(next != at && message.size() <= message.capacity());
    at = next;
  }
  return 0;
}
