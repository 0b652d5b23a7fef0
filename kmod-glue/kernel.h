// SPDX-License-Identifier: BSD-3-Clause
/// The kernel as one thing: observe what is ours, apply steps, be told of changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/config.h"
#include "agent/model/kernel_state.h"
#include "kmod-glue/ethtool.h"
#include "kmod-glue/netlink/socket.h"
#include "kmod-glue/nft.h"
#include "kmod-glue/notify.h"

namespace sallyport {

/// What is ours. observe() shows nothing else of links, addresses, routes and rules, and apply()
/// refuses (EPERM) what lies outside.
struct Scope {
  std::string device;  // our WireGuard device
  uint32_t table = 0;  // our routing table
  uint32_t first_priority = 0;
  uint32_t last_priority = 0;  // included
  Fwmark fwmark;               // the only bits that a rule of ours may look at
};

/// A step that failed: its index in the steps that were given, and why.
struct Failure {
  size_t index = 0;
  Error error;
};

/// The WireGuard device. Kept apart so that a namespace on a kernel without WireGuard can have a
/// TUN in its place.
class WireGuardOps {
 public:
  virtual ~WireGuardOps() = default;
  /// Nothing: there is no such device.
  virtual Result<std::optional<WgDevice>> dump(const std::string& device) = 0;
  virtual Result<void> create_link(const CreateLink& step) = 0;
  virtual Result<void> delete_link(const DeleteLink& step) = 0;
  virtual Result<void> set_device(const SetDevice& step) = 0;
  /// Each is a SetPeer or a RemovePeer, in order: as many a message as fit. Indices into `steps`.
  virtual std::vector<Failure> change_peers(std::span<const Operation> steps) = 0;
};

/// Our BPF programs on devices.
class AttachOps {
 public:
  virtual ~AttachOps() = default;
  /// Sorted.
  virtual Result<std::vector<Attachment>> attached() = 0;
  virtual Result<void> attach(const Attachment& attachment) = 0;
  virtual Result<void> detach(const Attachment& attachment) = 0;
};

/// Whether observe() dumps the WireGuard device: a dump holds rtnl, so only when one must know.
enum class Peers : uint8_t { kDump, kSkip };

/// Everything here belongs to the network namespace of the thread that opened it, and blocks for as
/// long as the kernel takes. Decides nothing.
class Kernel {
 public:
  /// Both must outlive the object.
  struct Parts {
    WireGuardOps& wireguard;
    AttachOps& attach;
  };
  static Result<std::unique_ptr<Kernel>> open(Scope scope, Parts parts);

  /// What is there of all that a desired state can name. Absent from the answer: sysctls and
  /// devices that do not exist, offloads that their device keeps as they are, and with Peers::kSkip
  /// `wireguard`.
  Result<KernelState> observe(const std::vector<std::string>& sysctl_keys,
                              const std::vector<Offload>& offloads, Peers peers = Peers::kDump);

  /// All steps in order; one that fails does not stop the rest, unless `stops` says so of it. Peer
  /// steps that follow each other go together. Steps that are done already succeed.
  std::vector<Failure> apply(std::span<const Operation> steps,
                             const std::function<bool(const Operation&)>& stops = {});
  Result<void> apply(const Operation& step);

  Result<std::vector<Device>> devices();
  /// The names of the devices behind which these prefixes are, as a route lookup of their first or
  /// else last address says. Absent: no route, a default route only, or ours.
  Result<std::map<Prefix, std::string>> devices_towards(const std::vector<Prefix>& prefixes,
                                                        const std::vector<Device>& devices);
  Result<std::vector<ForeignForwardChain>> foreign_forward_chains();

  /// See KernelWatch.
  [[nodiscard]] int notification_fd() const { return watch_.fd(); }
  bool drain_notifications() { return watch_.drain(); }
  void follow_routes(std::vector<Prefix> prefixes) { watch_.follow(std::move(prefixes)); }

 private:
  struct Applier;

  Kernel(Scope scope, Parts parts, NetlinkSocket route, Nft nft, Ethtool ethtool,
         KernelWatch watch);
  [[nodiscard]] std::span<const Operation> peer_steps_in_front(
      std::span<const Operation> steps) const;
  Result<void> observe_link(KernelState& state);
  Result<void> observe_offloads(KernelState& state, const std::vector<Offload>& offloads);

  Scope scope_;
  Parts parts_;
  NetlinkSocket route_;
  Nft nft_;
  Ethtool ethtool_;
  KernelWatch watch_;
};

}  // namespace sallyport
