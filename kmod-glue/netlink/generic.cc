// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/netlink/generic.h"

#include <fmt/format.h>
#include <linux/genetlink.h>

#include <optional>

#include "kmod-glue/netlink/attrs.h"

namespace sallyport {
namespace {

constexpr auto kFamilyPolicy = [] {
  AttrPolicy<CTRL_ATTR_MCAST_GROUPS + 1> policy{};
  policy[CTRL_ATTR_FAMILY_ID] = {Shape::kExact, 2};
  policy[CTRL_ATTR_MCAST_GROUPS] = {Shape::kNest};
  return policy;
}();
constexpr auto kGroupPolicy = [] {
  AttrPolicy<CTRL_ATTR_MCAST_GRP_ID + 1> policy{};
  policy[CTRL_ATTR_MCAST_GRP_NAME] = {Shape::kString};
  policy[CTRL_ATTR_MCAST_GRP_ID] = {Shape::kExact, 4};
  return policy;
}();

std::optional<GenericFamily> parse_family(ByteView list) {
  const auto attrs = Attrs<kFamilyPolicy.size()>::parse(list, kFamilyPolicy);
  if (!attrs) return std::nullopt;
  const auto id = attrs->value<uint16_t>(CTRL_ATTR_FAMILY_ID);
  if (!id) return std::nullopt;
  GenericFamily family{*id, {}};
  AttrWalk groups(attrs->nest(CTRL_ATTR_MCAST_GROUPS));
  while (const auto entry = groups.next()) {
    const auto group = Attrs<kGroupPolicy.size()>::parse(entry->value, kGroupPolicy);
    if (!group) return std::nullopt;
    const auto number = group->value<uint32_t>(CTRL_ATTR_MCAST_GRP_ID);
    if (number) family.groups.emplace(group->string(CTRL_ATTR_MCAST_GRP_NAME), *number);
  }
  return groups.malformed() ? std::nullopt : std::optional(family);
}

}  // namespace

Result<GenericFamily> find_family(NetlinkSocket& generic, std::string_view name) {
  const std::string doing = fmt::format("find generic netlink family '{}'", name);
  Message message;
  message.begin_generic(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
  if (!message.put_string(CTRL_ATTR_FAMILY_NAME, name)) return fail(E2BIG, doing);

  std::optional<GenericFamily> found;
  TRY(generic.request(message, doing, [&](const Answer& answer) {
    found = parse_family(answer.generic_attrs());
    return found.has_value();
  }));
  if (!found) return fail(EBADMSG, doing);
  return *std::move(found);
}

}  // namespace sallyport
