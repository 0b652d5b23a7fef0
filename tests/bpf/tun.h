// SPDX-License-Identifier: BSD-3-Clause
/// A device in the thread's network namespace whose other end is the test: what it writes comes in
/// there, what goes out there it reads. TUN has no link header, as WireGuard; TAP has Ethernet's.
#pragma once

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"

namespace sallyport::test {

class Tun {
 public:
  /// Made, but down. `kind`: IFF_TUN or IFF_TAP.
  explicit Tun(const std::string& name, short kind = IFF_TUN) : name_(name) {
    Fd fd(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    ifreq request = named();
    request.ifr_flags = static_cast<short>(kind | IFF_NO_PI);
    if (fd.valid() && ioctl(fd.raw(), TUNSETIFF, &request) == 0) fd_ = std::move(fd);
  }
  [[nodiscard]] bool ready() const { return fd_.valid(); }
  [[nodiscard]] int raw() const { return fd_.raw(); }
  [[nodiscard]] const std::string& name() const { return name_; }

  [[nodiscard]] bool up() const {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request = named();
    request.ifr_flags = IFF_UP;
    return ioctl(socket.raw(), SIOCSIFFLAGS, &request) == 0;
  }
  /// All sockets leave checksums to the device from now on (CHECKSUM_PARTIAL): what goes out lacks
  /// them.
  [[nodiscard]] bool takes_checksums() const {
    return ioctl(fd_.raw(), TUNSETOFFLOAD, TUN_F_CSUM) == 0;
  }
  [[nodiscard]] bool write(const Bytes& packet) const {
    return ::write(fd_.raw(), packet.data(), packet.size()) == static_cast<ssize_t>(packet.size());
  }
  /// The next one to go out; nothing if there is none for 5 s.
  [[nodiscard]] std::optional<Bytes> read() const {
    pollfd ready{fd_.raw(), POLLIN, 0};
    Bytes packet(4096);
    if (poll(&ready, 1, 5000) != 1) return {};
    const ssize_t length = ::read(fd_.raw(), packet.data(), packet.size());
    if (length < 0) return {};
    packet.resize(static_cast<size_t>(length));
    return packet;
  }

 private:
  [[nodiscard]] ifreq named() const {
    ifreq request{};
    std::strncpy(request.ifr_name, name_.c_str(), IFNAMSIZ - 1);
    return request;
  }
  std::string name_;
  Fd fd_;
};

}  // namespace sallyport::test
