// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/libnl.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>

#include <cstring>

namespace sallyport::libnl {

int address_family(const IpAddress& address) { return address.is_v4() ? AF_INET : AF_INET6; }
int address_family(Family family) { return family == Family::kV4 ? AF_INET : AF_INET6; }

Owned<nl_addr> make_address(const Prefix& prefix) {
  const auto& bytes = prefix.address.bytes;
  const bool v4 = prefix.address.is_v4();
  Owned<nl_addr> address{nl_addr_build(address_family(prefix.address),
                                       v4 ? bytes.data() + 12 : bytes.data(), v4 ? 4 : 16)};
  if (address) nl_addr_set_prefixlen(address.get(), prefix.length);
  return address;
}

std::optional<Prefix> prefix_of(const nl_addr* address) {
  if (address == nullptr) return {};
  const int family = nl_addr_get_family(address);
  if (family != AF_INET && family != AF_INET6) return {};

  // A default route has no bytes at all.
  std::array<uint8_t, 16> bytes{};
  const size_t size = family == AF_INET ? 4 : 16;
  if (nl_addr_get_len(address) == size) {
    std::memcpy(bytes.data(), nl_addr_get_binary_addr(address), size);
  }
  const auto length = static_cast<uint8_t>(nl_addr_get_prefixlen(address));
  if (family == AF_INET) {
    uint32_t number_be = 0;
    std::memcpy(&number_be, bytes.data(), sizeof number_be);
    return Prefix{IpAddress::v4(ntohl(number_be)), length};
  }
  const IpAddress v6 = IpAddress::v6(bytes);
  if (v6.is_v4()) return {};
  return Prefix{v6, length};
}

nl_object* parse_object(const Answer& answer) {
  const Owned<nl_msg> copy{nlmsg_alloc_size(NLMSG_HDRLEN + NLMSG_ALIGN(answer.payload.size()))};
  if (!copy) return nullptr;
  nlmsghdr* header = nlmsg_put(copy.get(), 0, 0, answer.type,
                               static_cast<int>(answer.payload.size()), answer.flags);
  if (header == nullptr) return nullptr;
  std::memcpy(nlmsg_data(header), answer.payload.data(), answer.payload.size());
  nlmsg_set_proto(copy.get(), NETLINK_ROUTE);
  nl_object* found = nullptr;
  nl_msg_parse(
      copy.get(),
      [](nl_object* object, void* out) {
        nl_object_get(object);
        *static_cast<nl_object**>(out) = object;
      },
      static_cast<void*>(&found));
  return found;
}

namespace {

Result<Message> copy_of(nl_msg& built, std::string_view doing) {
  const nlmsghdr* header = nlmsg_hdr(&built);
  Message message;
  if (!message.begin_with({reinterpret_cast<const uint8_t*>(header), header->nlmsg_len})) {
    return fail(EMSGSIZE, std::string(doing));
  }
  return message;
}

NetlinkSocket::Visit forward(const std::function<void(const Answer&)>& visit) {
  return [&visit](const Answer& answer) {
    if (visit) visit(answer);
    return true;
  };
}

}  // namespace

Result<void> request(NetlinkSocket& socket, nl_msg& built, std::string_view doing,
                     const std::function<void(const Answer&)>& visit) {
  Message message = TRY(copy_of(built, doing));
  return socket.request(message, doing, forward(visit));
}

Result<NetlinkSocket::DumpEnd> dump_once(NetlinkSocket& socket, nl_msg& built,
                                         std::string_view doing,
                                         const std::function<void(const Answer&)>& visit) {
  Message message = TRY(copy_of(built, doing));
  return socket.dump(message, doing, forward(visit));
}

}  // namespace sallyport::libnl
