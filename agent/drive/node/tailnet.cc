// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/tailnet.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/io/clock.h"

namespace sallyport {
namespace {

size_t at(channel::JoinFd fd) { return static_cast<size_t>(fd); }

Result<StateFile> file_of(std::vector<Fd>& fds, channel::JoinFd first, size_t limit) {
  return StateFile::adopt({std::move(fds[at(first)]), std::move(fds[at(first) + 1])}, limit);
}

/// What cannot be read is as good as nothing, and is said.
std::string load(StateFile& file, std::string_view what) {
  auto text = file.load();
  if (text) return *std::move(text);
  log_warning("state.unread file={} why=\"{}\" instead=begin without it", what,
              text.error().text());
  return {};
}

}  // namespace

Tailnet::Tailnet(io::Loop& loop, channel::Join orders, Files files, TailnetHooks hooks)
    : orders_(std::move(orders)),
      files_(std::move(files)),
      hooks_(std::move(hooks)),
      planner_(orders_.prefs, facts_),
      plan_due_(loop, [this] { replan(); }) {}

Result<std::unique_ptr<Tailnet>> Tailnet::create(io::Loop& loop, channel::Join orders,
                                                 std::vector<Fd> fds, TailnetHooks hooks) {
  if (fds.size() != at(channel::JoinFd::kCount)) return fail(EINVAL, "the tailnet's descriptors");
  const auto url = control::ControlUrl::parse(orders.url);
  if (!url) return fail(EINVAL, "the control server's address " + quote(orders.url));
  Files files{TRY(file_of(fds, channel::JoinFd::kKeys0, kKeysFileBytes)),
              TRY(file_of(fds, channel::JoinFd::kNetmap0, kNetmapFileBytes)),
              TRY(file_of(fds, channel::JoinFd::kPaths0, kPathsFileBytes))};
  std::unique_ptr<Tailnet> tailnet(
      new Tailnet(loop, std::move(orders), std::move(files), std::move(hooks)));
  Tailnet* const self = tailnet.get();

  PathsDriverOptions paths;
  paths.node_socket = std::move(fds[at(channel::JoinFd::kAgentSocket)]);
  paths.relay_socket = std::move(fds[at(channel::JoinFd::kRelaySocket)]);
  paths.wg_port = self->orders_.wg_port;
  paths.relay_port = self->orders_.relay_port;
  paths.ca_file = self->orders_.ca_file;
  paths.memory = load(self->files_.paths, "node_paths");
  self->paths_ = TRY(PathsDriver::create(
      loop, std::move(paths),
      {.on_kernel_steps =
           [self](const NodeKey& peer, const std::vector<KernelStep>& steps) {
             self->hooks_.on_move({peer, steps});
           },
       .on_endpoints =
           [self](const std::vector<Endpoint>& endpoints,
                  const std::vector<tailcfg::EndpointType>& types) {
             self->info_.endpoints = endpoints;
             self->info_.endpoint_types = types;
             self->tell_control();
           },
       .on_home =
           [self](uint16_t, const NetInfo& info) {
             self->info_.hostinfo.net_info = info;
             self->tell_control();
           },
       .on_status_changed = {},
       .want_observed =
           [self](std::span<const NodeKey> peers) {
             for (const NodeKey& peer : peers) self->hooks_.observe(peer);
           },
       .save_memory = [self](std::string_view text) { return self->files_.paths.store(text); }}));

  ControlOptions control{
      .session = {.url = *url,
                  .auth_key = self->orders_.auth_key,
                  .max_netmap_age = std::chrono::seconds(self->orders_.max_netmap_age_s)},
      .stored = {load(self->files_.keys, "node_keys"), load(self->files_.netmap, "node_netmap")},
      .ca_file = self->orders_.ca_file};
  self->control_ = TRY(ControlDriver::create(
      loop, std::move(control),
      {.on_netmap = [self](const NetmapChanges& changes,
                           bool whole) { self->on_netmap(changes, whole); },
       .on_node_key =
           [self](const PrivateKey& key) {
             self->paths_->set_node_key(key);
             self->hooks_.on_plan({}, {WireguardKey{key}});
           },
       .on_auth_url = {},
       .on_status = [self] { self->on_status(); },
       .save_keys = [self](std::string_view text) { return self->files_.keys.store(text); },
       .save_netmap = [self](std::string_view text) { return self->files_.netmap.store(text); }}));
  return tailnet;
}

void Tailnet::start() {
  info_.hostinfo = control::own_hostinfo(orders_.hostname);
  info_.hostinfo.routable_ips = orders_.prefs.advertise_routes;
  info_.hostinfo.shields_up = orders_.prefs.shields_up;
  info_.disco_key = paths_->disco_key();
  started_ = true;
  control_->set_node(info_);
  control_->start();
}

void Tailnet::tell_control() {
  if (started_) control_->set_node(info_);
}

void Tailnet::on_orders(const channel::Join& orders) {
  orders_.prefs = orders.prefs;
  planner_.set_prefs(orders_.prefs);
  info_.hostinfo.routable_ips = orders_.prefs.advertise_routes;
  info_.hostinfo.shields_up = orders_.prefs.shields_up;
  tell_control();
  replan();
}

void Tailnet::on_local_addresses(const channel::LocalAddresses& local) {
  facts_.local_networks.clear();
  std::vector<IpAddress> addresses;
  for (const Prefix& address : local.addresses) {
    facts_.local_networks.push_back(address.masked());
    addresses.push_back(address.address);
  }
  facts_.ipv6 = local.ipv6;
  planner_.set_facts(facts_);
  paths_->on_local_addresses(std::move(addresses));
  replan();
}

void Tailnet::on_network_changed() {
  paths_->on_network_changed();
  control_->on_network_changed();
}

void Tailnet::on_observed(const channel::Observed& observed) {
  paths_->on_observed(observed.peer, {observed.last_tx, observed.last_rx, observed.wire_rx});
}

// Paths first: where WireGuard finds a peer is part of its object.
void Tailnet::on_netmap(const NetmapChanges& changes, bool whole) {
  const Netmap& netmap = control_->netmap();
  paths_->on_netmap(netmap, changes, whole);
  tell(whole ? planner_.replan(netmap, io::wall_now())
             : planner_.update(netmap, changes, io::wall_now()));
}

void Tailnet::replan() {
  if (control_) tell(planner_.replan(control_->netmap(), io::wall_now()));
}

void Tailnet::tell(PlanDelta delta) {
  for (NodeObject& object : delta.puts) {
    if (auto* peer = std::get_if<TailnetPeer>(&object)) place(*peer);
  }
  if (!delta.empty()) hooks_.on_plan(delta.deletes, delta.puts);
  arm_plan();
}

void Tailnet::place(TailnetPeer& peer) const {
  if (peer.wireguard_only) return;
  if (const auto parking = paths_->parking_of(peer.node_key)) peer.parking = parking->address;
  if (const auto now = paths_->endpoint_of(peer.node_key)) {
    peer.endpoint = now->endpoint;
    peer.keepalive_s = now->keepalive_s;
    peer.yields = now->yields;
  }
}

void Tailnet::arm_plan() {
  if (const auto due = planner_.due()) {
    plan_due_.arm(io::boot_now() + std::max(Duration::zero(), *due - io::wall_now()));
  } else {
    plan_due_.cancel();
  }
}

void Tailnet::on_status() {
  if (!control_) return;
  const bool connected = control_->status().connected;
  if (connected == connected_) return;
  connected_ = connected;
  paths_->on_control(connected);
}

}  // namespace sallyport
