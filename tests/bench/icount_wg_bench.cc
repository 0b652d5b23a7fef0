// SPDX-License-Identifier: BSD-3-Clause
// What it costs to tell kernel WireGuard about its peers. Needs a kernel that has it, and root.
//
// The baseline writes the same attributes of the same peers with memcpy into buffers of the same
// size, and sends them on a bare socket.
#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kmod-glue/netlink/attrs.h"
#include "kmod-glue/netlink/generic.h"
#include "kmod-glue/wg.h"
#include "tests/bench/figure.h"
#include "tests/support/expedited_rcu.h"
#include "tests/support/own_netns.h"

namespace sallyport {
namespace {

constexpr uint32_t kMany = 10'000;
constexpr uint32_t kFew = 100;

[[noreturn]] void die(const std::string& why) {
  std::cerr << "icount_wg_bench: " << why << '\n';
  std::exit(1);
}
void must(const Result<void>& result) {
  if (!result) die(result.error().text());
}

double ms_of(auto&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

/// A peer as a netmap brings it: parked endpoint, one address of each family.
SetPeer peer(uint32_t n, const std::string& device) {
  SetPeer set{.device = device,
              .public_key = {},
              .create = true,
              .replace_preshared_key = false,
              .preshared_key = {},
              .endpoint = Endpoint{IpAddress::v4(0x7f000001 + n), 40000},
              .keepalive_s = {},
              .allowed_ips = {}};
  std::mt19937_64 random(n);
  std::ranges::generate(set.public_key.bytes, [&] { return static_cast<uint8_t>(random()); });
  auto v6 = Prefix::host(IpAddress::parse("fd7a:115c:a1e0::").value());
  v6.address.bytes[14] = static_cast<uint8_t>(n >> 8);
  v6.address.bytes[15] = static_cast<uint8_t>(n);
  set.allowed_ips = {{Prefix::host(IpAddress::v4(0x64400000 + n)), v6}};
  return set;
}
std::vector<SetPeer> peers(uint32_t count, const std::string& device) {
  std::vector<SetPeer> all;
  all.reserve(count);
  for (uint32_t n = 0; n < count; ++n) all.push_back(peer(n, device));
  return all;
}

/// Everything by hand: no library, no check but for the room that a peer needs.
class Raw {
 public:
  explicit Raw(uint16_t family)
      : family_(family), fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC)) {
    if (!fd_.valid()) die("socket");
  }

  void apply(std::span<const SetPeer> peers) {
    for (size_t i = 0; i < peers.size();) {
      at_ = buffer_.data();
      store(nlmsghdr{0, family_, NLM_F_REQUEST | NLM_F_ACK, ++sequence_, 0});
      store(genlmsghdr{WG_CMD_SET_DEVICE, WG_GENL_VERSION, 0});
      attr(WGDEVICE_A_IFNAME, peers[i].device.c_str(), peers[i].device.size() + 1);
      uint8_t* const list = open(WGDEVICE_A_PEERS);
      const uint8_t* const end = buffer_.data() + buffer_.size();
      for (; i < peers.size() && end - at_ > kPeerBytes; ++i) put(peers[i]);
      close(list);
      const auto length = static_cast<uint32_t>(at_ - buffer_.data());
      std::memcpy(buffer_.data(), &length, sizeof(length));
      if (::send(fd_.raw(), buffer_.data(), length, 0) < 0) die("send");
      std::array<uint8_t, 256> answer{};
      int error = 1;
      if (recv(fd_.raw(), answer.data(), answer.size(), 0) < 20) die("recv");
      std::memcpy(&error, answer.data() + sizeof(nlmsghdr), sizeof(error));
      if (error != 0) die("raw write refused");
    }
  }

 private:
  // key 36, flags 8, endpoint 20, allowed IPs 4 + 28 + 40, the peer 4
  static constexpr ptrdiff_t kPeerBytes = 140;

  template <class Value>
  void store(const Value& value) {
    std::memcpy(at_, &value, sizeof(value));
    at_ += sizeof(value);
  }
  void attr(int type, const void* value, size_t size) {
    store(nlattr{static_cast<uint16_t>(4 + size), static_cast<uint16_t>(type)});
    std::memcpy(at_, value, size);
    at_ += NLA_ALIGN(size);
  }
  uint8_t* open(int type) {
    uint8_t* const nest = at_;
    store(nlattr{0, static_cast<uint16_t>(type | NLA_F_NESTED)});
    return nest;
  }
  void close(uint8_t* nest) const {
    const auto length = static_cast<uint16_t>(at_ - nest);
    std::memcpy(nest, &length, sizeof(length));
  }
  void put(const SetPeer& set) {
    uint8_t* const whole = open(0);
    const uint32_t flags = WGPEER_F_REPLACE_ALLOWEDIPS;
    attr(WGPEER_A_PUBLIC_KEY, set.public_key.bytes.data(), 32);
    attr(WGPEER_A_FLAGS, &flags, sizeof(flags));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(set.endpoint->port);
    to.sin_addr.s_addr = htonl(set.endpoint->address.v4_number());
    attr(WGPEER_A_ENDPOINT, &to, sizeof(to));
    uint8_t* const ips = open(WGPEER_A_ALLOWEDIPS);
    for (const Prefix& prefix : *set.allowed_ips) {
      uint8_t* const ip = open(0);
      const bool v4 = prefix.address.is_v4();
      const uint16_t family = v4 ? AF_INET : AF_INET6;
      attr(WGALLOWEDIP_A_FAMILY, &family, sizeof(family));
      attr(WGALLOWEDIP_A_IPADDR, prefix.address.bytes.data() + (v4 ? 12 : 0), v4 ? 4 : 16);
      attr(WGALLOWEDIP_A_CIDR_MASK, &prefix.length, 1);
      close(ip);
    }
    close(ips);
    close(whole);
  }

  uint16_t family_;
  Fd fd_;
  uint32_t sequence_ = 0;
  std::array<uint8_t, kPeersMessageBytes> buffer_{};
  uint8_t* at_ = nullptr;
};

/// The two devices must end the same, else the comparison is of two different things.
void same(WireGuard& wg, const std::string& a, const std::string& b) {
  const auto one = wg.dump(a);
  const auto other = wg.dump(b);
  if (!one || !other || !*one || !*other) die("dump");
  if ((*one)->device.peers.size() != kMany || (*one)->device.peers != (*other)->device.peers) {
    die("our peers and the raw ones differ");
  }
}

void apply_many(const bench::Filter& filter, WireGuard& wg, Raw& raw) {
  bench::Samples ours;
  bench::Samples by_hand;
  bench::Samples ours_again;
  bench::Samples by_hand_again;
  const auto list = peers(kMany, "wgours");
  const auto raw_list = peers(kMany, "wgraw");
  constexpr int kFresh = 3;
  for (int i = 0; i < kFresh; ++i) {
    must(wg.create_link("wgours"));
    must(wg.create_link("wgraw"));
    // Whoever goes second finds warm caches.
    const auto measure_ours = [&] { ours.add(ms_of([&] { must(wg.apply(list)); })); };
    const auto measure_raw = [&] { by_hand.add(ms_of([&] { raw.apply(raw_list); })); };
    if (i % 2 == 0) measure_ours();
    measure_raw();
    if (i % 2 != 0) measure_ours();
    if (i == 0) same(wg, "wgours", "wgraw");
    if (i + 1 == kFresh) {
      for (int again = 0; again < 7; ++again) {
        ours_again.add(ms_of([&] { must(wg.apply(list)); }));
        by_hand_again.add(ms_of([&] { raw.apply(raw_list); }));
      }
    }
    const ExpeditedRcu expedited;
    must(wg.delete_link("wgours"));
    must(wg.delete_link("wgraw"));
  }
  if (filter.wants("wg.apply.10000")) {
    bench::print({"wg.apply.10000", "ms", ours, bench::Baseline{"raw_netlink", by_hand},
                  bench::at_most(1.2)});
  }
  // The kernel does least when all is there already: here our own share weighs most.
  if (filter.wants("wg.reapply.10000")) {
    bench::print({"wg.reapply.10000", "ms", ours_again,
                  bench::Baseline{"raw_netlink", by_hand_again}, bench::at_most(1.2)});
  }
}

/// How many peers a message names.
double peers_in(const Message& message) {
  size_t count = 0;
  AttrWalk device(message.bytes().subspan(sizeof(nlmsghdr) + sizeof(genlmsghdr)));
  while (const auto attribute = device.next()) {
    if (attribute->type != WGDEVICE_A_PEERS) continue;
    AttrWalk list(attribute->value);
    while (list.next()) ++count;
  }
  return static_cast<double>(count);
}

void change_one(const bench::Filter& filter, WireGuard& wg) {
  const std::array<std::pair<const char*, uint32_t>, 2> devices{
      {{"wgmany", kMany}, {"wgfew", kFew}}};
  for (const auto& [device, count] : devices) {
    must(wg.create_link(device));
    must(wg.apply(peers(count, device)));
  }
  std::array<bench::Samples, 2> times;
  for (uint32_t i = 0; i < 400; ++i) {
    for (size_t which = 0; which < devices.size(); ++which) {
      const auto& [device, count] = devices[which];
      SetPeer change = peer((i * 37) % count, device);
      change.create = false;
      change.endpoint->port = static_cast<uint16_t>(41000 + i);
      times[which].add(ms_of([&] { must(wg.apply(change)); }) * 1000);
    }
  }
  SetPeer change = peer(77, "wgmany");
  change.create = false;
  Message message(kPeersMessageBytes);
  if (write_set_peers(message, 0, std::span(&change, 1), {}).peer != 1)
    die("one peer, one message");
  {
    const ExpeditedRcu expedited;
    for (const auto& [device, count] : devices) must(wg.delete_link(device));
  }

  if (filter.wants("wg.change.1")) {
    bench::print({"wg.change.1", "us", times[0], bench::Baseline{"of_100_peers", times[1]},
                  bench::at_most(1.2)});
  }
  if (filter.wants("wg.change.1.peers")) {
    bench::print(
        {"wg.change.1.peers", "peers", bench::Samples({peers_in(message)}), {}, bench::at_most(1)});
  }
  if (filter.wants("wg.change.1.bytes")) {
    bench::print({"wg.change.1.bytes",
                  "bytes",
                  bench::Samples({static_cast<double>(message.size())}),
                  {},
                  {}});
  }
}

}  // namespace
}  // namespace sallyport

int main(int argc, char** argv) {
  using namespace sallyport;
  const bench::Filter filter(argc, argv);
  const OwnNetns netns;
  if (!netns.entered()) die("needs root");
  auto wg = WireGuard::open();
  if (!wg) die(wg.error().text());
  // Loads the module, if it is one.
  must(wg->create_link("wgfirst"));
  must(wg->delete_link("wgfirst"));
  auto generic = NetlinkSocket::open(NETLINK_GENERIC);
  if (!generic) die(generic.error().text());
  const auto family = find_family(*generic, WG_GENL_NAME);
  if (!family) die(family.error().text());

  if (filter.wants("wg.apply.10000") || filter.wants("wg.reapply.10000")) {
    Raw raw(family->id);
    apply_many(filter, *wg, raw);
  }
  if (filter.wants("wg.change.1") || filter.wants("wg.change.1.peers") ||
      filter.wants("wg.change.1.bytes")) {
    change_one(filter, *wg);
  }
  return 0;
}
