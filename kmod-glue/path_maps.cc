// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/path_maps.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <type_traits>
#include <vector>

#include "agent/base/fd.h"

namespace sallyport {
namespace {

static_assert(std::has_unique_object_representations_v<sp_path_settings>);
static_assert(std::has_unique_object_representations_v<sp_endpoint>);
static_assert(std::has_unique_object_representations_v<sp_pin>);
static_assert(std::has_unique_object_representations_v<sp_endpoint_state>);

sp_endpoint key_of(const Endpoint& endpoint) {
  sp_endpoint key{};
  std::ranges::copy(endpoint.address.bytes, key.addr);
  key.port_be = htons(endpoint.port);
  return key;
}

IpAddress address_of(const uint8_t (&bytes)[16]) {
  IpAddress out;
  std::ranges::copy(bytes, out.bytes.begin());
  return out;
}
Endpoint endpoint_of(const sp_endpoint& key) { return {address_of(key.addr), ntohs(key.port_be)}; }

IpAddress parking_of(uint32_t parking_be) { return IpAddress::v4(ntohl(parking_be)); }

Result<uint32_t> parking_key(const IpAddress& parking) {
  if (!parking.is_v4() || parking.v4_number() >> 24 != 127) {
    return fail(EINVAL, parking.text() + " is no address on lo");
  }
  return htonl(parking.v4_number());
}

// Zeros where the port's packets have no link header.
Result<void> read_mac(uint32_t ifindex, uint8_t (&mac)[6]) {
  ifreq request{};
  if (if_indextoname(ifindex, request.ifr_name) == nullptr) {
    return fail(ENODEV, fmt::format("looking for port {}", ifindex));
  }
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (ioctl(socket.raw(), SIOCGIFHWADDR, &request) != 0) {
    return fail(errno, std::string("reading the link address of ") + request.ifr_name);
  }
  std::ranges::fill(mac, uint8_t{0});
  if (request.ifr_hwaddr.sa_family == ARPHRD_ETHER) {
    std::memcpy(mac, request.ifr_hwaddr.sa_data, sizeof(mac));
  }
  return {};
}

Pin pin_value(const sp_pin& raw) {
  return {endpoint_of(raw.peer), address_of(raw.own_addr), raw.ifindex};
}

template <class Key, class Value, class Visit>
Result<void> for_each(int fd, const char* what, const Visit& visit) {
  constexpr uint32_t kBatch = 512;
  std::vector<Key> keys(kBatch);
  std::vector<Value> values(kBatch);
  uint32_t at = 0;
  for (bool first = true;; first = false) {
    uint32_t count = kBatch;
    uint32_t next = 0;
    const int fault = bpf_map_lookup_batch(fd, first ? nullptr : &at, &next, keys.data(),
                                           values.data(), &count, nullptr);
    if (fault != 0 && errno != ENOENT) return fail(errno, std::string("reading ") + what);
    for (uint32_t i = 0; i < count; i++) visit(keys[i], values[i]);
    if (fault != 0) return {};
    at = next;
  }
}

template <class Key>
Result<void> remove_key(int fd, const Key& key, const char* what) {
  if (bpf_map_delete_elem(fd, &key) != 0 && errno != ENOENT) {
    return fail(errno, std::string("removing ") + what);
  }
  return {};
}

}  // namespace

void PathMaps::set_ports(const PathPorts& ports) {
  sp_path_settings& s = *maps_.settings;
  // While they change, packets stay as they are.
  __atomic_store_n(&s.wg_port_be, uint16_t{0}, __ATOMIC_RELEASE);
  s.agent_port_be = htons(ports.agent);
  s.relay_port_be = htons(ports.relay);
  s.own_mark = ports.own.value;
  s.own_mark_mask = ports.own.mask;
  __atomic_store_n(&s.wg_port_be, htons(ports.wireguard), __ATOMIC_RELEASE);
}

PathPorts PathMaps::ports() const {
  const sp_path_settings& s = *maps_.settings;
  return {ntohs(s.wg_port_be),
          ntohs(s.agent_port_be),
          ntohs(s.relay_port_be),
          {s.own_mark, s.own_mark_mask}};
}

Result<void> PathMaps::pin(const IpAddress& parking, const Pin& pin) {
  const uint32_t key = TRY(parking_key(parking));
  if (pin.peer.address.is_v4() != pin.ours.is_v4()) {
    return fail(EAFNOSUPPORT, "pinning " + pin.peer.text() + " to " + pin.ours.text());
  }
  sp_pin raw{};
  raw.peer = key_of(pin.peer);
  std::ranges::copy(pin.ours.bytes, raw.own_addr);
  raw.ifindex = pin.ifindex;
  TRY(read_mac(pin.ifindex, raw.mac));
  if (bpf_map_update_elem(maps_.pins_fd, &key, &raw, BPF_ANY) != 0) {
    return fail(errno, "pinning " + pin.peer.text());
  }
  return {};
}

Result<void> PathMaps::unpin(const IpAddress& parking) {
  return remove_key(maps_.pins_fd, TRY(parking_key(parking)), "a pin");
}

Result<std::optional<Pin>> PathMaps::pin_of(const IpAddress& parking) const {
  const uint32_t key = TRY(parking_key(parking));
  sp_pin raw{};
  if (bpf_map_lookup_elem(maps_.pins_fd, &key, &raw) == 0) return std::optional(pin_value(raw));
  if (errno != ENOENT) return fail(errno, "reading a pin");
  return std::optional<Pin>();
}

Result<std::optional<sp_endpoint_state>> PathMaps::endpoint_state(const Endpoint& at) const {
  const sp_endpoint key = key_of(at);
  sp_endpoint_state state{};
  if (bpf_map_lookup_elem(maps_.endpoints_fd, &key, &state) == 0) return std::optional(state);
  if (errno != ENOENT) return fail(errno, "reading the endpoint " + at.text());
  return std::optional<sp_endpoint_state>();
}

// A packet that is counted meanwhile may be lost from the count, never a pin.
Result<void> PathMaps::change_endpoint(const Endpoint& from,
                                       const std::function<void(sp_endpoint_state&)>& change) {
  const sp_endpoint key = key_of(from);
  sp_endpoint_state state = TRY(endpoint_state(from)).value_or(sp_endpoint_state{});
  change(state);
  if (bpf_map_update_elem(maps_.endpoints_fd, &key, &state, BPF_ANY) != 0) {
    return fail(errno, "watching the endpoint " + from.text());
  }
  return {};
}

Result<void> PathMaps::watch(const Endpoint& from, Duration yield) {
  return change_endpoint(from, [&](sp_endpoint_state& state) {
    state.yield_ns = static_cast<uint64_t>(std::max(yield, Duration::zero()).count());
  });
}

Result<void> PathMaps::set_reverse(const Endpoint& from, const IpAddress& parking) {
  const uint32_t key = TRY(parking_key(parking));
  return change_endpoint(from, [&](sp_endpoint_state& state) { state.parking_be = key; });
}

Result<void> PathMaps::clear_reverse(const Endpoint& from) {
  if (!TRY(endpoint_state(from))) return {};
  return change_endpoint(from, [](sp_endpoint_state& state) { state.parking_be = 0; });
}

Result<void> PathMaps::forget(const Endpoint& from) {
  return remove_key(maps_.endpoints_fd, key_of(from), "an endpoint");
}

Result<std::optional<Heard>> PathMaps::heard(const Endpoint& from) const {
  const auto state = TRY(endpoint_state(from));
  if (!state || state->heard_ns == 0) return std::optional<Heard>();
  return std::optional(Heard{state->heard_ns, state->heard_packets});
}

Result<std::optional<IpAddress>> PathMaps::reverse_of(const Endpoint& from) const {
  const auto state = TRY(endpoint_state(from));
  if (!state || state->parking_be == 0) return std::optional<IpAddress>();
  return std::optional(parking_of(state->parking_be));
}

Result<void> PathMaps::for_each_pin(
    const std::function<void(const IpAddress& parking, const Pin& pin)>& visit) const {
  return for_each<uint32_t, sp_pin>(
      maps_.pins_fd, "the pins",
      [&](uint32_t key, const sp_pin& raw) { visit(parking_of(key), pin_value(raw)); });
}

Result<void> PathMaps::for_each_endpoint(
    const std::function<void(const Endpoint& from, const sp_endpoint_state& state)>& visit) const {
  return for_each<sp_endpoint, sp_endpoint_state>(
      maps_.endpoints_fd, "the endpoints",
      [&](const sp_endpoint& key, const sp_endpoint_state& state) {
        visit(endpoint_of(key), state);
      });
}

Result<void> PathMaps::clear() {
  set_ports({});
  std::vector<IpAddress> pins;
  TRY(for_each_pin([&](const IpAddress& parking, const Pin&) { pins.push_back(parking); }));
  for (const IpAddress& parking : pins) TRY(unpin(parking));
  std::vector<Endpoint> endpoints;
  TRY(for_each_endpoint(
      [&](const Endpoint& from, const sp_endpoint_state&) { endpoints.push_back(from); }));
  for (const Endpoint& from : endpoints) TRY(forget(from));
  return {};
}

Result<PathCounts> PathMaps::counts() const {
  PathCounts out{};
  std::vector<uint64_t> cpus(static_cast<size_t>(libbpf_num_possible_cpus()));
  for (uint32_t what = 0; what < out.size(); what++) {
    if (bpf_map_lookup_elem(maps_.counts_fd, &what, cpus.data()) != 0) {
      return fail(errno, "reading the counters of paths");
    }
    for (const uint64_t one : cpus) out.at(what) += one;
  }
  return out;
}

}  // namespace sallyport
