// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>

#include "agent/io/clock.h"
#include "agent/io/ring.h"
#include "agent/io/sockaddr.h"
#include "agent/io/timer.h"

namespace sallyport::io {
namespace {

constexpr Duration kPause = std::chrono::milliseconds{100};
constexpr int kBacklog = 512;

// Is there nobody behind the file? Only then may it be replaced.
bool is_dead(const SocketAddress& address) {
  const Fd probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  return ::connect(probe.raw(), &address.base, address.bytes) != 0 && errno == ECONNREFUSED;
}

}  // namespace

class ListenerCore final : public Core {
 public:
  ListenerCore(Loop& owner, Fd fd, Listener::OnConnection on_connection)
      : Core(owner),
        fd_(std::move(fd)),
        on_connection_(std::move(on_connection)),
        again_(owner, [this] { accept(); }) {}

  void accept() {
    loop().submit(accept_, *this, kHandler<&ListenerCore::on_accept>, [this](io_uring_sqe* sqe) {
      ::io_uring_prep_multishot_accept(sqe, fd_.raw(), nullptr, nullptr, SOCK_CLOEXEC);
    });
  }
  [[nodiscard]] int raw() const { return fd_.raw(); }

 private:
  void on_accept(int32_t result, uint32_t /*flags*/) {
    if (result >= 0) {
      Fd connection{result};  // closes by itself if nobody wants it any more
      if (!closed()) on_connection_(std::move(connection));
    }
    if (closed() || accept_.in_flight()) return;
    if (result >= 0 || result == -ECONNABORTED) {
      accept();
    } else {
      again_.arm(boot_now() + kPause);
    }
  }
  void on_close() override {
    on_connection_.reset();
    again_ = Timer{};
    loop().cancel(accept_);
  }

  Fd fd_;
  Listener::OnConnection on_connection_;
  Timer again_;
  Operation accept_;
};

Result<Listener> Listener::adopt(Loop& loop, Fd listening, OnConnection on_connection) {
  const int status = ::fcntl(listening.raw(), F_GETFL);
  if (status < 0 || ::fcntl(listening.raw(), F_SETFL, status & ~O_NONBLOCK) < 0) {
    return fail(errno, "F_SETFL");
  }
  auto core = std::make_shared<ListenerCore>(loop, std::move(listening), std::move(on_connection));
  core->accept();
  return Listener{Handle<ListenerCore>{std::move(core)}};
}

int Listener::raw() const { return core_ ? core_->raw() : -1; }

Result<Fd> listen_tcp(const IpAddress& address, uint16_t port) {
  const sa_family_t family = family_of(address);
  const Endpoint at{address, port};
  Fd socket{::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!socket.valid()) return fail(errno, "TCP socket");
  const int on = 1;
  (void)::setsockopt(socket.raw(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (family == AF_INET6) {
    (void)::setsockopt(socket.raw(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  const SocketAddress name = to_socket_address(at, family);
  if (::bind(socket.raw(), &name.base, name.bytes) != 0 || ::listen(socket.raw(), kBacklog) != 0) {
    return fail(errno, "listen on TCP " + at.text());
  }
  return socket;
}

Result<Fd> listen_unix(std::string_view path, mode_t mode) {
  const std::string doing = "listen on " + std::string{path};
  const SocketAddress name = TRY(unix_address(path));
  Fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!socket.valid()) return fail(errno, doing);
  // bind() takes the mode from the socket's inode: there is no moment with a wider one.
  if (::fchmod(socket.raw(), mode) != 0) return fail(errno, doing);
  int bound = ::bind(socket.raw(), &name.base, name.bytes);
  if (bound != 0 && errno == EADDRINUSE && path.front() != '@' && is_dead(name)) {
    (void)::unlink(std::string{path}.c_str());
    bound = ::bind(socket.raw(), &name.base, name.bytes);
  }
  // umask may have narrowed it.
  if (bound == 0 && path.front() != '@') bound = ::chmod(std::string{path}.c_str(), mode);
  if (bound != 0 || ::listen(socket.raw(), kBacklog) != 0) return fail(errno, doing);
  return socket;
}

class ConnectorCore final : public Core {
 public:
  ConnectorCore(Loop& owner, Fd fd, const SocketAddress& to, std::string doing,
                Connector::OnConnected on_connected)
      : Core(owner),
        fd_(std::move(fd)),
        to_(to),
        doing_(std::move(doing)),
        on_connected_(std::move(on_connected)) {}

  void connect() {
    loop().submit(connect_, *this, kHandler<&ConnectorCore::on_connect>, [this](io_uring_sqe* sqe) {
      ::io_uring_prep_connect(sqe, fd_.raw(), &to_.base, to_.bytes);
    });
  }

 private:
  void on_connect(int32_t result, uint32_t /*flags*/) {
    if (closed()) return;
    if (result < 0) {
      on_connected_(fail(-result, doing_));
    } else {
      on_connected_(std::move(fd_));
    }
  }
  void on_close() override {
    on_connected_.reset();
    loop().cancel(connect_);
  }

  Fd fd_;
  SocketAddress to_;
  std::string doing_;
  Connector::OnConnected on_connected_;
  Operation connect_;
};

Result<Connector> Connector::tcp(Loop& loop, const IpAddress& address, uint16_t port,
                                 OnConnected on_connected) {
  Fd made{::socket(family_of(address), SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!made.valid()) return fail(errno, "TCP socket");
  return socket(loop, std::move(made), address, port, std::move(on_connected));
}

Result<Connector> Connector::socket(Loop& loop, Fd socket, const IpAddress& address, uint16_t port,
                                    OnConnected on_connected) {
  const Endpoint to{address, port};
  auto core = std::make_shared<ConnectorCore>(
      loop, std::move(socket), to_socket_address(to, family_of(address)),
      "connect to TCP " + to.text(), std::move(on_connected));
  core->connect();
  return Connector{Handle<ConnectorCore>{std::move(core)}};
}

Result<Connector> Connector::unix_socket(Loop& loop, std::string_view path,
                                         OnConnected on_connected) {
  const SocketAddress to = TRY(unix_address(path));
  Fd made{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!made.valid()) return fail(errno, "unix socket");
  auto core = std::make_shared<ConnectorCore>(
      loop, std::move(made), to, "connect to " + std::string{path}, std::move(on_connected));
  core->connect();
  return Connector{Handle<ConnectorCore>{std::move(core)}};
}

Result<Credentials> peer_credentials(int socket) {
  ucred peer{};
  socklen_t bytes = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) {
    return fail(errno, "SO_PEERCRED");
  }
  // A socket of another family answers with nobody instead of an error.
  if (peer.pid == 0) return fail(EAFNOSUPPORT, "SO_PEERCRED");
  return Credentials{peer.pid, peer.uid, peer.gid};
}

}  // namespace sallyport::io
