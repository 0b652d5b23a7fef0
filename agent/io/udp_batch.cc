// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/udp_batch.h"

#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sallyport::io {
namespace {

// UIO_MAXIOV: what one sendmmsg takes.
constexpr size_t kMostPerCall = 1024;

template <class Value>
size_t put_control(uint8_t* at, int level, int type, const Value& value) {
  cmsghdr header{};
  header.cmsg_level = level;
  header.cmsg_type = type;
  header.cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(at, &header, sizeof header);
  std::memcpy(at + CMSG_LEN(0), &value, sizeof value);
  return CMSG_SPACE(sizeof value);
}

}  // namespace

UdpBatch::UdpBatch(sa_family_t family, size_t limit) : family_(family), limit_(limit) {}

void UdpBatch::add(const Outgoing& datagram) {
  if (used_ == slots_.size()) make_room();
  Slot& slot = slots_[used_];
  mmsghdr& header = headers_[used_];
  ++used_;
  slot.to = datagram.to;
  slot.address = to_socket_address(datagram.to, family_, datagram.ifindex);
  slot.payload_offset = payload_used_;
  slot.payload_bytes = datagram.bytes.size();
  payload_used_ += datagram.bytes.size();
  if (payload_.size() < payload_used_)
    payload_.resize(std::max(payload_used_, 2 * payload_.size()));
  if (!datagram.bytes.empty()) {
    std::memcpy(payload_.data() + slot.payload_offset, datagram.bytes.data(),
                datagram.bytes.size());
  }
  header.msg_hdr.msg_namelen = slot.address.bytes;
  header.msg_hdr.msg_controllen = write_control(slot, datagram);
}

void UdpBatch::make_room() {
  if (sent_ > 0) {
    // The kernel has been slow for long: what it took makes room for what waits.
    const size_t gone_bytes = slots_[sent_ - 1].payload_offset + slots_[sent_ - 1].payload_bytes;
    const auto gone = static_cast<std::ptrdiff_t>(sent_);
    std::move(slots_.begin() + gone, slots_.end(), slots_.begin());
    std::move(headers_.begin() + gone, headers_.end(), headers_.begin());
    std::memmove(payload_.data(), payload_.data() + gone_bytes, payload_used_ - gone_bytes);
    used_ -= sent_;
    payload_used_ -= gone_bytes;
    sent_ = 0;
    for (size_t i = 0; i < used_; ++i) slots_[i].payload_offset -= gone_bytes;
    return;
  }
  slots_.resize(std::max<size_t>(16, 2 * slots_.size()));
  headers_.resize(slots_.size());
}

size_t UdpBatch::write_control(Slot& slot, const Outgoing& datagram) const {
  size_t bytes = 0;
  if (datagram.from || datagram.ifindex != 0) {
    if (family_ == AF_INET) {
      in_pktinfo info{};
      info.ipi_ifindex = static_cast<int>(datagram.ifindex);
      if (datagram.from) std::memcpy(&info.ipi_spec_dst, datagram.from->bytes.data() + 12, 4);
      bytes += put_control(slot.control, IPPROTO_IP, IP_PKTINFO, info);
    } else {
      in6_pktinfo info{};
      info.ipi6_ifindex = datagram.ifindex;
      // To an IPv4 destination any address is an IPv4 one too: :: would be refused as EINVAL.
      const IpAddress any = datagram.to.address.is_v4() ? IpAddress::v4(0) : IpAddress{};
      std::memcpy(&info.ipi6_addr, datagram.from.value_or(any).bytes.data(), 16);
      bytes += put_control(slot.control, IPPROTO_IPV6, IPV6_PKTINFO, info);
    }
  }
  if (datagram.segment_bytes != 0) {
    bytes += put_control(slot.control + bytes, SOL_UDP, UDP_SEGMENT, datagram.segment_bytes);
  }
  return bytes;
}

int UdpBatch::send_some(int socket) {
  const size_t count = std::min(size(), kMostPerCall);
  for (size_t i = sent_; i < sent_ + count; ++i) {
    // Pointers are set here, because the vectors may have moved since.
    Slot& slot = slots_[i];
    slot.part = {payload_.data() + slot.payload_offset, slot.payload_bytes};
    msghdr& header = headers_[i].msg_hdr;
    header.msg_name = slot.address.bytes != 0 ? &slot.address.base : nullptr;
    header.msg_iov = &slot.part;
    header.msg_iovlen = 1;
    header.msg_control = header.msg_controllen != 0 ? slot.control : nullptr;
  }
  const int sent = ::sendmmsg(socket, headers_.data() + sent_, static_cast<unsigned>(count),
                              MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) return -errno;
  sent_ += static_cast<size_t>(sent);
  return sent;
}

}  // namespace sallyport::io
