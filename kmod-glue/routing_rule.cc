// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/routing_rule.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "kmod-glue/libnl.h"
#include "kmod-glue/route.h"

namespace sallyport {
namespace {

std::string text(const RoutingRule& r) {
  char mark[32];
  std::snprintf(mark, sizeof mark, " fwmark %#x/%#x", r.mark, r.mask);
  return "rule " + std::to_string(r.priority) + (r.mask != 0 ? mark : "") +
         (r.to ? " to " + r.to->text() : "") + " lookup " + std::to_string(r.table) +
         (r.family == Family::kV4 ? " (IPv4)" : " (IPv6)");
}

/// Selectors that the model has no word for.
bool has_more(rtnl_rule* rule) {
  uint8_t ip_protocol = 0;
  uint16_t first = 0;
  uint16_t last = 0;
  const nl_addr* source = rtnl_rule_get_src(rule);
  return (source != nullptr && nl_addr_get_prefixlen(source) != 0) ||
         rtnl_rule_get_iif(rule) != nullptr || rtnl_rule_get_oif(rule) != nullptr ||
         rtnl_rule_get_dsfield(rule) != 0 || rtnl_rule_get_l3mdev(rule) > 0 ||
         rtnl_rule_get_ipproto(rule, &ip_protocol) == 0 ||
         rtnl_rule_get_sport(rule, &first, &last) == 0 ||
         rtnl_rule_get_dport(rule, &first, &last) == 0;
}

std::optional<RoutingRule> read_rule(const Answer& answer, Family family) {
  fib_rule_hdr header{};
  if (answer.payload.size() < sizeof header) return {};
  std::memcpy(&header, answer.payload.data(), sizeof header);
  if ((header.flags & FIB_RULE_INVERT) != 0) return {};
  const auto parsed = libnl::parse<rtnl_rule>(answer);
  if (!parsed || rtnl_rule_get_action(parsed.get()) != FR_ACT_TO_TBL) return {};
  if (has_more(parsed.get())) return {};
  RoutingRule rule{.family = family,
                   .priority = rtnl_rule_get_prio(parsed.get()),
                   .mark = rtnl_rule_get_mark(parsed.get()),
                   .mask = rtnl_rule_get_mask(parsed.get()),
                   .to = {},
                   .table = rtnl_rule_get_table(parsed.get())};
  if (header.dst_len != 0) rule.to = libnl::prefix_of(rtnl_rule_get_dst(parsed.get()));
  return rule;
}

Result<libnl::Owned<rtnl_rule>> make_rule(const RoutingRule& from, const std::string& doing) {
  libnl::Owned<rtnl_rule> made{rtnl_rule_alloc()};
  if (!made) return fail(ENOMEM, doing);
  rtnl_rule_set_family(made.get(), libnl::address_family(from.family));
  rtnl_rule_set_prio(made.get(), from.priority);
  rtnl_rule_set_table(made.get(), from.table);
  rtnl_rule_set_action(made.get(), FR_ACT_TO_TBL);
  if (from.mask != 0) {
    rtnl_rule_set_mark(made.get(), from.mark);
    rtnl_rule_set_mask(made.get(), from.mask);
  }
  if (!from.to) return made;
  const auto to = libnl::make_address(*from.to);
  if (!to) return fail(ENOMEM, doing);
  if (rtnl_rule_set_dst(made.get(), to.get()) < 0) return fail(EAFNOSUPPORT, doing);
  return made;
}

}  // namespace

Result<std::vector<RoutingRule>> rules_between(NetlinkSocket& route, uint32_t first,
                                               uint32_t last) {
  std::vector<RoutingRule> rules;
  for (const Family family : {Family::kV4, Family::kV6}) {
    fib_rule_hdr header{};
    header.family = static_cast<uint8_t>(libnl::address_family(family));
    const auto message = libnl::dump_request(RTM_GETRULE, header);
    if (!message) return fail(ENOMEM, "list routing rules");
    const auto found = TRY(
        libnl::dump<RoutingRule>(route, *message, "list routing rules", [&](const Answer& answer) {
          auto rule = read_rule(answer, family);
          if (rule && (rule->priority < first || rule->priority > last)) rule.reset();
          return rule;
        }));
    rules.insert(rules.end(), found.begin(), found.end());
  }
  std::ranges::sort(rules);
  rules.erase(std::ranges::unique(rules).begin(), rules.end());
  return rules;
}

Result<void> add_routing_rule(NetlinkSocket& route, const RoutingRule& rule) {
  const std::string doing = "add " + text(rule);
  const auto made = TRY(make_rule(rule, doing));
  rtnl_rule_set_protocol(made.get(), kRouteProtocol);  // to delete, whoever made it: not said
  nl_msg* raw = nullptr;
  // Without EXCL the kernel adds the same rule a second time.
  if (rtnl_rule_build_add_request(made.get(), NLM_F_CREATE | NLM_F_EXCL, &raw) < 0) {
    return fail(EINVAL, doing);
  }
  const libnl::Owned<nl_msg> message{raw};
  auto done = libnl::request(route, *message, doing);
  if (!done && done.error().code == std::errc::file_exists) return {};
  return done;
}

Result<void> delete_routing_rule(NetlinkSocket& route, const RoutingRule& rule) {
  const std::string doing = "delete " + text(rule);
  const auto made = TRY(make_rule(rule, doing));
  nl_msg* raw = nullptr;
  if (rtnl_rule_build_delete_request(made.get(), 0, &raw) < 0) return fail(EINVAL, doing);
  const libnl::Owned<nl_msg> message{raw};
  auto done = libnl::request(route, *message, doing);
  if (!done && done.error().code == std::errc::no_such_file_or_directory) return {};
  return done;
}

}  // namespace sallyport
