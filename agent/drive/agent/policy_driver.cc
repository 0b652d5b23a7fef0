// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/policy_driver.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <map>

#include "agent/base/log.h"
#include "agent/guard/confine.h"
#include "agent/guard/plan.h"

namespace sallyport {
namespace {

constexpr const char* kSlotsFile = "peer_slots";
constexpr const char* kCountersFile = "rule_counters";
// 10 denials a second and peer, 20 at once: enough for every client that retries, too few to be
// used as a reflector.
constexpr uint64_t kAnswerIntervalNs = 100'000'000;
constexpr uint64_t kAnswerBurstNs = 20 * kAnswerIntervalNs;
constexpr uint64_t kEventIntervalNs = 2'000'000;  // 500 drop events a second and CPU
constexpr uint64_t kEventBurstNs = 256 * kEventIntervalNs;

InputError error(std::string message, std::string hint = {}) {
  return {{}, std::move(message), std::move(hint)};
}

uint64_t ns(std::chrono::seconds seconds) {
  return static_cast<uint64_t>(std::chrono::nanoseconds(seconds).count());
}

// The rules' own words belong to it as well: the same tables under other names explain differently.
std::string version_of(const std::vector<uint8_t>& blob, const std::vector<Rule>& rules) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, 16);
  crypto_generichash_update(&state, blob.data(), blob.size());
  for (const Rule& rule : rules) {
    crypto_generichash_update(&state, reinterpret_cast<const uint8_t*>(rule.id.c_str()),
                              rule.id.size() + 1);
  }
  std::array<uint8_t, 16> whole{};
  crypto_generichash_final(&state, whole.data(), whole.size());
  std::string out;
  for (size_t i = 0; i < 6; ++i) out += fmt::format("{:02x}", whole[i]);
  return out;
}

template <class T>
std::vector<T> picked(const std::vector<T>& all, const std::vector<size_t>& positions) {
  std::vector<T> out;
  out.reserve(positions.size());
  for (const size_t at : positions) out.push_back(all[at]);
  return out;
}

}  // namespace

PolicyDriver::PolicyDriver(DataPlane& data_plane, const Instance& instance)
    : data_plane_(data_plane), instance_(instance) {
  if (!data_plane_.adopted()) return;
  const auto slots = instance_.read_run(kSlotsFile);
  if (slots && slots->has_value()) slots_ = PeerSlots::parse(**slots).value_or(PeerSlots());
  const auto counters = instance_.read_run(kCountersFile);
  if (counters && counters->has_value()) {
    counters_ = RuleCounters::parse(**counters).value_or(RuleCounters());
  }
}

Surroundings PolicyDriver::surroundings_of(const Config& config,
                                           const std::vector<Device>& devices) {
  Surroundings out;
  out.own_addresses = config.node.addresses;
  const std::vector<std::string> wans = exit_devices(config, devices);
  for (const Device& device : devices) {
    out.own_addresses.insert(out.own_addresses.end(), device.addresses.begin(),
                             device.addresses.end());
    if (std::ranges::find(wans, device.name) == wans.end()) continue;
    for (const Prefix& address : device.addresses) out.wan_prefixes.push_back(address.masked());
  }
  return out;
}

void PolicyDriver::write_settings(const Config& config) {
  sp_settings& settings = data_plane_.settings();
  const DataplaneConfig& plane = config.dataplane;
  settings.wg_mtu = kWgMtu;
  settings.flags = config.node.deny == Deny::kReject ? uint32_t{SP_DENY_REJECT} : 0;
  settings.flows_per_peer =
      plane.flows_per_peer != 0 ? plane.flows_per_peer : std::max(1U, plane.flows / 8);
  settings.timeout_ns[SP_TIMEOUT_TCP_OPENING] = ns(plane.timeouts.tcp_opening);
  settings.timeout_ns[SP_TIMEOUT_TCP_OPEN] = ns(plane.timeouts.tcp);
  settings.timeout_ns[SP_TIMEOUT_TCP_CLOSING] = ns(plane.timeouts.tcp_closing);
  settings.timeout_ns[SP_TIMEOUT_UDP] = ns(plane.timeouts.udp);
  settings.timeout_ns[SP_TIMEOUT_ICMP] = ns(plane.timeouts.icmp);
  settings.timeout_ns[SP_TIMEOUT_OTHER] = ns(plane.timeouts.other);
  settings.answer_interval_ns = kAnswerIntervalNs;
  settings.answer_burst_ns = kAnswerBurstNs;
  settings.event_interval_ns = kEventIntervalNs;
  settings.event_burst_ns = kEventBurstNs;
}

Result<void, std::vector<InputError>> PolicyDriver::assign(const Config& config,
                                                           const NodeState& node,
                                                           ResolvedPolicy& resolved) {
  std::vector<PublicKey> keys;
  keys.reserve(config.peers.size() + node.peers.size());
  for (const PeerConfig& peer : config.peers) keys.push_back(peer.public_key);
  for (const auto& [key, peer] : node.peers) keys.push_back(key);
  const auto given = slots_.assign(keys, data_plane_.peer_slots(), [&](uint32_t slot) {
    return !data_plane_.show_peers(slot + 1) || data_plane_.peers()[slot].flows != 0;
  });
  if (!given) {
    return Fail{
        std::vector{error(fmt::format("{} peers are more than the {} that this version serves",
                                      keys.size(), data_plane_.peer_slots() - 1),
                          "remove peers that are not used any more")}};
  }
  // Those that an earlier process gave lie anywhere.
  if (const auto shown = data_plane_.show_peers(slots_.highest() + 1); !shown) {
    return Fail{std::vector{error(shown.error().text())}};
  }
  for (const uint32_t slot : *given) data_plane_.peers()[slot] = sp_peer{};

  auto changed = counters_.assign(resolved.rules);
  if (!changed) {
    return Fail{std::vector{error(fmt::format("{} rules are more than the {} that can be counted",
                                              changed.error().rules, changed.error().limit),
                                  "join rules that share sources or destinations")}};
  }
  for (const uint16_t counter : *changed) {
    const auto cleared = data_plane_.clear_rule_hits(counter);
    if (!cleared)
      log_warning("rule_counter_not_cleared counter={} why={}", counter, cleared.error().text());
  }
  return {};
}

Result<void, std::vector<InputError>> PolicyDriver::apply(const Config& config,
                                                          const NodeState& node,
                                                          const std::vector<Device>& devices,
                                                          Now now) {
  ResolvedPolicy resolved = TRY(resolve(config, surroundings_of(config, devices)));
  // A netmap's filter judges its own peers only; the ceiling bounds it with all the others.
  std::vector<Rule> confined = confined_rules(node, config);
  resolved.rules.insert(resolved.rules.end() - 1, std::make_move_iterator(confined.begin()),
                        std::make_move_iterator(confined.end()));
  TRY(assign(config, node, resolved));

  std::vector<PeerAddresses> peers;
  PolicyNames names;
  for (const PeerConfig& peer : config.peers) {
    const uint32_t slot = slots_.find(peer.public_key);
    peers.push_back({slot, peer.allowed_ips});
    names.peers.push_back({slot, peer.name, {}});
  }
  for (const auto& [key, peer] : node.peers) {
    const uint32_t slot = slots_.find(key);
    peers.push_back({slot, peer.allowed_ips});
    names.peers.push_back({slot, peer.name, peer.user});
    // A jailed one may be reached too: it is in no rule's sources (node/packet_filter).
    data_plane_.peers()[slot].flags =
        SP_PEER_OUTBOUND_OPEN | (peer.wireguard_only ? 0U : uint32_t{SP_PEER_TSMP});
  }
  for (const LanConfig& lan : config.lans) names.lans.push_back({lan.name, lan.prefix});

  static const std::vector<Rule> kNone;
  const std::vector<Rule>& ceiling = resolved.ceiling ? *resolved.ceiling : kNone;
  const auto chain = plan_chain(resolved.rules, ceiling, now.wall, now.boot, node.clock);

  // All tables first: a policy that does not fit changes nothing.
  std::vector<CompiledPolicy> compiled;
  for (const ChainLink& link : chain) {
    PolicyInput input;
    input.rules = picked(resolved.rules, link.rules);
    if (resolved.ceiling) input.ceiling = picked(ceiling, link.ceiling);
    input.peers = peers;
    input.own = resolved.own;
    input.exit_reach = resolved.exit_reach;
    input.exit_local = resolved.exit_local;
    auto tables = compile(input);
    if (!tables) return Fail{std::vector{error(tables.error().text())}};
    compiled.push_back(std::move(*tables));
  }

  write_settings(config);
  const std::string version = version_of(compiled.front().blob, resolved.rules);
  const uint64_t generation = data_plane_.policy().next_generation();
  std::vector<PolicyLink> links;
  for (size_t i = 0; i < chain.size(); ++i) {
    const auto slot = data_plane_.policy().load(compiled[i].blob);
    if (!slot) return Fail{std::vector{error(slot.error().text())}};
    links.push_back({SP_WORD(generation + i, *slot), chain[i].valid_until});
  }
  const auto flipped = data_plane_.policy().set_chain(links);
  if (!flipped) return Fail{std::vector{error(flipped.error().text())}};

  resolved_ = std::move(resolved);
  peers_ = std::move(peers);
  names_ = std::move(names);
  blob_ = std::move(compiled.front().blob);
  trust_ = node.clock;
  due_ = chain.front().valid_until;
  version_ = version;
  generation_ = generation;
  for (const auto& [file, text] :
       {std::pair{kSlotsFile, slots_.text()}, std::pair{kCountersFile, counters_.text()}}) {
    const auto written = instance_.write_run(file, text);
    if (!written) log_warning("run_file_not_written file={} why={}", file, written.error().text());
  }
  return {};
}

Result<std::vector<uint8_t>, PolicyTooBig> PolicyDriver::blob_at(WallTime when) const {
  auto tables = TRY(compile(policy_at(resolved_, peers_, when, trust_)));
  return std::move(tables.blob);
}

std::string PolicyDriver::peer_name(uint32_t slot) const {
  const auto peer = std::ranges::find(names_.peers, slot, &PolicyNames::Peer::index);
  return slot == 0 || peer == names_.peers.end() ? std::string() : peer->name;
}

bool PolicyDriver::is_active(const Rule& rule, WallTime at) const {
  if (rule.has_time() && trust_ != ClockTrust::kCredible) return false;
  return sallyport::is_active(rule, at);
}

const Rule* PolicyDriver::rule_of(uint16_t counter) const {
  const auto rule = std::ranges::find(resolved_.rules, counter, &Rule::counter);
  return counter == 0 || rule == resolved_.rules.end() ? nullptr : &*rule;
}

}  // namespace sallyport
