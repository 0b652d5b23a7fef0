// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/udp.h"

#include <fcntl.h>
#include <netinet/udp.h>
#include <poll.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "agent/io/buffer_ring.h"
#include "agent/io/sockaddr.h"
#include "agent/io/udp_batch.h"

namespace sallyport::io {
namespace {

// Enough for one sendmmsg to cost little a datagram; more would only add latency.
constexpr size_t kBatch = 64;
// Before the payload of each buffer. The name is rounded up so that control messages are aligned.
constexpr size_t kNameBytes = 32;
static_assert(kNameBytes >= sizeof(sockaddr_in6));
static_assert((sizeof(io_uring_recvmsg_out) + kNameBytes) % alignof(cmsghdr) == 0);
constexpr size_t kControlBytes =
    CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo)) + CMSG_SPACE(sizeof(int));

size_t control_bytes(const UdpOptions& options) {
  return options.packet_info || options.coalesce ? kControlBytes : 0;
}

Result<void> set_flag(int socket, int level, int option, const char* doing) {
  const int on = 1;
  if (::setsockopt(socket, level, option, &on, sizeof on) != 0) return fail(errno, doing);
  return {};
}

Result<sa_family_t> family_of(int socket) {
  int domain = 0;
  socklen_t bytes = sizeof domain;
  if (::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) != 0) {
    return fail(errno, "SO_DOMAIN");
  }
  if (domain != AF_INET && domain != AF_INET6) return fail(EAFNOSUPPORT, "UDP socket");
  return static_cast<sa_family_t>(domain);
}

template <class Value>
bool read_control(const cmsghdr& header, int level, int type, Value& value) {
  if (header.cmsg_level != level || header.cmsg_type != type) return false;
  std::memcpy(&value, CMSG_DATA(&header), sizeof value);
  return true;
}

void read_controls(std::span<const uint8_t> control, Received& out) {
  cmsghdr header;
  while (control.size() >= sizeof header) {
    std::memcpy(&header, control.data(), sizeof header);
    if (header.cmsg_len < sizeof header || header.cmsg_len > control.size()) return;
    const auto& at = *reinterpret_cast<const cmsghdr*>(control.data());
    in_pktinfo v4{};
    in6_pktinfo v6{};
    int segment = 0;
    if (read_control(at, IPPROTO_IP, IP_PKTINFO, v4)) {
      out.to = IpAddress::v4(ntohl(v4.ipi_addr.s_addr));
      out.ifindex = static_cast<uint32_t>(v4.ipi_ifindex);
    } else if (read_control(at, IPPROTO_IPV6, IPV6_PKTINFO, v6)) {
      out.to.emplace();
      std::memcpy(out.to->bytes.data(), &v6.ipi6_addr, 16);
      out.ifindex = v6.ipi6_ifindex;
    } else if (read_control(at, SOL_UDP, UDP_GRO, segment)) {
      out.segment_bytes = static_cast<uint16_t>(segment);
    }
    control = control.subspan(std::min(CMSG_ALIGN(header.cmsg_len), control.size()));
  }
}

}  // namespace

class UdpCore final : public Core {
 public:
  UdpCore(Loop& owner, Fd fd, sa_family_t family, const UdpOptions& options,
          std::unique_ptr<BufferRing> buffers, UdpCallbacks callbacks)
      : Core(owner),
        fd_(std::move(fd)),
        buffers_(std::move(buffers)),
        on_(std::move(callbacks)),
        batch_(family, std::max<size_t>(options.send_queue, 1)) {
    shape_.msg_namelen = kNameBytes;
    shape_.msg_controllen = control_bytes(options);
  }

  void receive() {
    loop().submit(receive_, *this, kHandler<&UdpCore::on_receive>, [this](io_uring_sqe* sqe) {
      ::io_uring_prep_recvmsg_multishot(sqe, fd_.raw(), &shape_, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = buffers_->group();
    });
  }

  bool send(const Outgoing& datagram) {
    if (closed()) return false;
    if (batch_.full()) {
      wants_writable_ = true;
      return false;
    }
    batch_.add(datagram);
    if (batch_.size() >= kBatch && !writable_.in_flight()) {
      flush();
    } else {
      flush_later();
    }
    return true;
  }

  void flush_now() {
    if (!closed() && !writable_.in_flight()) flush();
  }

  [[nodiscard]] const Fd& fd() const { return fd_; }
  [[nodiscard]] const UdpCounters& counters() const { return counters_; }

 private:
  void on_receive(int32_t result, uint32_t flags) {
    if (result >= 0 && (flags & IORING_CQE_F_BUFFER) != 0) {
      if (!closed()) deliver(buffers_->picked(flags).first(static_cast<size_t>(result)));
      buffers_->give_back(flags);
    }
    if (closed() || receive_.in_flight()) return;
    if (result == -ENOBUFS) ++counters_.starved;
    // The multishot has ended: for want of buffers, of which all are back now, or at the kernel's
    // whim. A pending error of the socket (an ICMP message) is consumed by being reported.
    const bool again = result >= 0 || result == -ENOBUFS || result == -ECONNREFUSED ||
                       result == -EINTR || result == -EAGAIN || result == -EHOSTUNREACH ||
                       result == -ENETUNREACH || result == -EMSGSIZE || result == -ENOMEM;
    if (again) {
      receive();
      return;
    }
    on_.on_error(Error{{-result, std::generic_category()}, "receive on UDP socket"});
  }

  void deliver(std::span<uint8_t> buffer) {
    const size_t head = sizeof(io_uring_recvmsg_out) + shape_.msg_namelen + shape_.msg_controllen;
    if (buffer.size() < head) return;
    io_uring_recvmsg_out out;
    std::memcpy(&out, buffer.data(), sizeof out);
    const auto name = buffer.subspan(sizeof out, kNameBytes);
    const auto from = to_endpoint(reinterpret_cast<const sockaddr*>(name.data()), out.namelen);
    if ((out.flags & MSG_TRUNC) != 0 || !from) {
      ++counters_.truncated;
      return;
    }
    Received received{.bytes = buffer.subspan(head), .from = *from, .to = {}};
    if (out.controllen != 0) {
      read_controls(buffer.subspan(sizeof out + kNameBytes,
                                   std::min<size_t>(out.controllen, shape_.msg_controllen)),
                    received);
    }
    ++counters_.received;
    on_.on_datagram(received);
  }

  void flush_later() {
    if (flush_posted_ || writable_.in_flight()) return;
    flush_posted_ = true;
    loop().post([self = std::static_pointer_cast<UdpCore>(shared_from_this())] {
      self->flush_posted_ = false;
      self->flush_now();
    });
  }

  void flush() {
    const auto flushed = batch_.flush(
        fd_.raw(), [this](size_t count) { counters_.sent += count; },
        [this](const Endpoint& to, int error) {
          ++counters_.refused;
          refuse_later(to, error);
        });
    if (flushed == UdpBatch::Flushed::kWouldBlock && !closed()) wait_writable();
    if (wants_writable_ && !batch_.full() && !closed()) {
      wants_writable_ = false;
      loop().post([self = std::static_pointer_cast<UdpCore>(shared_from_this())] {
        self->on_.on_writable();
      });
    }
  }

  // Not from within flush(): it may run inside the caller's send().
  void refuse_later(const Endpoint& to, int error) {
    if (closed() || !on_.on_refused) return;
    loop().post([self = std::static_pointer_cast<UdpCore>(shared_from_this()), to, error] {
      self->on_.on_refused(to, error);
    });
  }

  void wait_writable() {
    loop().submit(writable_, *this, kHandler<&UdpCore::on_poll>,
                  [this](io_uring_sqe* sqe) { ::io_uring_prep_poll_add(sqe, fd_.raw(), POLLOUT); });
  }
  void on_poll(int32_t /*result*/, uint32_t /*flags*/) {
    if (!closed()) flush();
  }

  void on_close() override {
    flush();
    on_ = {};
    loop().cancel(receive_);
    loop().cancel(writable_);
  }

  Fd fd_;
  std::unique_ptr<BufferRing> buffers_;
  UdpCallbacks on_;
  UdpBatch batch_;
  UdpCounters counters_;
  msghdr shape_{};
  Operation receive_;
  Operation writable_;
  bool flush_posted_ = false;
  bool wants_writable_ = false;
};

Result<Fd> open_udp(const Endpoint& local, bool dual_stack) {
  const sa_family_t family = family_of(local.address);
  Fd socket{::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!socket.valid()) return fail(errno, "UDP socket");
  if (family == AF_INET6) {
    const int only = dual_stack ? 0 : 1;
    if (::setsockopt(socket.raw(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0) {
      return fail(errno, "IPV6_V6ONLY");
    }
  }
  const SocketAddress address = to_socket_address(local, family);
  if (::bind(socket.raw(), &address.base, address.bytes) != 0) {
    return fail(errno, "bind UDP " + local.text());
  }
  return socket;
}

Result<UdpSocket> UdpSocket::bind(Loop& loop, const Endpoint& local, const UdpOptions& options,
                                  UdpCallbacks callbacks) {
  return adopt(loop, TRY(open_udp(local, options.dual_stack)), options, std::move(callbacks));
}

Result<UdpSocket> UdpSocket::adopt(Loop& loop, Fd socket, const UdpOptions& options,
                                   UdpCallbacks callbacks) {
  const int raw = socket.raw();
  const sa_family_t family = TRY(family_of(raw));
  const int status = ::fcntl(raw, F_GETFL);
  if (status < 0 || ::fcntl(raw, F_SETFL, status & ~O_NONBLOCK) < 0) return fail(errno, "F_SETFL");
  if (options.packet_info && family == AF_INET) {
    TRY(set_flag(raw, IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO"));
  }
  if (options.packet_info && family == AF_INET6) {
    TRY(set_flag(raw, IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO"));
  }
  if (options.coalesce) TRY(set_flag(raw, SOL_UDP, UDP_GRO, "UDP_GRO"));

  const size_t head = sizeof(io_uring_recvmsg_out) + kNameBytes + control_bytes(options);
  auto buffers =
      TRY(BufferRing::create(loop.ring(), options.receive_buffers, head + options.receive_bytes));
  auto core = std::make_shared<UdpCore>(loop, std::move(socket), family, options,
                                        std::move(buffers), std::move(callbacks));
  core->receive();
  return UdpSocket{Handle<UdpCore>{std::move(core)}};
}

bool UdpSocket::send(const Outgoing& datagram) { return core_ && core_->send(datagram); }
void UdpSocket::flush() {
  if (core_) core_->flush_now();
}

Result<Endpoint> UdpSocket::local() const {
  if (!core_) return fail(EBADF, "UDP socket");
  return local_endpoint(core_->fd());
}
UdpCounters UdpSocket::counters() const { return core_ ? core_->counters() : UdpCounters{}; }
int UdpSocket::raw() const { return core_ ? core_->fd().raw() : -1; }

}  // namespace sallyport::io
