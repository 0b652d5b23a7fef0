// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/kernel_driver.h"

#include <span>
#include <utility>

#include "agent/base/log.h"
#include "agent/drive/agent/saved_text.h"

namespace sallyport {
namespace {

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

}  // namespace

Result<void> KernelDriver::look() {
  facts_.devices = TRY(kernel_.devices());
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
  saved_known_ = true;
  return {};
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
  return out;
}

Result<KernelDriver::Outcome> KernelDriver::apply(Steps steps) {
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
    }
  }
  asked_ = asked_endpoints(steps.desired);
  believed_ = outcome.failures.empty() ? steps.desired.wireguard : std::nullopt;
  return outcome;
}

Result<KernelDriver::Outcome> KernelDriver::converge(const Config& config, const NodeState& node,
                                                     const PrivateKey& key, uint16_t wg_port) {
  return apply(TRY(steps(config, node, key, wg_port)));
}

Result<std::vector<Operation>> KernelDriver::preview(const Config& config, const NodeState& node,
                                                     const PrivateKey& key, uint16_t wg_port) {
  return TRY(steps(config, node, key, wg_port)).operations;
}

Result<KernelDriver::Outcome> KernelDriver::clear(const Config& config) {
  believed_.reset();
  asked_.clear();
  const KernelState observed = TRY(observe(config));
  Steps out;
  out.desired = plan_nothing(facts_);
  out.operations = reconcile(out.desired, observed);
  out.saved = facts_.saved;
  const Outcome outcome = TRY(apply(std::move(out)));
  // Put back is put back: forget what has its old value now.
  if (outcome.failures.empty()) {
    const KernelState after = TRY(observe(config));
    TRY(save(remember(facts_.saved, KernelState{}, after)));
  }
  return outcome;
}

}  // namespace sallyport
