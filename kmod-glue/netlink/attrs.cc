// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/netlink/attrs.h"

#include <linux/netlink.h>

#include <algorithm>

namespace sallyport {
namespace {

bool fits(const AttrRule& rule, size_t size) {
  switch (rule.shape) {
    case Shape::kUnknown:
    case Shape::kNest:
      return true;
    case Shape::kExact:
      return size == rule.bytes;
    case Shape::kAtLeast:
      return size >= rule.bytes;
    case Shape::kString:
      return size >= 1;
  }
  return false;
}

}  // namespace

std::optional<Attribute> AttrWalk::next() {
  if (rest_.empty() || malformed_) return std::nullopt;
  nlattr head{};
  if (rest_.size() >= sizeof(head)) std::memcpy(&head, rest_.data(), sizeof(head));
  if (head.nla_len < sizeof(head) || head.nla_len > rest_.size()) {
    malformed_ = true;
    return std::nullopt;
  }
  const Attribute attribute{static_cast<uint16_t>(head.nla_type & NLA_TYPE_MASK),
                            rest_.subspan(sizeof(head), head.nla_len - sizeof(head))};
  // The last one may come without its padding.
  const size_t step = NLA_ALIGN(size_t{head.nla_len});
  rest_ = rest_.subspan(std::min(step, rest_.size()));
  return attribute;
}

bool parse_attrs(ByteView list, std::span<const AttrRule> policy,
                 std::span<std::optional<ByteView>> found) {
  AttrWalk walk(list);
  while (const auto attribute = walk.next()) {
    if (attribute->type >= policy.size()) continue;
    const AttrRule& rule = policy[attribute->type];
    if (!fits(rule, attribute->value.size())) return false;
    if (rule.shape != Shape::kUnknown) found[attribute->type] = attribute->value;
  }
  return !walk.malformed();
}

}  // namespace sallyport
