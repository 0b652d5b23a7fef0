// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "agent/io/clock.h"

namespace sallyport {

Connection::Connection(io::Loop& loop, const io::TlsContext& tls, ConnectionTarget target,
                       ConnectionCallbacks callbacks)
    : loop_(loop),
      tls_(tls),
      target_(std::move(target)),
      on_(std::move(callbacks)),
      patience_(loop, [this] {
        if (std::exchange(trying_, false)) failures_ += "no answer; ";
        try_next();
      }) {}

void Connection::connect_to(std::vector<IpAddress> addresses) {
  std::ranges::reverse(addresses);
  addresses_ = std::move(addresses);
  if (addresses_.empty()) failures_ = "no address of " + target_.host;
  // From the loop, so that no callback runs within a call to us.
  patience_.arm(io::boot_now());
}

void Connection::try_next() {
  if (addresses_.empty()) {
    return close(std::exchange(failures_, {}));  // not ours while the owner lets go of us
  }
  const IpAddress address = addresses_.back();
  addresses_.pop_back();
  trying_ = true;
  if (addresses_.empty()) {
    patience_.cancel();  // whoever asked for the connection has a deadline of its own
  } else {
    patience_.arm(io::boot_now() + target_.address_timeout);
  }
  auto connector = io::Connector::tcp(loop_, address, target_.port,
                                      [this](Result<Fd> socket) { on_socket(std::move(socket)); });
  if (!connector) return on_socket(Fail{connector.error()});
  connector_ = std::move(connector).value();
}

void Connection::on_socket(Result<Fd> socket) {
  trying_ = false;
  const auto adopted = socket ? adopt(std::move(socket).value()) : Fail{socket.error()};
  if (adopted) {
    patience_.cancel();
    if (!target_.tls) on_.on_connected();
    return;
  }
  failures_ += adopted.error().text();
  if (!addresses_.empty()) failures_ += "; ";
  patience_.arm(io::boot_now());
}

Result<void> Connection::adopt(Fd socket) {
  // What is written in one turn leaves together; to hold back the end of it gains nothing.
  const int on = 1;
  (void)::setsockopt(socket.raw(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (!target_.tls) {
    plain_ = TRY(
        io::Stream::adopt(loop_, std::move(socket),
                          {.on_data = [this](ByteView bytes) { on_.on_bytes(bytes); },
                           .on_end = [this](const std::optional<Error>& error) { on_end(error); },
                           .on_writable = [this] { on_.on_writable(); }}));
    return {};
  }
  wrapped_ = TRY(
      io::TlsStream::adopt(loop_, std::move(socket), TRY(io::TlsEngine::client(tls_, *target_.tls)),
                           {.on_ready = [this] { on_.on_connected(); },
                            .on_data = [this](ByteView bytes) { on_.on_bytes(bytes); },
                            .on_end = [this](const std::optional<Error>& error) { on_end(error); },
                            .on_writable = [this] { on_.on_writable(); }}));
  return {};
}

void Connection::on_end(const std::optional<Error>& error) {
  close(error ? error->text() : std::string{});
}

void Connection::close(const std::string& why) {
  // Once; and the owner may let go of us in it.
  const auto on_closed = std::exchange(on_.on_closed, {});
  on_closed(why);
}

io::Offer Connection::offer(ByteView bytes) {
  return target_.tls ? wrapped_.write(bytes) : plain_.write(bytes);
}

size_t Connection::queued_bytes() const {
  return target_.tls ? wrapped_.queued_bytes() : plain_.queued_bytes();
}

}  // namespace sallyport
