// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/link.h"

#include <net/if.h>

#include <cerrno>

#include "kmod-glue/libnl.h"

namespace sallyport {

Result<std::optional<FoundLink>> find_link(NetlinkSocket& route, const std::string& name) {
  const std::string doing = "look up link " + name;
  // The kernel would cut a longer name or find an alternative one.
  if (name.empty() || name.size() >= IFNAMSIZ) return fail(EINVAL, doing);
  nl_msg* raw = nullptr;
  if (rtnl_link_build_get_request(0, name.c_str(), &raw) < 0) return fail(ENOMEM, doing);
  const libnl::Owned<nl_msg> message{raw};

  std::optional<FoundLink> found;
  const auto done = libnl::request(route, *message, doing, [&](const Answer& answer) {
    const auto link = libnl::parse<rtnl_link>(answer);
    if (!link) return;
    found = FoundLink{static_cast<uint32_t>(rtnl_link_get_ifindex(link.get())),
                      {.mtu = rtnl_link_get_mtu(link.get()),
                       .up = (rtnl_link_get_flags(link.get()) & IFF_UP) != 0}};
  });
  if (!done && done.error().code == std::errc::no_such_device) return std::optional<FoundLink>{};
  if (!done) return Fail{done.error()};
  return found;
}

Result<uint32_t> link_index(NetlinkSocket& route, const std::string& name) {
  const auto found = TRY(find_link(route, name));
  if (!found) return fail(ENODEV, "look up link " + name);
  return found->index;
}

Result<void> set_link(NetlinkSocket& route, const std::string& name, const Link& link) {
  const libnl::Owned<rtnl_link> original{rtnl_link_alloc()};
  const libnl::Owned<rtnl_link> change{rtnl_link_alloc()};
  const std::string doing =
      "set link " + name + (link.up ? " up" : " down") +
      (link.mtu != 0 ? " with MTU " + std::to_string(link.mtu) : std::string{});
  if (!original || !change) return fail(ENOMEM, doing);
  rtnl_link_set_ifindex(original.get(), static_cast<int>(TRY(link_index(route, name))));
  if (link.mtu != 0) rtnl_link_set_mtu(change.get(), link.mtu);
  if (link.up) {
    rtnl_link_set_flags(change.get(), IFF_UP);
  } else {
    rtnl_link_unset_flags(change.get(), IFF_UP);
  }

  nl_msg* raw = nullptr;
  if (rtnl_link_build_change_request(original.get(), change.get(), 0, &raw) < 0) {
    return fail(EINVAL, doing);
  }
  const libnl::Owned<nl_msg> message{raw};
  return libnl::request(route, *message, doing);
}

}  // namespace sallyport
