// SPDX-License-Identifier: BSD-3-Clause
/// All that a control server has told us about the tailnet.
/// Source: tailscale tailcfg MapResponse, types/netmap.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/model/derp_map.h"
#include "agent/model/dns_config.h"
#include "agent/model/filter_rule.h"
#include "agent/model/netmap_node.h"

namespace sallyport {

struct UserProfile {
  UserId id{};
  std::string login_name;  // "alice@example.com", "tagged-devices"
  std::string display_name;
  std::string profile_pic_url;
  std::vector<std::string> groups;
  friend bool operator==(const UserProfile&, const UserProfile&) = default;
};

/// What the server wants people to read.
struct DisplayMessage {
  std::string title;
  std::string text;
  std::string severity;  // "high", "medium", "low"
  bool impacts_connectivity = false;
  std::string action_url;
  std::string action_label;
  friend bool operator==(const DisplayMessage&, const DisplayMessage&) = default;
};

/// Tailnet lock's state at the server.
struct TkaInfo {
  std::string head;
  bool disabled = false;
  friend bool operator==(const TkaInfo&, const TkaInfo&) = default;
};

struct Netmap {
  std::optional<NetmapNode> self;  // absent: nothing was received yet
  std::map<NodeId, NetmapNode> peers;
  DerpMap derp_map;
  DnsConfig dns;
  std::string domain;
  /// By the name of the chunk; in force is all of them, in the order of the names. No filter and an
  /// empty one mean the same: nothing is let in.
  std::map<std::string, std::vector<FilterRule>> filters;
  std::map<UserId, UserProfile> users;
  std::vector<std::string> health;
  std::map<std::string, DisplayMessage> messages;
  std::optional<TkaInfo> tka;
  std::optional<RawJson> ssh_policy;
  /// The server's clock less ours, when it last told.
  std::optional<Duration> clock_offset;
  friend bool operator==(const Netmap&, const Netmap&) = default;
};

}  // namespace sallyport
