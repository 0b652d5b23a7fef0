// SPDX-License-Identifier: BSD-3-Clause
/// What a gateway with this configuration wants of the kernel. Pure: the facts it depends on are
/// arguments.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/guard/saved.h"
#include "agent/model/config.h"
#include "agent/model/kernel_state.h"
#include "agent/model/keys.h"
#include "agent/model/node_state.h"

namespace sallyport {

/// WireGuard's own default: 1500 less IPv6 (40), UDP (8) and a data message's header and tag (32).
/// Plain clients choose the same number, so neither end fragments, whichever family carries them.
/// Source: wireguard/device.c wg_setup, MESSAGE_MINIMUM_LENGTH.
constexpr uint32_t kWgMtu = 1420;

/// Offsets from dataplane.priority. Gaps are for the relay's rules.
constexpr uint32_t kLoopbackRuleOffset = 10;
constexpr uint32_t kMarkRuleOffset = 20;
constexpr uint32_t kTableRuleOffset = 40;

/// Routing tables that every host has. Source: linux/rtnetlink.h RT_TABLE_MAIN.
constexpr uint32_t kMainTable = 254;
constexpr uint32_t kLocalTable = 255;

/// Ports of the node's sockets, chosen once and kept; 0: not chosen yet.
struct NodePorts {
  uint16_t agent = 0;  // beside WireGuard's, for disco, STUN and Geneve
  uint16_t relay = 0;  // on lo, in the place of relays
  friend bool operator==(const NodePorts&, const NodePorts&) = default;
};

/// What plan has to know of the host.
struct PlanFacts {
  std::optional<PrivateKey> private_key;
  uint16_t wg_port = 0;  // the chosen and kept one; counts where node.wg_port is 0
  NodePorts node_ports;
  /// Does the node hold paths (it has joined a tailnet)? What serves only that is absent otherwise.
  bool holds_paths = false;
  std::vector<Device> devices;  // all of them, ours included if it exists
  /// For a LAN without `device` that is on no port of ours: the device that the kernel's route
  /// lookup names.
  std::map<Prefix, std::string> lan_devices;
  /// Present values of sysctl_keys(). A key that is missing here does not exist on this host and is
  /// not asked for.
  std::map<std::string, std::string> sysctls;
  /// Present values of those features that the device lets us change.
  std::map<Offload, bool> offloads;
  /// Values from before our first change.
  Saved saved;
};

/// The sysctls whose present values plan has to see, those of `saved` included.
std::vector<std::string> sysctl_keys(const Config& config, const std::vector<Device>& devices,
                                     const Saved& saved);

/// The desired state of a gateway.
///
/// Routes: one in our table for each allowed_ips entry, with what is connected to another device
/// cut out of it (our table is asked before main, and a peer that claims 10.0.0.0/8 must not take
/// the LAN 10.1.2.0/24 away; an entry inside a connected prefix stays). A /0 gets no route: it says
/// what the peer may send, and a gateway does not send its own traffic through a peer. Where two
/// peers claim one prefix, the first by {configured, position} has it: WireGuard gives a prefix to
/// one peer only.
KernelState plan(const Config& config, const NodeState& node, const PlanFacts& facts);

/// The desired state of a host that we leave: nothing of ours, and everything else as it was.
KernelState plan_nothing(const PlanFacts& facts);

/// The devices with a default route, or those of exit.device.
std::vector<std::string> exit_devices(const Config& config, const std::vector<Device>& devices);

/// Which ports face the internet, by ifindex: those with a default route or of exit.device, unless
/// a LAN of the configuration or of `routes` (NodeState) is on them too (a gateway with one port).
/// Ours and loopback are no ports.
std::map<uint32_t, bool> port_roles(const Config& config, const std::vector<Device>& devices,
                                    const std::map<Prefix, std::string>& lan_devices,
                                    const std::map<Prefix, bool>& routes = {});

/// Where `lan` is reached; nothing while that is unknown.
std::optional<std::string> lan_device(const LanConfig& lan, const PlanFacts& facts);

}  // namespace sallyport
