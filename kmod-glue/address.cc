// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/address.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>

#include "kmod-glue/libnl.h"
#include "kmod-glue/link.h"

namespace sallyport {
namespace {

libnl::Owned<rtnl_addr> make_address(uint32_t index, const Prefix& address) {
  libnl::Owned<rtnl_addr> made{rtnl_addr_alloc()};
  const auto local = libnl::make_address(address);
  if (!made || !local) return {};
  rtnl_addr_set_ifindex(made.get(), static_cast<int>(index));
  rtnl_addr_set_local(made.get(), local.get());
  return made;
}

}  // namespace

Result<std::vector<Prefix>> addresses_of(NetlinkSocket& route, uint32_t index) {
  static const Prefix kLinkLocal = *Prefix::parse("fe80::/10");
  ifaddrmsg header{};
  header.ifa_index = index;
  const auto message = libnl::dump_request(RTM_GETADDR, header);
  if (!message) return fail(ENOMEM, "list addresses");

  auto found =
      TRY(libnl::dump<Prefix>(route, *message, "list addresses", [&](const Answer& answer) {
        const auto address = libnl::parse<rtnl_addr>(answer);
        if (!address || rtnl_addr_get_ifindex(address.get()) != static_cast<int>(index)) {
          return std::optional<Prefix>{};
        }
        auto prefix = libnl::prefix_of(rtnl_addr_get_local(address.get()));
        if (prefix && kLinkLocal.contains(prefix->address)) prefix.reset();
        return prefix;
      }));
  std::ranges::sort(found);
  return found;
}

Result<void> add_address(NetlinkSocket& route, const std::string& device, const Prefix& address) {
  const std::string doing = "add address " + address.text() + " to " + device;
  const auto made = make_address(TRY(link_index(route, device)), address);
  if (!made) return fail(ENOMEM, doing);
  rtnl_addr_set_flags(made.get(), IFA_F_NOPREFIXROUTE);
  nl_msg* raw = nullptr;
  // REPLACE: an address that is already there is no error.
  if (rtnl_addr_build_add_request(made.get(), NLM_F_CREATE | NLM_F_REPLACE, &raw) < 0) {
    return fail(EINVAL, doing);
  }
  const libnl::Owned<nl_msg> message{raw};
  return libnl::request(route, *message, doing);
}

Result<void> delete_address(NetlinkSocket& route, const std::string& device,
                            const Prefix& address) {
  const std::string doing = "delete address " + address.text() + " of " + device;
  const auto link = TRY(find_link(route, device));
  if (!link) return {};
  const auto made = make_address(link->index, address);
  if (!made) return fail(ENOMEM, doing);
  nl_msg* raw = nullptr;
  if (rtnl_addr_build_delete_request(made.get(), 0, &raw) < 0) return fail(EINVAL, doing);
  const libnl::Owned<nl_msg> message{raw};
  auto done = libnl::request(route, *message, doing);
  if (!done && done.error().code == std::errc::address_not_available) return {};
  return done;
}

}  // namespace sallyport
