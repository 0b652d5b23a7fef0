// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/kernel_driver.h"

#include <span>
#include <utility>

#include "agent/base/log.h"
#include "agent/drive/agent/saved_text.h"
#include "agent/guard/bounds.h"

namespace sallyport {
namespace {

constexpr const char* kAskedFile = "asked_endpoints";

bool is_peer_step(const Operation& operation) {
  return std::holds_alternative<SetPeer>(operation) ||
         std::holds_alternative<RemovePeer>(operation);
}

// Peer steps go to the kernel together, all others one by one: each may have to end the run.
size_t run_length(std::span<const Operation> operations) {
  size_t length = 1;
  if (!is_peer_step(operations.front())) return length;
  while (length < operations.size() && is_peer_step(operations[length])) ++length;
  return length;
}

// What a device has once it is as desired. An endpoint that nobody asks for stays.
WgDevice believed_after(WgDevice desired, const std::optional<WgDevice>& observed) {
  if (!observed) return desired;
  for (auto& [key, peer] : desired.peers) {
    const auto had = observed->peers.find(key);
    if (!peer.endpoint && had != observed->peers.end()) peer.endpoint = had->second.endpoint;
  }
  return desired;
}

std::vector<Prefix> lans_without_device(const Config& config,
                                        const std::map<Prefix, bool>& routes) {
  std::vector<Prefix> prefixes;
  for (const auto& [prefix, snat] : routes) {
    if (prefix.length != 0) prefixes.push_back(prefix);
  }
  for (const LanConfig& lan : config.lans) {
    if (lan.device.empty()) prefixes.push_back(lan.prefix);
  }
  return prefixes;
}

}  // namespace

Result<void> KernelDriver::look(const Config& config, const std::map<Prefix, bool>& routes) {
  const std::vector<Prefix> routed = lans_without_device(config, routes);
  // Told of changes from before the first look on.
  kernel_.follow_routes(routed);
  facts_.devices = TRY(kernel_.devices());
  facts_.lan_devices = TRY(kernel_.devices_towards(routed, facts_.devices));
  return {};
}

Result<void> KernelDriver::load_saved() {
  if (saved_known_) return {};
  const auto text = TRY(instance_.read_state("restore"));
  if (text) {
    const auto saved = parse_saved(*text);
    if (!saved) return fail(EBADMSG, instance_.directories().state + "/restore is not ours");
    facts_.saved = *saved;
  }
  const auto asked = instance_.read_run(kAskedFile);
  if (asked && asked->has_value()) asked_ = kept_ = parse_asked(**asked);
  saved_known_ = true;
  return {};
}

// A name that is not looked up yet is no changed wish.
AskedEndpoints KernelDriver::asked_with(const Config& config, const KernelState& desired) const {
  AskedEndpoints asked = asked_endpoints(desired);
  for (const NamedPeer& named : named_peers(config)) {
    const auto now = asked.find(named.peer);
    const auto before = asked_.find(named.peer);
    if (now != asked.end() && !now->second && before != asked_.end()) now->second = before->second;
  }
  return asked;
}

// Those of tailnet peers are the node's to remember, and change far more often.
void KernelDriver::remember_asked(const Config& config, AskedEndpoints asked) {
  asked_ = std::move(asked);
  AskedEndpoints kept;
  for (const PeerConfig& peer : config.peers) {
    if (const auto one = asked_.find(peer.public_key); one != asked_.end()) kept.insert(*one);
  }
  if (kept == kept_) return;
  kept_ = std::move(kept);
  const auto written = instance_.write_run(kAskedFile, asked_text(kept_));
  if (!written) {
    log_warning("run_file_not_written file={} why=\"{}\"", kAskedFile, written.error().text());
  }
}

Result<void> KernelDriver::save(const Saved& saved) {
  if (saved == facts_.saved) return {};
  TRY(instance_.write_state("restore", saved_text(saved)));
  facts_.saved = saved;
  return {};
}

Result<KernelState> KernelDriver::observe(const Config& config) {
  TRY(load_saved());
  std::vector<Offload> offloads;
  for (const Device& device : facts_.devices) {
    if (device.loopback || device.wireguard) continue;
    offloads.push_back({device.name, "rx-udp-gro-forwarding"});
    offloads.push_back({device.name, "rx-gro-list"});
  }
  for (const auto& [offload, on] : facts_.saved.offloads) offloads.push_back(offload);
  KernelState observed = TRY(kernel_.observe(sysctl_keys(config, facts_.devices, facts_.saved),
                                             offloads, believed_ ? Peers::kSkip : Peers::kDump));
  if (!observed.link) {
    believed_.reset();
  } else if (believed_) {
    observed.wireguard = believed_;
  }
  facts_.sysctls = observed.sysctls;
  facts_.offloads = observed.offloads;
  return observed;
}

Result<KernelDriver::Steps> KernelDriver::steps(const Config& config, const NodeState& node,
                                                const PrivateKey& key, uint16_t wg_port) {
  const KernelState observed = TRY(observe(config));
  facts_.private_key = key;
  facts_.wg_port = wg_port;
  Steps out;
  out.desired = plan(config, node, facts_);
  out.operations = reconcile(out.desired, observed, asked_);
  out.saved = remember(facts_.saved, out.desired, observed);
  out.asked = asked_with(config, out.desired);
  out.believed = believed_after(*out.desired.wireguard, observed.wireguard);
  return out;
}

Result<KernelDriver::Outcome> KernelDriver::apply(const Config& config, Steps steps) {
  // What a setting was is on the disk before it changes.
  TRY(save(steps.saved));
  Outcome outcome;
  std::span<const Operation> rest = steps.operations;
  while (!rest.empty() && !outcome.held_back) {
    const auto batch = rest.first(run_length(rest));
    rest = rest.subspan(batch.size());
    const std::vector<Failure> failures = kernel_.apply(batch);
    for (const Operation& operation : batch) outcome.done.push_back(describe(operation));
    outcome.applied += batch.size() - failures.size();
    for (const Failure& failure : failures) {
      const Description what = describe(batch[failure.index]);
      outcome.failures.push_back(what.op + " " + what.object + ": " + failure.error.text());
      outcome.held_back |= holds_back(batch[failure.index]);
      if (const auto* peer = std::get_if<SetPeer>(&batch[failure.index])) {
        steps.asked.erase(peer->public_key);  // asked in vain: the next turn asks again
        if (const auto old = asked_.find(peer->public_key); old != asked_.end())
          steps.asked.insert(*old);
      }
    }
  }
  remember_asked(config, std::move(steps.asked));
  believed_ = outcome.failures.empty() ? std::move(steps.believed) : std::nullopt;
  return outcome;
}

Result<KernelDriver::Outcome> KernelDriver::converge(const Config& config, const NodeState& node,
                                                     const PrivateKey& key, uint16_t wg_port) {
  return apply(config, TRY(steps(config, node, key, wg_port)));
}

Result<void> KernelDriver::set_peer(const SetPeer& step) {
  const Operation operation{step};
  const std::vector<Failure> failures = kernel_.apply(std::span(&operation, 1));
  if (!failures.empty()) {
    believed_.reset();
    return Fail{failures.front().error};
  }
  if (step.endpoint) asked_.insert_or_assign(step.public_key, step.endpoint);
  if (!believed_) return {};
  const auto peer = believed_->peers.find(step.public_key);
  if (peer == believed_->peers.end()) return {};
  if (step.endpoint) peer->second.endpoint = step.endpoint;
  if (step.keepalive_s) peer->second.keepalive_s = *step.keepalive_s;
  return {};
}

Result<std::vector<Operation>> KernelDriver::preview(const Config& config, const NodeState& node,
                                                     const PrivateKey& key, uint16_t wg_port) {
  auto there =
      TRY(kernel_.devices_towards(lans_without_device(config, node.routes), facts_.devices));
  const auto running = std::exchange(facts_.lan_devices, std::move(there));
  auto wanted = steps(config, node, key, wg_port);
  facts_.lan_devices = running;
  return std::move(TRY(std::move(wanted)).operations);
}

Result<KernelDriver::Outcome> KernelDriver::clear(const Config& config) {
  believed_.reset();
  const KernelState observed = TRY(observe(config));
  Steps out;
  out.desired = plan_nothing(facts_);
  out.operations = reconcile(out.desired, observed);
  out.saved = facts_.saved;
  const Outcome outcome = TRY(apply(config, std::move(out)));
  // Put back is put back: forget what has its old value now.
  if (outcome.failures.empty()) {
    const KernelState after = TRY(observe(config));
    TRY(save(remember(facts_.saved, KernelState{}, after)));
  }
  return outcome;
}

}  // namespace sallyport
