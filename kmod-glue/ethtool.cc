// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/ethtool.h"

#include <fmt/format.h>
#include <linux/ethtool_netlink.h>
#include <linux/netlink.h>

#include <cerrno>
#include <optional>

#include "kmod-glue/netlink/attrs.h"
#include "kmod-glue/netlink/generic.h"

namespace sallyport {
namespace {

constexpr AttrRule kFlag{Shape::kExact, 0};
constexpr auto kFeaturesPolicy = [] {
  AttrPolicy<ETHTOOL_A_FEATURES_NOCHANGE + 1> policy{};
  for (const size_t bitset :
       {ETHTOOL_A_FEATURES_HW, ETHTOOL_A_FEATURES_ACTIVE, ETHTOOL_A_FEATURES_NOCHANGE}) {
    policy[bitset] = {Shape::kNest};
  }
  return policy;
}();
constexpr auto kBitsetPolicy = [] {
  AttrPolicy<ETHTOOL_A_BITSET_BITS + 1> policy{};
  policy[ETHTOOL_A_BITSET_NOMASK] = kFlag;
  policy[ETHTOOL_A_BITSET_BITS] = {Shape::kNest};
  return policy;
}();
constexpr auto kBitPolicy = [] {
  AttrPolicy<ETHTOOL_A_BITSET_BIT_VALUE + 1> policy{};
  policy[ETHTOOL_A_BITSET_BIT_NAME] = {Shape::kString};
  policy[ETHTOOL_A_BITSET_BIT_VALUE] = kFlag;
  return policy;
}();

/// Names of the bits that are set. Source: Documentation/networking/ethtool-netlink.rst, "Bit
/// sets": without a mask only set bits are listed, with one each says its value.
std::optional<std::set<std::string>> parse_bitset(ByteView list) {
  const auto bitset = Attrs<kBitsetPolicy.size()>::parse(list, kBitsetPolicy);
  if (!bitset) return {};

  std::set<std::string> names;
  const bool no_mask = bitset->has(ETHTOOL_A_BITSET_NOMASK);
  AttrWalk bits(bitset->nest(ETHTOOL_A_BITSET_BITS));
  while (const auto entry = bits.next()) {
    const auto bit = Attrs<kBitPolicy.size()>::parse(entry->value, kBitPolicy);
    if (!bit) return {};
    if (no_mask || bit->has(ETHTOOL_A_BITSET_BIT_VALUE)) {
      names.emplace(bit->string(ETHTOOL_A_BITSET_BIT_NAME));
    }
  }
  if (bits.malformed()) return {};
  return names;
}

std::optional<Features> parse_features(ByteView list) {
  const auto attrs = Attrs<kFeaturesPolicy.size()>::parse(list, kFeaturesPolicy);
  if (!attrs) return {};
  auto active = parse_bitset(attrs->nest(ETHTOOL_A_FEATURES_ACTIVE));
  auto hardware = parse_bitset(attrs->nest(ETHTOOL_A_FEATURES_HW));
  const auto fixed = parse_bitset(attrs->nest(ETHTOOL_A_FEATURES_NOCHANGE));
  if (!active || !hardware || !fixed) return {};
  std::erase_if(*hardware, [&](const std::string& name) { return fixed->contains(name); });
  return Features{*std::move(active), *std::move(hardware)};
}

bool put_device(Message& message, const std::string& device) {
  return message.put_nested(ETHTOOL_A_FEATURES_HEADER,
                            [&] { return message.put_string(ETHTOOL_A_HEADER_DEV_NAME, device); });
}

/// One bit with its value; all others stay as they are.
bool put_wanted(Message& message, const std::string& feature, bool on) {
  const auto put_bit = [&] {
    return message.put_string(ETHTOOL_A_BITSET_BIT_NAME, feature) &&
           (!on || message.put_flag(ETHTOOL_A_BITSET_BIT_VALUE));
  };
  return message.put_nested(ETHTOOL_A_FEATURES_WANTED, [&] {
    return message.put_nested(ETHTOOL_A_BITSET_BITS, [&] {
      return message.put_nested(ETHTOOL_A_BITSET_BITS_BIT, put_bit);
    });
  });
}

}  // namespace

Result<Ethtool> Ethtool::open() {
  NetlinkSocket socket = TRY(NetlinkSocket::open(NETLINK_GENERIC));
  const GenericFamily family = TRY(find_family(socket, ETHTOOL_GENL_NAME));
  return Ethtool{std::move(socket), family.id};
}

Result<Features> Ethtool::features(const std::string& device) {
  const std::string doing = "read the offloads of " + device;
  Message message;
  message.begin_generic(family_, ETHTOOL_MSG_FEATURES_GET, ETHTOOL_GENL_VERSION);
  if (!put_device(message, device)) return fail(E2BIG, doing);
  std::optional<Features> found;
  TRY(socket_.request(message, doing, [&](const Answer& answer) {
    found = parse_features(answer.generic_attrs());
    return found.has_value();
  }));
  if (!found) return fail(EBADMSG, doing);
  return *std::move(found);
}

Result<void> Ethtool::set(const Offload& offload, bool on) {
  const std::string doing =
      fmt::format("switch {} of {} {}", offload.feature, offload.device, on ? "on" : "off");
  Message message;
  message.begin_generic(family_, ETHTOOL_MSG_FEATURES_SET, ETHTOOL_GENL_VERSION);
  if (!put_device(message, offload.device) || !put_wanted(message, offload.feature, on)) {
    return fail(E2BIG, doing);
  }
  TRY(socket_.request(message, doing));
  // The kernel accepts a wish that it does not fulfil.
  const Features now = TRY(features(offload.device));
  if (now.active.contains(offload.feature) != on) {
    return fail(EOPNOTSUPP, doing + ": it is fixed, or needs another that is off");
  }
  return {};
}

}  // namespace sallyport
