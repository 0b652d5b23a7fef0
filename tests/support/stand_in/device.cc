// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/stand_in/device.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "kmod-glue/sysctl.h"

namespace sallyport::stand_in {
namespace {

// Packets that wait for us in the TUN; WireGuard's own queues hold 1,024 a peer.
constexpr int kQueue = 4096;
constexpr const char* kNoLinkLocal = "1";  // IN6_ADDR_GEN_MODE_NONE

Result<void> change(const Fd& socket, unsigned long request, ifreq& what, const char* doing) {
  if (::ioctl(socket.raw(), request, &what) != 0) return fail(errno, doing);
  return {};
}

}  // namespace

std::optional<PacketAddresses> addresses_of(std::span<const uint8_t> packet) {
  const auto number = [&](size_t at) {
    return uint32_t{packet[at]} << 24 | uint32_t{packet[at + 1]} << 16 |
           uint32_t{packet[at + 2]} << 8 | uint32_t{packet[at + 3]};
  };
  if (packet.size() >= 20 && packet[0] >> 4 == 4) {
    return PacketAddresses{IpAddress::v4(number(12)), IpAddress::v4(number(16))};
  }
  if (packet.size() >= 40 && packet[0] >> 4 == 6) {
    return PacketAddresses{IpAddress::v6(packet.subspan(8).first<16>()),
                           IpAddress::v6(packet.subspan(24).first<16>())};
  }
  return {};
}

Result<Device> Device::create(const std::string& name) {
  if (name.size() >= IFNAMSIZ) return fail(EINVAL, "make device " + name);
  Fd tun(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tun.valid()) return fail(errno, "open /dev/net/tun");
  ifreq what{};
  name.copy(what.ifr_name, IFNAMSIZ - 1);
  what.ifr_flags = IFF_TUN | IFF_NO_PI;
  TRY(change(tun, TUNSETIFF, what, "make the TUN"));
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  what.ifr_qlen = kQueue;
  TRY(change(socket, SIOCSIFTXQLEN, what, "lengthen the TUN's queue"));
  TRY(change(socket, SIOCGIFFLAGS, what, "read the TUN's flags"));
  what.ifr_flags = static_cast<short>(what.ifr_flags & ~IFF_MULTICAST);
  TRY(change(socket, SIOCSIFFLAGS, what, "set the TUN's flags"));
  TRY(write_sysctl("net/ipv6/conf/" + name + "/addr_gen_mode", kNoLinkLocal));
  Device out(std::move(tun));
  out.seen_.device.name = name;
  return out;
}

bool Device::exists() const {
  ifreq what{};
  return ::ioctl(tun_.raw(), TUNGETIFF, &what) == 0;
}

void Device::set(const SetDevice& step) {
  WgDevice& device = seen_.device;
  if (step.private_key) {
    device.private_key = step.private_key;
    public_key_ = step.private_key->public_key();
  }
  if (step.listen_port) device.listen_port = *step.listen_port;
  if (step.fwmark) device.fwmark = *step.fwmark;
}

void Device::set(const SetPeer& step) {
  auto& peers = seen_.device.peers;
  if (step.public_key == public_key_) return;
  if (!step.create && !peers.contains(step.public_key)) return;
  WgPeer& peer = peers[step.public_key];
  seen_.stats[step.public_key];
  peer.public_key = step.public_key;
  if (step.replace_preshared_key) peer.preshared_key = step.preshared_key;
  if (step.endpoint) peer.endpoint = step.endpoint;
  if (step.keepalive_s) peer.keepalive_s = *step.keepalive_s;
  if (!step.allowed_ips) return;
  // An allowed IP belongs to the last that claimed it.
  for (auto& [key, other] : peers) {
    std::erase_if(other.allowed_ips, [&](const Prefix& prefix) {
      return std::ranges::find(*step.allowed_ips, prefix) != step.allowed_ips->end();
    });
  }
  peer.allowed_ips = *step.allowed_ips;
  std::ranges::sort(peer.allowed_ips);
}

void Device::remove(const RemovePeer& step) {
  seen_.device.peers.erase(step.public_key);
  seen_.stats.erase(step.public_key);
}

const WgPeer* Device::owner(const IpAddress& address) const {
  const WgPeer* best = nullptr;
  int longest = -1;
  for (const auto& [key, peer] : seen_.device.peers) {
    for (const Prefix& prefix : peer.allowed_ips) {
      if (prefix.length <= longest || !prefix.contains(address)) continue;
      best = &peer;
      longest = prefix.length;
    }
  }
  return best;
}

bool Device::knows_where(const WgPeer& peer) const {
  return peer.endpoint || seen_.stats.at(peer.public_key).last_handshake_unix_s != 0;
}

void Device::on_sent(const PublicKey& peer, size_t bytes) {
  WgPeerStats& stats = seen_.stats[peer];
  stats.tx_bytes += bytes;
  if (stats.last_handshake_unix_s == 0) stats.last_handshake_unix_s = std::time(nullptr);
}

void Device::on_received(const PublicKey& peer, size_t bytes) {
  WgPeerStats& stats = seen_.stats[peer];
  stats.rx_bytes += bytes;
  if (stats.last_handshake_unix_s == 0) stats.last_handshake_unix_s = std::time(nullptr);
}

}  // namespace sallyport::stand_in
