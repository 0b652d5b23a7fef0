// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/kernel.h"

#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>
#include <variant>

#include "kmod-glue/address.h"
#include "kmod-glue/devices.h"
#include "kmod-glue/link.h"
#include "kmod-glue/route.h"
#include "kmod-glue/routing_rule.h"
#include "kmod-glue/sysctl.h"

namespace sallyport {
namespace {

bool is_peer_step(const Operation& step) {
  return std::holds_alternative<SetPeer>(step) || std::holds_alternative<RemovePeer>(step);
}

/// Is the step about what is ours? guard has said so already; this is the last fence.
struct Within {
  const Scope& scope;

  template <class Step>
    requires requires(const Step& s) { s.device; }
  bool operator()(const Step& s) const {
    return s.device == scope.device;
  }
  bool operator()(const AddRoute& s) const { return s.route.table == scope.table; }
  bool operator()(const DeleteRoute& s) const { return s.route.table == scope.table; }
  bool operator()(const AddRoutingRule& s) const { return is_ours(s.rule); }
  bool operator()(const DeleteRoutingRule& s) const { return is_ours(s.rule); }
  bool operator()(const ReplaceNftTable&) const { return true; }
  bool operator()(const DeleteNftTable&) const { return true; }
  bool operator()(const SetSysctl&) const { return true; }
  bool operator()(const SetOffload&) const { return true; }
  bool operator()(const Attach&) const { return true; }
  bool operator()(const Detach&) const { return true; }

  [[nodiscard]] bool is_ours(const RoutingRule& rule) const {
    return rule.priority >= scope.first_priority && rule.priority <= scope.last_priority &&
           (rule.mask & ~scope.fwmark.mask) == 0;
  }
};

bool is_gone(const Error& error) { return error.code == std::errc::no_such_device; }

}  // namespace

/// One step, by its kind.
struct Kernel::Applier {
  Kernel& kernel;

  Result<void> operator()(const CreateLink& s) const {
    return kernel.parts_.wireguard.create_link(s);
  }
  Result<void> operator()(const DeleteLink& s) const {
    return kernel.parts_.wireguard.delete_link(s);
  }
  Result<void> operator()(const SetLink& s) const {
    return set_link(kernel.route_, s.device, s.link);
  }
  Result<void> operator()(const SetDevice& s) const {
    return kernel.parts_.wireguard.set_device(s);
  }
  Result<void> operator()(const SetPeer& s) const { return one_peer(s); }
  Result<void> operator()(const RemovePeer& s) const { return one_peer(s); }
  Result<void> operator()(const AddAddress& s) const {
    return add_address(kernel.route_, s.device, s.address);
  }
  Result<void> operator()(const DeleteAddress& s) const {
    return delete_address(kernel.route_, s.device, s.address);
  }
  Result<void> operator()(const AddRoute& s) const { return add_route(kernel.route_, s.route); }
  Result<void> operator()(const DeleteRoute& s) const {
    return delete_route(kernel.route_, s.route);
  }
  Result<void> operator()(const AddRoutingRule& s) const {
    return add_routing_rule(kernel.route_, s.rule);
  }
  Result<void> operator()(const DeleteRoutingRule& s) const {
    return delete_routing_rule(kernel.route_, s.rule);
  }
  Result<void> operator()(const ReplaceNftTable& s) const { return kernel.nft_.replace(s.table); }
  Result<void> operator()(const DeleteNftTable&) const { return kernel.nft_.remove(); }
  Result<void> operator()(const SetSysctl& s) const { return write_sysctl(s.key, s.value); }
  Result<void> operator()(const SetOffload& s) const {
    return kernel.ethtool_.set(s.offload, s.on);
  }
  Result<void> operator()(const Attach& s) const {
    return kernel.parts_.attach.attach(s.attachment);
  }
  Result<void> operator()(const Detach& s) const {
    return kernel.parts_.attach.detach(s.attachment);
  }

 private:
  [[nodiscard]] Result<void> one_peer(const Operation& step) const {
    auto failures = kernel.parts_.wireguard.change_peers({&step, 1});
    if (failures.empty()) return {};
    return Fail{std::move(failures.front().error)};
  }
};

Kernel::Kernel(Scope scope, Parts parts, NetlinkSocket route, Nft nft, Ethtool ethtool,
               KernelWatch watch)
    : scope_(std::move(scope)),
      parts_(parts),
      route_(std::move(route)),
      nft_(std::move(nft)),
      ethtool_(std::move(ethtool)),
      watch_(std::move(watch)) {}

Result<std::unique_ptr<Kernel>> Kernel::open(Scope scope, Parts parts) {
  // Subscribed before the first look, so that no change falls in between.
  KernelWatch watch = TRY(KernelWatch::open(scope.table));
  NetlinkSocket route = TRY(NetlinkSocket::open(NETLINK_ROUTE));
  TRY(route.be_strict());
  Nft nft = TRY(Nft::open());
  Ethtool ethtool = TRY(Ethtool::open());
  return std::unique_ptr<Kernel>(new Kernel(std::move(scope), parts, std::move(route),
                                            std::move(nft), std::move(ethtool), std::move(watch)));
}

Result<KernelState> Kernel::observe(const std::vector<std::string>& sysctl_keys,
                                    const std::vector<Offload>& offloads, Peers peers) {
  KernelState state;
  if (peers == Peers::kDump) state.wireguard = TRY(parts_.wireguard.dump(scope_.device));
  TRY(observe_link(state));
  state.routes = TRY(routes_in(route_, scope_.table));
  state.rules = TRY(rules_between(route_, scope_.first_priority, scope_.last_priority));
  state.nft = TRY(nft_.observe());
  for (const std::string& key : sysctl_keys) {
    auto value = TRY(read_sysctl(key));
    if (value) state.sysctls.emplace(key, *std::move(value));
  }
  TRY(observe_offloads(state, offloads));
  state.attachments = TRY(parts_.attach.attached());
  return state;
}

Result<void> Kernel::observe_link(KernelState& state) {
  const auto link = TRY(find_link(route_, scope_.device));
  if (!link) return {};
  state.link = link->link;
  state.addresses = TRY(addresses_of(route_, link->index));
  return {};
}

Result<void> Kernel::observe_offloads(KernelState& state, const std::vector<Offload>& offloads) {
  std::map<std::string, Features> known;
  for (const Offload& offload : offloads) {
    const auto [at, is_new] = known.try_emplace(offload.device);
    if (is_new) {
      auto found = ethtool_.features(offload.device);
      if (!found && !is_gone(found.error())) return Fail{std::move(found).error()};
      if (found) at->second = *std::move(found);
    }
    if (!at->second.changeable.contains(offload.feature)) continue;
    state.offloads[offload] = at->second.active.contains(offload.feature);
  }
  return {};
}

std::vector<Failure> Kernel::apply(std::span<const Operation> steps,
                                   const std::function<bool(const Operation&)>& stops) {
  std::vector<Failure> failures;
  for (size_t at = 0; at < steps.size();) {
    const auto run = peer_steps_in_front(steps.subspan(at));
    const size_t first_failure = failures.size();
    if (run.empty()) {
      auto done = apply(steps[at]);
      if (!done) failures.push_back({at, std::move(done).error()});
    } else {
      for (Failure& failure : parts_.wireguard.change_peers(run)) {
        failures.push_back({at + failure.index, std::move(failure.error)});
      }
    }
    const auto stopping = [&](const Failure& failure) {
      return stops && stops(steps[failure.index]);
    };
    if (std::any_of(failures.begin() + static_cast<ptrdiff_t>(first_failure), failures.end(),
                    stopping)) {
      break;
    }
    at += std::max<size_t>(1, run.size());
  }
  return failures;
}

std::span<const Operation> Kernel::peer_steps_in_front(std::span<const Operation> steps) const {
  const auto end = std::ranges::find_if(steps, [this](const Operation& step) {
    return !is_peer_step(step) || !std::visit(Within{scope_}, step);
  });
  return steps.first(static_cast<size_t>(end - steps.begin()));
}

Result<void> Kernel::apply(const Operation& step) {
  if (!std::visit(Within{scope_}, step)) return fail(EPERM, "change what is not ours");
  return std::visit(Applier{*this}, step);
}

Result<std::vector<Device>> Kernel::devices() { return list_devices(route_); }

Result<std::map<Prefix, std::string>> Kernel::devices_towards(const std::vector<Prefix>& prefixes,
                                                              const std::vector<Device>& devices) {
  std::map<Prefix, std::string> found;
  for (const Prefix& prefix : prefixes) {
    const IpRange range = prefix.range();
    auto index = TRY(device_towards(route_, range.first));
    if (!index) index = TRY(device_towards(route_, range.last));
    if (!index) continue;
    const auto device = std::ranges::find(devices, *index, &Device::index);
    if (device == devices.end() || device->loopback || device->name == scope_.device) continue;
    found.emplace(prefix, device->name);
  }
  return found;
}

Result<std::vector<ForeignForwardChain>> Kernel::foreign_forward_chains() {
  return nft_.foreign_forward_chains();
}

}  // namespace sallyport
