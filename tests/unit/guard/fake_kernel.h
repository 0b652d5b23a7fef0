// SPDX-License-Identifier: BSD-3-Clause
/// A kernel made of values, with those of its habits that reconcile has to live with.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <variant>

#include "agent/model/kernel_state.h"

namespace sallyport {

class FakeKernel {
 public:
  explicit FakeKernel(KernelState state) : state(std::move(state)) {}

  KernelState state;
  std::string complaint;            // of the last operation that was refused
  bool unjudged = false;            // was the link ever up without its programs?
  bool first_address_rules = true;  // promote_secondaries = 0

  bool apply(const Operation& operation) {
    const bool done = std::visit([this](const auto& o) { return on(o); }, operation);
    if (state.link && state.link->up && state.wireguard) {
      for (const Hook hook : {Hook::kTailnetIn, Hook::kTailnetOut}) {
        if (!has(Attachment{state.wireguard->name, hook})) unjudged = true;
      }
    }
    return done;
  }

 private:
  bool refuse(std::string why) {
    complaint = std::move(why);
    return false;
  }
  bool is_device(const std::string& name) {
    if (state.wireguard && state.wireguard->name == name) return true;
    return refuse("no device " + name);
  }
  bool has(const Attachment& a) const {
    return std::ranges::find(state.attachments, a) != state.attachments.end();
  }
  template <class T>
  static bool insert(std::vector<T>& into, const T& value) {
    if (std::ranges::find(into, value) != into.end()) return false;
    into.insert(std::ranges::upper_bound(into, value), value);
    return true;
  }
  template <class T>
  static bool erase(std::vector<T>& from, const T& value) {
    return std::erase(from, value) == 1;
  }

  bool on(const CreateLink& o) {
    if (state.wireguard) return refuse("device exists");
    state.wireguard.emplace().name = o.device;
    state.link = Link{1420, false};
    return true;
  }
  bool on(const DeleteLink& o) {
    if (!is_device(o.device)) return false;
    std::erase_if(state.routes, [&](const Route& r) { return r.device == o.device; });
    std::erase_if(state.attachments, [&](const Attachment& a) { return a.device == o.device; });
    state.addresses.clear();
    state.link.reset();
    state.wireguard.reset();
    return true;
  }
  bool on(const SetLink& o) {
    if (!is_device(o.device)) return false;
    if (!o.link.up)
      std::erase_if(state.routes, [&](const Route& r) { return r.device == o.device; });
    state.link = o.link;
    return true;
  }
  bool on(const SetDevice& o) {
    if (!is_device(o.device)) return false;
    if (o.private_key) state.wireguard->private_key = o.private_key;
    if (o.listen_port) state.wireguard->listen_port = *o.listen_port;
    if (o.fwmark) state.wireguard->fwmark = *o.fwmark;
    return true;
  }
  bool on(const SetPeer& o) {
    if (!is_device(o.device)) return false;
    auto& peers = state.wireguard->peers;
    if (o.create == peers.contains(o.public_key)) return refuse("peer is (not) there");
    WgPeer& peer = peers[o.public_key];
    peer.public_key = o.public_key;
    if (o.replace_preshared_key) peer.preshared_key = o.preshared_key;
    if (o.endpoint) peer.endpoint = o.endpoint;
    if (o.keepalive_s) peer.keepalive_s = *o.keepalive_s;
    if (!o.allowed_ips) return true;
    for (auto& [key, other] : peers) {  // one owner a prefix
      std::erase_if(other.allowed_ips, [&](const Prefix& p) {
        return std::ranges::find(*o.allowed_ips, p) != o.allowed_ips->end();
      });
    }
    peer.allowed_ips = *o.allowed_ips;
    return true;
  }
  bool on(const RemovePeer& o) {
    return is_device(o.device) &&
           (state.wireguard->peers.erase(o.public_key) == 1 || refuse("no such peer"));
  }
  bool on(const AddAddress& o) {
    if (!is_device(o.device)) return false;
    insert(state.addresses, o.address);  // no error if it is there, as in kmod-glue
    return true;
  }
  bool on(const DeleteAddress& o) {
    if (!is_device(o.device)) return false;
    if (!erase(state.addresses, o.address)) return true;  // likewise
    if (!o.address.address.is_v4()) return true;
    if (first_address_rules) {
      std::erase_if(state.addresses,
                    [&](const Prefix& p) { return p.masked() == o.address.masked(); });
    }
    if (std::ranges::none_of(state.addresses, [](const Prefix& p) { return p.address.is_v4(); })) {
      std::erase_if(state.routes,
                    [&](const Route& r) { return r.device == o.device && r.to.address.is_v4(); });
    }
    return true;
  }
  bool on(const AddRoute& o) {
    if (o.route.kind == RouteKind::kUnicast) {
      if (!is_device(o.route.device)) return false;
      if (!state.link->up) return refuse("network is down");
    }
    std::erase_if(state.routes, [&](const Route& r) {
      return r.to == o.route.to && r.table == o.route.table && r.metric == o.route.metric;
    });
    return insert(state.routes, o.route);
  }
  bool on(const DeleteRoute& o) {
    return erase(state.routes, o.route) || refuse("no route " + o.route.to.text());
  }
  bool on(const AddRoutingRule& o) { return insert(state.rules, o.rule) || refuse("rule exists"); }
  bool on(const DeleteRoutingRule& o) { return erase(state.rules, o.rule) || refuse("no rule"); }
  bool on(const ReplaceNftTable& o) {
    state.nft = o.table;
    return true;
  }
  bool on(const DeleteNftTable&) {
    if (!state.nft) return refuse("no table");
    state.nft.reset();
    return true;
  }
  bool on(const SetSysctl& o) {
    const auto old = state.sysctls.find(o.key);
    if (old == state.sysctls.end()) return refuse("no sysctl " + o.key);
    if (o.key == "net/ipv4/ip_forward" && old->second != o.value) {
      const auto redirects = state.sysctls.find("net/ipv4/conf/all/accept_redirects");
      if (redirects != state.sysctls.end()) redirects->second = o.value == "0" ? "1" : "0";
    }
    old->second = o.value;
    return true;
  }
  bool on(const SetOffload& o) {
    if (!state.offloads.contains(o.offload)) return refuse("no feature");
    state.offloads[o.offload] = o.on;
    return true;
  }
  bool on(const Attach& o) {
    if (o.attachment.hook != Hook::kPortIn && !is_device(o.attachment.device)) return false;
    return insert(state.attachments, o.attachment) || refuse("attached already");
  }
  bool on(const Detach& o) { return erase(state.attachments, o.attachment) || refuse("detached"); }
};

}  // namespace sallyport
