// SPDX-License-Identifier: BSD-3-Clause
// What happens to a running agent.
#include <sys/timex.h>

#include <algorithm>
#include <charconv>
#include <csignal>

#include "agent/base/log.h"
#include "agent/base/version.h"
#include "agent/drive/agent/agent.h"
#include "agent/drive/agent/stored_prefs.h"
#include "agent/io/clock.h"

namespace sallyport {
namespace {

constexpr Duration kRetry = std::chrono::seconds(2);
// When there is nothing else to do.
constexpr Duration kTidy = std::chrono::milliseconds(500);
// Nobody tells of a changed sysctl or NIC feature.
constexpr Duration kLook = std::chrono::seconds(10);
// A node that falls at once is not started again at once.
constexpr Duration kNodeStable = std::chrono::seconds(10);
constexpr Duration kNodePause = std::chrono::seconds(2);

// Often enough that a rule with a time opens soon after NTP has answered.
constexpr Duration kClockPeriod = std::chrono::seconds(10);
constexpr Duration kClockSaved = std::chrono::hours(1);
constexpr const char* kClockFile = "clock";
constexpr const char* kTrustFile = "clock_trust";

bool clock_synchronised() {
  timex state{};
  return ::adjtimex(&state) != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

std::string seconds_text(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
  return std::to_string(seconds.count()) + "\n";
}

std::optional<WallTime> parse_seconds(std::string_view text) {
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || seconds <= 0 || seconds > int64_t{1} << 33) return {};
  return WallTime(std::chrono::seconds(seconds));
}

void log_withdrawn(const std::vector<Refused>& dropped) {
  for (const Refused& one : dropped) {
    log_warning("node_withdrawn object=\"{}\" why={}", one.object.text(), name_of(one.reason));
  }
}

bool needs_another_node(const Config& now, const Config& next) {
  if (now.join.has_value() != next.join.has_value()) return true;
  if (!now.join) return false;
  return now.join->url != next.join->url || now.join->auth_key != next.join->auth_key ||
         now.join->ca_file != next.join->ca_file ||
         now.join->max_netmap_age != next.join->max_netmap_age ||
         now.node.hostname != next.node.hostname;
}

InputError as_input(const Error& error) { return {{}, error.text(), {}}; }

}  // namespace

PolicyDriver::Now Agent::now() const { return {io::wall_now(), io::boot_now()}; }

std::vector<InputError> Agent::apply(const Config& config) {
  const auto key = instance_.private_key(config);
  if (!key) return {as_input(key.error())};
  const auto port = instance_.wg_port(config);
  if (!port) return {as_input(port.error())};
  if (const auto looked = kernel_driver_->look(config, node_state_.routes); !looked)
    return {as_input(looked.error())};
  const uint16_t port_before = std::exchange(wg_port_, *port);
  const auto key_before = std::exchange(private_key_, *key);
  if (config.join) {
    if (const auto held = hold_paths(config); !held) return {as_input(held.error())};
  } else {
    hold_no_paths();
  }

  WithinBounds within = keep_within_bounds(node_state_, config, bounds_facts());
  // The policy stands before anything it judges appears, and is gone before what it judged.
  auto flipped = policy_->apply(config, within.state, kernel_driver_->devices(), now());
  if (!flipped) {
    wg_port_ = port_before;
    private_key_ = key_before;
    return std::move(flipped).error();
  }
  log_withdrawn(within.dropped);
  node_state_ = std::move(within.state);
  config_ = config;
  surroundings_ = PolicyDriver::surroundings_of(config_, kernel_driver_->devices());
  converge(/*repairing=*/false);
  arm_policy_timer();
  tell_node();
  return {};
}

void Agent::converge(bool repairing) {
  set_ports();
  const auto outcome = kernel_driver_->converge(config_, node_state_, *private_key_, wg_port_);
  if (!outcome) {
    failures_ = {outcome.error().text()};
    log_error("kernel_not_reached why=\"{}\" instead=try_again", failures_.front());
    turn_timer_.arm(io::boot_now() + kRetry);
    return;
  }
  running_ = !outcome->held_back;
  for (const std::string& failure : outcome->failures) {
    const bool known = std::ranges::find(failures_, failure) != failures_.end();
    if (!known) log_error("kernel_refused step=\"{}\" instead=try_again", failure);
  }
  failures_ = outcome->failures;
  for (const Description& step : outcome->done) {
    if (repairing) {
      log_info("repaired op={} object=\"{}\" detail=\"{}\"", step.op, step.object, step.detail);
    } else {
      log_debug("applied op={} object=\"{}\" detail=\"{}\"", step.op, step.object, step.detail);
    }
  }
  turn_timer_.arm(io::boot_now() + (failures_.empty() ? kLook : kRetry));
  tidy_timer_.arm(io::boot_now() + kTidy);
}

void Agent::set_ports() {
  const auto roles = port_roles(config_, kernel_driver_->devices(), kernel_driver_->lan_devices(),
                                node_state_.routes);
  for (const auto& [index, wan] : roles) {
    const auto set = data_plane_->set_port(index, wan ? SP_PORT_WAN : SP_PORT_LAN);
    if (!set) log_warning("port_role_not_set ifindex={} why=\"{}\"", index, set.error().text());
  }
}

void Agent::turn() {
  if (!kernel_driver_) return;
  if (const auto looked = kernel_driver_->look(config_, node_state_.routes); !looked) {
    log_warning("devices_not_seen why=\"{}\" instead=try_again", looked.error().text());
    turn_timer_.arm(io::boot_now() + kRetry);
    return;
  }
  const Surroundings seen = PolicyDriver::surroundings_of(config_, kernel_driver_->devices());
  if (seen != surroundings_) {
    surroundings_ = seen;
    WithinBounds within = keep_within_bounds(node_state_, config_, bounds_facts());
    log_withdrawn(within.dropped);
    node_state_ = std::move(within.state);
    renew_policy();
    if (node_) node_->tell(channel::NetworkChanged{});
    tell_node();
  }
  converge(/*repairing=*/true);
}

void Agent::renew_policy() {
  const auto flipped = policy_->apply(config_, node_state_, kernel_driver_->devices(), now());
  if (!flipped) {
    for (const InputError& error : flipped.error()) {
      log_error("policy_not_renewed why=\"{}\" instead=keep_the_old_one", error.text());
    }
  }
  arm_policy_timer();
}

void Agent::arm_policy_timer() {
  if (const auto due = policy_->due()) {
    policy_timer_.arm(*due);
  } else {
    policy_timer_.cancel();
  }
}

void Agent::on_policy_due() {
  if (policy_) renew_policy();
}

void Agent::on_watchdog() {
  manager_.notify("WATCHDOG=1");
  if (const auto period = manager_.watchdog()) {
    watchdog_timer_.arm(io::boot_now() + *period / 2);
  }
}

// The latest time known from before this boot. It stays the same for all agents of one boot, so
// that a restart does not change what is credible.
WallTime Agent::saved_clock() const {
  const auto of_boot = instance_.read_run(kClockFile);
  if (of_boot && of_boot->has_value()) {
    if (const auto time = parse_seconds(**of_boot)) return *time;
  }
  WallTime latest = kReleaseTime;
  const auto on_disk = instance_.read_state(kClockFile);
  if (on_disk && on_disk->has_value()) {
    latest = std::max(latest, parse_seconds(**on_disk).value_or(latest));
  }
  const auto written = instance_.write_run(kClockFile, seconds_text(latest));
  if (!written) log_warning("run_file_not_written file=clock why=\"{}\"", written.error().text());
  return latest;
}

void Agent::save_clock() const {
  if (node_state_.clock != ClockTrust::kCredible) return;
  const auto written = instance_.write_state(kClockFile, seconds_text(io::wall_now()));
  if (!written) log_warning("clock_not_saved why=\"{}\"", written.error().text());
}

// Over a restart within one boot the clock stays what it was: a rule with a time must not close
// until the new node has said so again.
void Agent::remember_trust() {
  if (node_state_.clock == ClockTrust::kCredible) {
    const auto written = instance_.write_run(kTrustFile, "credible\n");
    if (!written)
      log_warning("run_file_not_written file={} why=\"{}\"", kTrustFile, written.error().text());
  } else {
    instance_.remove_run(kTrustFile);
  }
}

ClockTrust Agent::remembered_trust() const {
  const auto text = instance_.read_run(kTrustFile);
  return text && text->has_value() ? ClockTrust::kCredible : ClockTrust::kUnknown;
}

void Agent::on_clock() {
  const bool synchronised = clock_synchronised();
  if (node_ && synchronised != clock_synchronised_) {
    clock_synchronised_ = synchronised;
    node_->tell(channel::ClockSync{synchronised});
  }
  const Instant at = io::boot_now();
  if (at >= clock_save_due_) {
    save_clock();
    clock_save_due_ = at + kClockSaved;
  }
  clock_timer_.arm(at + kClockPeriod);
}

void Agent::on_drop_events() {
  const WallTime at = io::wall_now();
  const bool followed = control_ && control_->has_followers();
  data_plane_->drain_drop_events([&](const sp_drop_event& event) {
    drops_.add(event, at);
    if (!followed) return;
    const Drop drop = drop_of(event, at);
    const auto line = answer_with(
        [&](const AgentView& view) -> ControlAnswer { return drop_json(view, drop); }, false);
    if (line) control_->publish(*line);
  });
}

void Agent::on_signal(int signal) {
  if (signal != SIGHUP) {
    log_info("stopping signal={} data_plane=stays", signal);
    save_clock();
    stop({});
    return;
  }
  manager_.notify("RELOADING=1");
  for (const InputError& error : reload()) {
    log_error("config_refused text=\"{}\" instead=keep_the_running_one", error.text());
  }
  manager_.notify("READY=1");
}

std::vector<InputError> Agent::reload() {
  auto reading = load_configuration(options_.directories);
  if (!reading) return std::move(reading).error();
  for (const InputError& warning : reading->warnings) {
    log_warning("config_warning text=\"{}\"", warning.text());
  }
  if (const auto fixed = what_needs_a_restart(reading->config)) return {*fixed};
  if (!data_plane_) {
    config_ = std::move(reading->config);
    auto up = bring_up();
    if (up && !node_) node_timer_.arm(io::boot_now());
    return up ? std::vector<InputError>() : std::move(up).error().errors;
  }
  const bool another_tailnet = needs_another_node(config_, reading->config);
  auto errors = apply(reading->config);
  if (!errors.empty()) return errors;
  log_info("reloaded policy={}", policy_->version());
  // The node is given its tailnet before it shuts itself in, and only a fresh agent can start one.
  if (another_tailnet) node_timer_.arm(io::boot_now());
  return errors;
}

std::optional<InputError> Agent::what_needs_a_restart(const Config& next) const {
  if (!data_plane_) return {};
  const auto refuse = [&](const char* key) {
    return InputError{next.node.where, std::string(key) + " cannot change while the gateway is up",
                      "sallyport down && sallyport reload"};
  };
  if (next.node.device != config_.node.device) return refuse("node.device");
  if (next.dataplane.table != config_.dataplane.table) return refuse("dataplane.table");
  if (next.dataplane.priority != config_.dataplane.priority) return refuse("dataplane.priority");
  if (next.dataplane.fwmark != config_.dataplane.fwmark) return refuse("dataplane.fwmark");
  if (next.dataplane.flows != config_.dataplane.flows) return refuse("dataplane.flows");
  return {};
}

void Agent::on_node_state(const NodeState& state) {
  const bool rules_change = state.clock != node_state_.clock || state.rules != node_state_.rules ||
                            state.peers != node_state_.peers ||
                            state.addresses != node_state_.addresses;
  const bool routes_change = state.routes != node_state_.routes;
  const NodeState before = std::exchange(node_state_, state);
  remember_trust();
  if (!kernel_driver_) return;
  if (config_.join) {
    paths_->forget_gone(before, node_state_);
    if (!std::exchange(paths_pruned_, true)) paths_->prune(node_state_);
  }
  if (routes_change) {
    if (const auto looked = kernel_driver_->look(config_, node_state_.routes); !looked)
      log_warning("devices_not_seen why=\"{}\" instead=try_again", looked.error().text());
  }
  if (rules_change) renew_policy();
  converge(/*repairing=*/false);
}

// The policy judges no packet by a peer's path.
void Agent::on_move(const PathSteps& path) {
  const auto peer = node_state_.peers.find(path.peer);
  if (!kernel_driver_ || peer == node_state_.peers.end() || !peer->second.parking) return;
  paths_->move(path, peer->second, config_.node.device);
  move_peer(node_state_, path, node_ports_.relay);
}

void Agent::on_observe(const PublicKey& key) {
  const auto peer = node_state_.peers.find(key);
  if (!policy_ || !node_ || peer == node_state_.peers.end()) return;
  const uint32_t slot = policy_->slots().find(key);
  if (slot == 0) return;
  node_->tell(paths_->observe(peer->second, data_plane_->peers()[slot]));
}

BoundsFacts Agent::bounds_facts() const {
  return {private_key_->public_key(), kernel_driver_->devices(), node_ports_.relay};
}

Result<void> Agent::hold_paths(const Config& config) {
  node_ports_ = TRY(instance_.node_ports(config));
  if (!node_sockets_) {
    node_sockets_ =
        TRY(take_or_open(stored_, manager_, node_ports_, config.dataplane.fwmark.value));
  }
  kernel_driver_->set_node_ports(node_ports_, true);
  paths_->set_ports({.wireguard = wg_port_,
                     .agent = node_ports_.agent,
                     .relay = node_ports_.relay,
                     .own = config.dataplane.fwmark});
  return {};
}

void Agent::hold_no_paths() {
  if (!node_sockets_) return;
  node_sockets_.reset();
  forget_node_sockets(manager_);
  kernel_driver_->set_node_ports(node_ports_, false);
  node_ports_ = {};
  if (const auto cleared = data_plane_->paths().clear(); !cleared)
    log_warning("paths_not_cleared why=\"{}\"", cleared.error().text());
  // What came from the tailnet goes with it.
  NodeState left;
  left.clock = node_state_.clock;
  node_state_ = std::move(left);
}

void Agent::on_node_end(const std::string& why) {
  // Starting another one takes capabilities that this process has dropped.
  const Instant at = io::boot_now();
  const bool stable = at - node_started_ > kNodeStable;
  log_warning("node_ended why=\"{}\" instead=start_again", why);
  node_timer_.arm(stable ? at : at + kNodePause);
}

Result<void, ControlRefusal> Agent::down() {
  if (!data_plane_) return {};
  const auto outcome = kernel_driver_->clear(config_);
  if (!outcome) return Fail{refusal_of(ExitCode::kFailed, {as_input(outcome.error())})};
  if (!outcome->failures.empty()) {
    std::vector<InputError> errors;
    for (const std::string& failure : outcome->failures) errors.push_back({{}, failure, {}});
    return Fail{refusal_of(ExitCode::kFailed, std::move(errors))};
  }
  running_ = false;
  turn_timer_.cancel();
  policy_timer_.cancel();
  kernel_changes_ = {};
  drop_events_ = {};
  if (const auto removed = data_plane_->remove_all(); !removed) {
    return Fail{refusal_of(ExitCode::kFailed, {as_input(removed.error())})};
  }
  paths_.reset();
  if (node_sockets_) {
    // It holds paths that are there no longer.
    node_.reset();
    node_sockets_.reset();
    forget_node_sockets(manager_);
  }
  kernel_driver_.reset();
  kernel_.reset();
  attacher_.reset();
  policy_.reset();
  data_plane_.reset();
  log_info("down");
  return {};
}

}  // namespace sallyport
