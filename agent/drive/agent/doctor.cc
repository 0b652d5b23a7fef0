// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/doctor.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/guard/plan.h"

namespace sallyport {
namespace {

void find_missing(const DoctorFacts& facts, std::vector<Finding>& out) {
  for (const Missing& missing : facts.missing) {
    out.push_back({"kernel", missing.required ? Severity::kError : Severity::kWarning,
                   missing.what + " is missing: " + missing.effect, missing.remedy});
  }
}

// The ways of packets that rules here may allow: between ours and each LAN and exit, or from peer
// to peer.
std::vector<std::string> other_ends(const DoctorFacts& facts) {
  PlanFacts plan_facts;
  plan_facts.devices = facts.devices;
  plan_facts.lan_devices = facts.lan_devices;
  std::vector<std::string> ends = exit_devices(facts.config, facts.devices);
  for (const LanConfig& lan : facts.config.lans) {
    if (auto device = lan_device(lan, plan_facts)) ends.push_back(*std::move(device));
  }
  if (ends.empty()) ends.push_back(facts.config.node.device);
  return ends;
}

// nftables evaluates every base chain: an accept of ours in another table cannot overrule a drop
// there. The rule has to stand in the chain that drops, and that chain is somebody else's.
void find_forward_drops(const DoctorFacts& facts, std::vector<Finding>& out) {
  const std::string& device = facts.config.node.device;
  const std::vector<std::string> ends = other_ends(facts);
  for (const ForeignForwardChain& chain : facts.forward_chains) {
    const bool stops = std::ranges::any_of(ends, [&](const std::string& end) {
      return chain.stops(device, end) || chain.stops(end, device);
    });
    if (!stops) continue;
    const std::string place = fmt::format("{} {} {}", chain.family, chain.table, chain.chain);
    out.push_back(
        {"foreign_forward", Severity::kWarning,
         fmt::format("the firewall chain {} drops what it does not know, so it may drop what the "
                     "rules here allow; it is not ours, and --fix leaves it alone",
                     place),
         fmt::format("nft insert rule {0} iifname {1} accept && nft insert rule {0} oifname {1} "
                     "accept",
                     place, device)});
  }
}

// An agent repairs what it is told of; nobody tells of a sysctl or a NIC feature.
void find_drift(const DoctorFacts& facts, std::vector<Finding>& out) {
  for (const Description& step : facts.pending) {
    out.push_back({"drift", Severity::kWarning,
                   fmt::format("the kernel is not as the configuration wants it: {} {}{}{}",
                               step.op, step.object, step.detail.empty() ? "" : ", ", step.detail),
                   "sallyport doctor --fix"});
  }
}

void find_lans(const DoctorFacts& facts, std::vector<Finding>& out) {
  PlanFacts plan_facts;
  plan_facts.devices = facts.devices;
  plan_facts.lan_devices = facts.lan_devices;
  if (facts.devices.empty()) return;  // down: nobody looks at ports
  for (const LanConfig& lan : facts.config.lans) {
    const auto device = lan_device(lan, plan_facts);
    const bool there = device && std::ranges::any_of(facts.devices, [&](const Device& each) {
                         return each.name == *device && each.up;
                       });
    if (there) continue;
    out.push_back(
        {"lan_device", Severity::kWarning,
         fmt::format("the LAN {} ({}) is on no port that is up", lan.name, lan.prefix.text()),
         device ? fmt::format("ip link set {} up", *device)
                : fmt::format("name its port in {}: device: NAME", lan.where.text())});
  }
  if (facts.config.exit && exit_devices(facts.config, facts.devices).empty()) {
    out.push_back({"no_wan", Severity::kWarning,
                   "there is an exit, but no default route that it could leave by",
                   "name the port under exit: device: [NAME]"});
  }
}

void find_rules(const DoctorFacts& facts, std::vector<Finding>& out) {
  if (facts.config.rules.empty() && !facts.config.peers.empty()) {
    out.push_back({"no_rules", Severity::kWarning, "there are peers, but no rule: all is denied",
                   "add to config.yaml: rules: [{from: [NAME], to: [lan]}]"});
  }
  const bool timed = std::ranges::any_of(facts.config.rules, [](const RuleConfig& rule) {
    return !rule.when.empty() || rule.not_before || rule.not_after;
  });
  if (timed && facts.clock == ClockTrust::kUnknown) {
    out.push_back({"clock", Severity::kWarning,
                   "the clock is not credible yet, so rules with a time are closed",
                   "timedatectl set-ntp true"});
  }
}

}  // namespace

const char* severity_name(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warn";
    case Severity::kError:
      return "error";
  }
  return "error";
}

std::vector<Finding> diagnose(const DoctorFacts& facts) {
  std::vector<Finding> out;
  find_missing(facts, out);
  for (const std::string& failure : facts.failures) {
    out.push_back({"kernel_refused", Severity::kError, "the kernel refused a step: " + failure,
                   "sallyport plan"});
  }
  if (!facts.node_alive) {
    out.push_back({"node", Severity::kError,
                   "sallyport-node does not run: names of endpoints are not looked up",
                   "journalctl -u sallyport-agent"});
  }
  if (facts.down) {
    out.push_back({"down", Severity::kWarning, "the gateway is down: nothing is forwarded",
                   "sallyport reload"});
  }
  find_drift(facts, out);
  find_forward_drops(facts, out);
  find_lans(facts, out);
  find_rules(facts, out);
  std::ranges::stable_sort(out, std::ranges::greater{}, &Finding::severity);
  return out;
}

}  // namespace sallyport
