// SPDX-License-Identifier: BSD-3-Clause
#include "agent/guard/reconcile.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "agent/guard/sysctl_keys.h"

namespace sallyport {
namespace {

template <class T>
std::set<T> as_set(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}

/// What is in `a` and not in `b`, in order.
template <class T>
std::vector<T> missing_from(const std::vector<T>& a, const std::set<T>& b) {
  std::vector<T> out;
  for (const T& value : as_set(a)) {
    if (!b.contains(value)) out.push_back(value);
  }
  return out;
}

bool turns_forwarding(const std::string& key) {
  return key == kForwardV4 || key.ends_with("/forwarding");
}

class Reconciler {
 public:
  Reconciler(const KernelState& desired, const KernelState& observed, const AskedEndpoints& asked)
      : desired_(desired), observed_(observed), asked_(asked) {}

  std::vector<Operation> run() {
    const bool keep = desired_.wireguard && observed_.wireguard &&
                      desired_.wireguard->name == observed_.wireguard->name;
    if (observed_.wireguard && !keep) take_down();
    if (desired_.wireguard) {
      build();
    } else {
      clear();
    }
    return std::move(operations_);
  }

 private:
  template <class T>
  void emit(T operation) {
    operations_.emplace_back(std::move(operation));
  }

  /// The old device with everything on it, traffic stopped first. Afterwards observed_ is what is
  /// left.
  void take_down() {
    const std::string device = observed_.wireguard->name;
    for (const RoutingRule& rule : observed_.rules) emit(DeleteRoutingRule{rule});
    observed_.rules.clear();
    if (observed_.link && observed_.link->up) {
      emit(SetLink{device, Link{observed_.link->mtu, false}});
    }
    for (const Attachment& attachment : observed_.attachments) {
      if (attachment.device == device) emit(Detach{attachment});
    }
    emit(DeleteLink{device});
    observed_.wireguard.reset();
    observed_.link.reset();
    observed_.addresses.clear();
    std::erase_if(observed_.attachments,
                  [&](const Attachment& attachment) { return attachment.device == device; });
    std::erase_if(observed_.routes, [&](const Route& route) { return route.device == device; });
  }

  /// No device is wanted, and the old one is gone.
  void clear() {
    delete_rules();
    delete_routes();
    set_nft();
    attach();
    detach();
    set_offloads();
    set_sysctls();
    set_routes();
    add_rules();
  }

  void build() {
    const std::string& device = desired_.wireguard->name;
    if (!observed_.wireguard) {
      emit(CreateLink{device});
      observed_.wireguard.emplace().name = device;
    }
    const bool was_up = observed_.link && observed_.link->up;
    // A device that carries packets without its programs: close that hole before all else.
    if (was_up) attach();
    set_device();
    remove_peers();
    set_peers();
    set_addresses();
    if (!was_up) attach();
    set_offloads();
    set_nft();
    set_link();
    set_routes();
    add_rules();
    delete_routes();
    delete_rules();
    set_sysctls();
    detach();
  }

  void set_device() {
    const WgDevice& want = *desired_.wireguard;
    const WgDevice& have = *observed_.wireguard;
    SetDevice set{.device = want.name, .private_key = {}, .listen_port = {}, .fwmark = {}};
    if (want.private_key && want.private_key != have.private_key)
      set.private_key = want.private_key;
    if (want.listen_port != 0 && want.listen_port != have.listen_port)
      set.listen_port = want.listen_port;
    if (want.fwmark != have.fwmark) set.fwmark = want.fwmark;
    if (set.private_key || set.listen_port || set.fwmark) emit(std::move(set));
  }

  void remove_peers() {
    for (const auto& [key, peer] : observed_.wireguard->peers) {
      if (!desired_.wireguard->peers.contains(key)) emit(RemovePeer{desired_.wireguard->name, key});
    }
  }

  [[nodiscard]] std::optional<Endpoint> endpoint_to_set(const WgPeer& want,
                                                        const WgPeer* have) const {
    if (!want.endpoint) return std::nullopt;  // the kernel cannot forget one
    if (have == nullptr || !have->endpoint) return want.endpoint;
    const auto asked = asked_.find(want.public_key);
    if (asked == asked_.end() || asked->second == want.endpoint) return std::nullopt;
    return want.endpoint;
  }

  /// Only the members that differ; nothing if none does.
  [[nodiscard]] std::optional<SetPeer> change_of(const WgPeer& want, const WgPeer* have) const {
    SetPeer set{.device = desired_.wireguard->name,
                .public_key = want.public_key,
                .create = have == nullptr,
                .replace_preshared_key = false,
                .preshared_key = {},
                .endpoint = endpoint_to_set(want, have),
                .keepalive_s = {},
                .allowed_ips = {}};
    const WgPeer fresh{};
    const WgPeer& old = have != nullptr ? *have : fresh;
    if (want.preshared_key != old.preshared_key) {
      set.replace_preshared_key = true;
      set.preshared_key = want.preshared_key;
    }
    if (want.keepalive_s != old.keepalive_s) set.keepalive_s = want.keepalive_s;
    if (as_set(want.allowed_ips) != as_set(old.allowed_ips)) set.allowed_ips = want.allowed_ips;
    const bool differs = set.create || set.replace_preshared_key || set.endpoint ||
                         set.keepalive_s || set.allowed_ips;
    return differs ? std::optional(std::move(set)) : std::nullopt;
  }

  /// Who gives up prefixes comes first: while two peers of ours trade one, it is nobody's rather
  /// than the wrong one's.
  void set_peers() {
    std::vector<SetPeer> giving;
    std::vector<SetPeer> others;
    for (const auto& [key, want] : desired_.wireguard->peers) {
      const auto found = observed_.wireguard->peers.find(key);
      const WgPeer* have = found != observed_.wireguard->peers.end() ? &found->second : nullptr;
      auto change = change_of(want, have);
      if (!change) continue;
      const bool gives =
          have != nullptr && !missing_from(have->allowed_ips, as_set(want.allowed_ips)).empty();
      (gives ? giving : others).push_back(std::move(*change));
    }
    for (SetPeer& set : giving) emit(std::move(set));
    for (SetPeer& set : others) emit(std::move(set));
  }

  /// The kernel drops the other IPv4 addresses of a subnet with its first one (promote_secondaries
  /// aside), and all IPv4 routes of a device with its last address. So what shares a subnet with a
  /// removed address is put on again afterwards, and everything else is added before.
  /// Adding what is there and deleting what is not are no errors in kmod-glue.
  /// Source: net/ipv4/devinet.c __inet_del_ifa, fib_frontend.c fib_inetaddr_event.
  void set_addresses() {
    const std::string& device = desired_.wireguard->name;
    const std::set<Prefix> want = as_set(desired_.addresses);
    const std::set<Prefix> have = as_set(observed_.addresses);
    std::set<Prefix> shaken;  // subnets that lose an address
    for (const Prefix& address : have) {
      if (!want.contains(address) && address.address.is_v4()) shaken.insert(address.masked());
    }
    const bool v4_stays = std::ranges::any_of(want, [&](const Prefix& address) {
      return address.address.is_v4() && !shaken.contains(address.masked());
    });
    const bool routes_may_go = !shaken.empty() && !v4_stays;
    if (routes_may_go) delete_routes();  // while they are surely there
    for (const Prefix& address : want) {
      if (!have.contains(address) && !shaken.contains(address.masked()))
        emit(AddAddress{device, address});
    }
    for (const Prefix& address : have) {
      if (!want.contains(address)) emit(DeleteAddress{device, address});
    }
    for (const Prefix& address : want) {
      if (shaken.contains(address.masked())) emit(AddAddress{device, address});
    }
    if (routes_may_go) {
      std::erase_if(observed_.routes, [&](const Route& route) {
        return route.device == device && route.to.address.is_v4();
      });
    }
  }

  void attach() {
    for (const Attachment& attachment :
         missing_from(desired_.attachments, as_set(observed_.attachments))) {
      emit(Attach{attachment});
    }
  }
  void detach() {
    for (const Attachment& attachment :
         missing_from(observed_.attachments, as_set(desired_.attachments))) {
      emit(Detach{attachment});
    }
  }

  void set_link() {
    if (!desired_.link || observed_.link == desired_.link) return;
    emit(SetLink{desired_.wireguard->name, *desired_.link});
    if (observed_.link && observed_.link->up == desired_.link->up) return;
    // Routes of a device that was down are gone, whatever was seen before.
    std::erase_if(observed_.routes,
                  [&](const Route& route) { return route.device == desired_.wireguard->name; });
  }

  void set_routes() {
    const std::set<Route> have = as_set(observed_.routes);
    for (const Route& route : as_set(desired_.routes)) {
      if (!have.contains(route)) emit(AddRoute{route});
    }
  }

  static auto place_of(const Route& route) {
    return std::tuple(route.to, route.table, route.metric);
  }
  /// Not those whose place was taken by AddRoute.
  void delete_routes() {
    std::set<std::tuple<Prefix, uint32_t, uint32_t>> places;
    for (const Route& route : desired_.routes) places.insert(place_of(route));
    for (const Route& route : as_set(observed_.routes)) {
      if (!places.contains(place_of(route))) emit(DeleteRoute{route});
    }
    std::erase_if(observed_.routes,
                  [&](const Route& route) { return !places.contains(place_of(route)); });
  }

  void add_rules() {
    for (const RoutingRule& rule : missing_from(desired_.rules, as_set(observed_.rules))) {
      emit(AddRoutingRule{rule});
    }
  }
  void delete_rules() {
    for (const RoutingRule& rule : missing_from(observed_.rules, as_set(desired_.rules))) {
      emit(DeleteRoutingRule{rule});
    }
  }

  void set_nft() {
    if (desired_.nft == observed_.nft) return;
    if (desired_.nft) {
      emit(ReplaceNftTable{*desired_.nft});
    } else {
      emit(DeleteNftTable{});
    }
  }

  void set_offloads() {
    for (const auto& [offload, on] : desired_.offloads) {
      const auto have = observed_.offloads.find(offload);
      if (have == observed_.offloads.end() || have->second != on) emit(SetOffload{offload, on});
    }
  }

  /// Forwarding is switched on last and off first: a host that forwards refuses router
  /// advertisements unless accept_ra is 2 and forgets its default route at once. The kernel
  /// rewrites accept_redirects along with it, so that one follows. Source: net/ipv6/addrconf.c
  /// addrconf_fixup_forwarding, net/ipv4/devinet.c inet_forward_change.
  void set_sysctls() {
    std::vector<SetSysctl> first;
    std::vector<SetSysctl> middle;
    std::vector<SetSysctl> last;
    std::vector<SetSysctl> after;
    for (const auto& [key, value] : desired_.sysctls) {
      const bool follows = key == kRedirectsV4 && forwarding_changes();
      const auto have = observed_.sysctls.find(key);
      if (have != observed_.sysctls.end() && have->second == value && !follows) continue;
      auto& group = follows ? after : !turns_forwarding(key) ? middle : value == "0" ? first : last;
      group.push_back(SetSysctl{key, value});
    }
    for (auto* group : {&first, &middle, &last, &after}) {
      for (SetSysctl& set : *group) emit(std::move(set));
    }
  }
  [[nodiscard]] bool forwarding_changes() const {
    const auto want = desired_.sysctls.find(kForwardV4);
    const auto have = observed_.sysctls.find(kForwardV4);
    return want != desired_.sysctls.end() && have != observed_.sysctls.end() &&
           want->second != have->second;
  }

  const KernelState& desired_;
  KernelState observed_;
  const AskedEndpoints& asked_;
  std::vector<Operation> operations_;
};

}  // namespace

AskedEndpoints asked_endpoints(const KernelState& desired) {
  AskedEndpoints asked;
  if (!desired.wireguard) return asked;
  for (const auto& [key, peer] : desired.wireguard->peers) asked.emplace(key, peer.endpoint);
  return asked;
}

std::vector<Operation> reconcile(const KernelState& desired, const KernelState& observed,
                                 const AskedEndpoints& asked) {
  return Reconciler(desired, observed, asked).run();
}

}  // namespace sallyport
