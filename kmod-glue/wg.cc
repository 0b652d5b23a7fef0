// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/wg.h"

#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/wireguard.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "kmod-glue/netlink/generic.h"

namespace sallyport {
namespace {

constexpr int kDumpTries = 5;

bool is(const Error& error, int number) {
  return error.code == std::error_code(number, std::generic_category());
}

bool write_link(Message& message, uint16_t type, uint16_t flags, std::string_view name) {
  message.begin(type, flags);
  return message.put_header(ifinfomsg{}) && message.put_string(IFLA_IFNAME, name);
}

}  // namespace

Result<WireGuard> WireGuard::open() {
  auto route = TRY(NetlinkSocket::open(NETLINK_ROUTE));
  auto generic = TRY(NetlinkSocket::open(NETLINK_GENERIC));
  return WireGuard(std::move(route), std::move(generic));
}

Result<void> WireGuard::create_link(const std::string& name) {
  const std::string doing = fmt::format("create WireGuard device '{}'", name);
  Message message;
  const bool written = write_link(message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, name) &&
                       message.put_nested(IFLA_LINKINFO, [&] {
                         return message.put_string(IFLA_INFO_KIND, WG_GENL_NAME);
                       });
  if (!written) return fail(ENAMETOOLONG, doing);
  return route_.request(message, doing);
}

Result<void> WireGuard::delete_link(const std::string& name) {
  const std::string doing = fmt::format("delete device '{}'", name);
  Message message;
  if (!write_link(message, RTM_DELLINK, 0, name)) return fail(ENAMETOOLONG, doing);
  return route_.request(message, doing);
}

Result<uint16_t> WireGuard::family() {
  if (family_) return *family_;
  const auto found = find_family(generic_, WG_GENL_NAME);
  if (found) {
    family_ = found->id;
    return *family_;
  }
  if (!is(found.error(), ENOENT)) return Fail{found.error()};
  return fail(EOPNOTSUPP, "this kernel has no WireGuard (module 'wireguard')");
}

Result<void> WireGuard::send(Message& message, const std::string& doing) {
  auto sent = generic_.request(message, doing);
  // The module went and came again, with another number: ask for it next time.
  if (!sent && is(sent.error(), ENOENT)) family_.reset();
  return sent;
}

Result<void> WireGuard::apply(const SetDevice& set) {
  const std::string doing = fmt::format("set up WireGuard device '{}'", set.device);
  Message message;
  if (!write_set_device(message, TRY(family()), set)) return fail(ENAMETOOLONG, doing);
  return send(message, doing);
}

Result<void> WireGuard::apply(std::span<const SetPeer> peers) {
  if (peers.empty()) return {};
  const uint16_t id = TRY(family());
  Message message(kPeersMessageBytes);
  for (PeerCursor at; at.peer < peers.size();) {
    const PeerCursor next = write_set_peers(message, id, peers, at);
    const SetPeer& first = peers[at.peer];
    const size_t others = next.peer - at.peer + (next.allowed_ip != 0 ? 1 : 0);
    const std::string doing =
        others > 1 ? fmt::format("set peer {} and {} more of '{}'", first.public_key.text(),
                                 others - 1, first.device)
                   : fmt::format("set peer {} of '{}'", first.public_key.text(), first.device);
    if (next == at) return fail(ENAMETOOLONG, doing);
    TRY(send(message, doing));
    at = next;
  }
  return {};
}

Result<void> WireGuard::apply(const RemovePeer& remove) {
  const std::string doing =
      fmt::format("remove peer {} of '{}'", remove.public_key.text(), remove.device);
  Message message;
  if (!write_remove_peer(message, TRY(family()), remove)) return fail(ENAMETOOLONG, doing);
  return send(message, doing);
}

Result<std::optional<WgObserved>> WireGuard::dump(const std::string& name) {
  const std::string doing = fmt::format("read WireGuard device '{}'", name);
  const uint16_t id = TRY(family());
  Message message;
  for (int i = 0; i < kDumpTries; ++i) {
    if (!write_get_device(message, id, name)) return fail(ENAMETOOLONG, doing);
    WgDumpReader reader;
    auto end = generic_.dump(message, doing, [&](const Answer& answer) {
      return reader.on_message(answer.generic_attrs());
    });
    if (!end && is(end.error(), ENODEV)) return std::optional<WgObserved>{};
    if (!end) {
      if (is(end.error(), ENOENT)) family_.reset();
      return Fail{std::move(end).error()};
    }
    if (*end == NetlinkSocket::DumpEnd::kComplete) return std::optional(std::move(reader).finish());
  }
  return fail(EAGAIN, doing + ": it changed while we looked");
}

}  // namespace sallyport
