// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/connection.h"

#include <algorithm>
#include <utility>

#include "agent/io/clock.h"

namespace sallyport {

Connection::Connection(io::Loop& loop, const io::TlsContext& tls, std::string host,
                       control::Leg leg, ConnectionCallbacks callbacks)
    : loop_(loop),
      tls_(tls),
      host_(std::move(host)),
      leg_(leg),
      on_(std::move(callbacks)),
      patience_(loop, [this] {
        if (std::exchange(trying_, false)) failures_ += "no answer; ";
        try_next();
      }) {}

void Connection::connect_to(std::vector<IpAddress> addresses) {
  std::ranges::reverse(addresses);
  addresses_ = std::move(addresses);
  if (addresses_.empty()) failures_ = "no address of " + host_;
  // From the loop, so that no callback runs within a call to us.
  patience_.arm(io::boot_now());
}

void Connection::try_next() {
  if (addresses_.empty()) {
    return close(failures_);
  }
  const IpAddress address = addresses_.back();
  addresses_.pop_back();
  trying_ = true;
  if (addresses_.empty()) {
    patience_.cancel();  // whoever asked for the connection has a deadline of its own
  } else {
    patience_.arm(io::boot_now() + kAddressTimeout);
  }
  auto connector = io::Connector::tcp(loop_, address, leg_.port,
                                      [this](Result<Fd> socket) { on_socket(std::move(socket)); });
  if (!connector) return on_socket(Fail{connector.error()});
  connector_ = std::move(connector).value();
}

void Connection::on_socket(Result<Fd> socket) {
  trying_ = false;
  const auto adopted = socket ? adopt(std::move(socket).value()) : Fail{socket.error()};
  if (adopted) {
    patience_.cancel();
    if (leg_.wrap == control::Wrap::kPlain) on_.on_connected();
    return;
  }
  failures_ += adopted.error().text();
  if (!addresses_.empty()) failures_ += "; ";
  patience_.arm(io::boot_now());
}

Result<void> Connection::adopt(Fd socket) {
  if (leg_.wrap == control::Wrap::kPlain) {
    plain_ = TRY(io::Stream::adopt(
        loop_, std::move(socket),
        {.on_data = [this](ByteView bytes) { on_.on_bytes(bytes); },
         .on_end = [this](const std::optional<Error>& error) { on_end(error); }}));
    return {};
  }
  io::TlsClientOptions options{.server_name = host_, .verify = io::VerifyName{}};
  if (leg_.wrap == control::Wrap::kTlsUnverified) options.verify = io::VerifyNothing{};
  wrapped_ = TRY(io::TlsStream::adopt(
      loop_, std::move(socket), TRY(io::TlsEngine::client(tls_, options)),
      {.on_ready = [this] { on_.on_connected(); },
       .on_data = [this](ByteView bytes) { on_.on_bytes(bytes); },
       .on_end = [this](const std::optional<Error>& error) { on_end(error); }}));
  return {};
}

void Connection::on_end(const std::optional<Error>& error) {
  close(error ? error->text() : std::string{});
}

void Connection::close(const std::string& why) {
  // The owner may let go of us in it.
  const auto on_closed = std::exchange(on_.on_closed, nullptr);
  if (on_closed) on_closed(why);
}

bool Connection::write(ByteView bytes) {
  const io::Offer offer =
      leg_.wrap == control::Wrap::kPlain ? plain_.write(bytes) : wrapped_.write(bytes);
  return offer == io::Offer::kTaken;
}

}  // namespace sallyport
