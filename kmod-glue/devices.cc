// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/devices.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "kmod-glue/libnl.h"

namespace sallyport {
namespace {

/// lo has Ethernet headers too, of zeros. Source: drivers/net/loopback.c, eth_header_ops.
bool has_ethernet_header(unsigned arp_type) {
  return arp_type == ARPHRD_ETHER || arp_type == ARPHRD_LOOPBACK;
}

std::optional<Device> read_device(const Answer& answer) {
  const auto link = libnl::parse<rtnl_link>(answer);
  if (!link) return {};
  // Bridge ports are listed a second time under their own family.
  if (rtnl_link_get_family(link.get()) != AF_UNSPEC) return {};
  const char* kind = rtnl_link_get_type(link.get());
  const unsigned flags = rtnl_link_get_flags(link.get());
  return Device{.index = static_cast<uint32_t>(rtnl_link_get_ifindex(link.get())),
                .name = rtnl_link_get_name(link.get()),
                .loopback = (flags & IFF_LOOPBACK) != 0,
                .wireguard = kind != nullptr && std::string_view{kind} == "wireguard",
                .ethernet = has_ethernet_header(rtnl_link_get_arptype(link.get())),
                .up = (flags & IFF_UP) != 0,
                .addresses = {}};
}

struct DeviceAddress {
  uint32_t index = 0;
  Prefix prefix;
};

std::optional<DeviceAddress> read_address(const Answer& answer) {
  const auto address = libnl::parse<rtnl_addr>(answer);
  if (!address) return {};
  const auto prefix = libnl::prefix_of(rtnl_addr_get_local(address.get()));
  if (!prefix) return {};
  return DeviceAddress{static_cast<uint32_t>(rtnl_addr_get_ifindex(address.get())), *prefix};
}

/// The devices of a default route's next hops.
std::optional<std::vector<uint32_t>> read_default_route(const Answer& answer) {
  // Looked at before libnl is: `main` of a box that speaks BGP has a million other routes.
  rtmsg header{};
  if (answer.payload.size() < sizeof header) return {};
  std::memcpy(&header, answer.payload.data(), sizeof header);
  if (header.rtm_dst_len != 0 || header.rtm_type != RTN_UNICAST) return {};

  const auto route = libnl::parse<rtnl_route>(answer);
  if (!route || rtnl_route_get_table(route.get()) != RT_TABLE_MAIN) return {};
  std::vector<uint32_t> devices;
  for (int i = 0; i < rtnl_route_get_nnexthops(route.get()); ++i) {
    rtnl_nexthop* hop = rtnl_route_nexthop_n(route.get(), i);
    devices.push_back(static_cast<uint32_t>(rtnl_route_nh_get_ifindex(hop)));
  }
  return devices;
}

Result<std::vector<Device>> list_links(NetlinkSocket& route) {
  const auto message = libnl::dump_request(RTM_GETLINK, ifinfomsg{});
  if (!message || nla_put_u32(message.get(), IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS) < 0) {
    return fail(ENOMEM, "list links");
  }
  return libnl::dump<Device>(route, *message, "list links", read_device);
}

Result<std::vector<uint32_t>> default_route_devices(NetlinkSocket& route) {
  std::vector<uint32_t> devices;
  for (const int family : {AF_INET, AF_INET6}) {
    rtmsg header{};
    header.rtm_family = static_cast<uint8_t>(family);
    header.rtm_table = RT_TABLE_MAIN;
    const auto message = libnl::dump_request(RTM_GETROUTE, header);
    if (!message) return fail(ENOMEM, "list default routes");
    auto found = libnl::dump<std::vector<uint32_t>>(route, *message, "list default routes",
                                                    read_default_route);
    // A namespace where no route of the family ever stood has no such table.
    if (!found && found.error().code == std::errc::no_such_file_or_directory) continue;
    if (!found) return Fail{std::move(found).error()};
    for (const auto& some : *found) devices.insert(devices.end(), some.begin(), some.end());
  }
  return devices;
}

}  // namespace

Result<std::vector<Device>> list_devices(NetlinkSocket& route) {
  auto devices = TRY(list_links(route));
  std::ranges::sort(devices, {}, &Device::index);
  const auto find = [&](uint32_t index) -> Device* {
    const auto at = std::ranges::lower_bound(devices, index, {}, &Device::index);
    return at != devices.end() && at->index == index ? &*at : nullptr;
  };

  const auto message = libnl::dump_request(RTM_GETADDR, ifaddrmsg{});
  if (!message) return fail(ENOMEM, "list addresses");
  for (const DeviceAddress& one :
       TRY(libnl::dump<DeviceAddress>(route, *message, "list addresses", read_address))) {
    if (Device* device = find(one.index)) device->addresses.push_back(one.prefix);
  }
  for (const uint32_t index : TRY(default_route_devices(route))) {
    if (Device* device = find(index)) device->default_route = true;
  }
  for (Device& device : devices) std::ranges::sort(device.addresses);
  return devices;
}

}  // namespace sallyport
