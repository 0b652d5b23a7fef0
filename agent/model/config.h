// SPDX-License-Identifier: BSD-3-Clause
/// config.yaml as values. agent/options makes it; names are not resolved yet.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/model/ip.h"
#include "agent/model/join_prefs.h"
#include "agent/model/keys.h"
#include "agent/model/position.h"
#include "agent/model/rule.h"

namespace sallyport {

/// What the sender of a denied packet hears.
enum class Deny : uint8_t { kReject, kDrop };
enum class Switch : uint8_t { kAuto, kOn, kOff };
enum class ExitV6 : uint8_t { kOff, kNat, kDelegated };

/// A firewall mark and the bits of it that are ours.
struct Fwmark {
  uint32_t value = 0;
  uint32_t mask = 0;
  friend bool operator==(const Fwmark&, const Fwmark&) = default;
};

struct NodeConfig {
  std::string hostname;
  std::vector<std::string> tags;
  std::string device = "sallyport0";
  uint16_t wg_port = 0;  // 0: chosen at first start and kept
  std::vector<Prefix> addresses;
  std::string private_key_file;           // empty: STATE/private.key, made at first start
  std::optional<PrivateKey> private_key;  // literal, or read from the file; absent: not made yet
  std::string public_endpoint;            // HOST or HOST:PORT, for `peer add`
  std::vector<IpAddress> dns;             // for `peer add`
  Deny deny = Deny::kReject;
  Position where;
};

struct TimeoutConfig {
  std::chrono::seconds tcp{7440};  // RFC 5382 REQ-5: 2 h 4 min at least
  std::chrono::seconds tcp_opening{60};
  std::chrono::seconds tcp_closing{60};
  std::chrono::seconds udp{180};
  std::chrono::seconds icmp{30};
  std::chrono::seconds other{120};
  friend bool operator==(const TimeoutConfig&, const TimeoutConfig&) = default;
};

struct DataplaneConfig {
  uint32_t flows = 65536;
  uint32_t flows_per_peer = 0;  // 0: an eighth of flows
  TimeoutConfig timeouts;
  uint32_t table = 5300;     // our routing table
  uint32_t priority = 5300;  // our first ip rule; the last is 90 behind it
  Fwmark fwmark{0x00080000, 0x00ff0000};
};

struct PeerConfig {
  std::string name;
  PublicKey public_key;
  std::vector<Prefix> allowed_ips;
  std::string endpoint;  // HOST:PORT, may be a name; empty: learnt
  std::optional<PresharedKey> preshared_key;
  uint16_t keepalive_s = 0;
  Position where;
};

struct LanConfig {
  std::string name;
  Prefix prefix;
  std::string device;  // empty: the device that has a route to it
  bool snat = true;
  Position where;
};

struct ExitConfig {
  bool ipv4 = true;
  ExitV6 ipv6 = ExitV6::kOff;
  std::vector<std::string> devices;  // empty: the devices with a default route
  Position where;
};

/// A tailnet that we are a member of.
struct JoinConfig {
  std::string url;
  std::string auth_key;  // empty: a person logs in
  std::string ca_file;   // empty: the system's
  std::chrono::seconds max_netmap_age = std::chrono::days(7);
  bool snat_by_default = true;       // prefs.snat has the routes for which it counts, if it is off
  bool advertise_exit_node = false;  // prefs.advertise_routes has both /0 for it
  JoinPrefs prefs;
  Position where;
};

/// `from` and `to` as written: peer names, group:NAME, LAN names, lan, exit, self, addresses,
/// prefixes, ranges and *.
struct Name {
  std::string text;
  Position where;
};
struct RuleConfig {
  std::string id;  // given, or rule-N by position
  std::vector<Name> from;
  std::vector<Name> to;
  std::vector<IpProto> protos;
  std::vector<PortRange> ports;
  std::vector<TimeWindow> when;
  std::optional<WallTime> not_before;
  std::optional<WallTime> not_after;
  Position where;
};

struct Config {
  NodeConfig node;
  DataplaneConfig dataplane;
  std::optional<JoinConfig> join;
  std::string metrics;  // ADDR:PORT or unix:PATH; empty: RUN/metrics.sock only
  std::vector<PeerConfig> peers;
  std::map<std::string, std::vector<Name>> groups;
  std::vector<LanConfig> lans;
  std::optional<ExitConfig> exit;
  std::vector<RuleConfig> rules;
  /// Absent: no bound but ours. Empty: nothing.
  std::optional<std::vector<RuleConfig>> ceiling;
};

}  // namespace sallyport
