// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/agent.h"

#include <malloc.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "agent/base/log.h"
#include "agent/drive/agent/kernel_attacher.h"
#include "agent/drive/agent/stored_prefs.h"
#include "agent/io/clock.h"
#include "agent/model/endpoint.h"

namespace sallyport {
namespace {

constexpr uint32_t kPrioritySpan = 90;
constexpr Duration kSettle = std::chrono::milliseconds(20);
constexpr Duration kTidy = std::chrono::milliseconds(500);

AgentEnd failed(ExitCode code, std::string message, std::string hint = {}) {
  return {code, {{{}, std::move(message), std::move(hint)}}, false};
}

// Abstract unix addresses belong to the network namespace, and so do our table, rules and marks:
// one holder of this name is one instance in the namespace.
Result<Fd> lock_namespace() {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  constexpr char kName[] = "\0sallyport-agent";
  std::memcpy(name.sun_path, kName, sizeof kName - 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + sizeof kName - 1);
  if (::bind(socket.raw(), reinterpret_cast<const sockaddr*>(&name), length) != 0) {
    return fail(errno, "be the only agent of this network namespace");
  }
  return socket;
}

}  // namespace

Agent::Agent(io::Loop& loop, AgentOptions options, ServiceManager manager, Probe probe,
             WireGuardPart wireguard, Instance instance, Config config)
    : loop_(loop),
      options_(std::move(options)),
      manager_(std::move(manager)),
      probe_(std::move(probe)),
      wireguard_(std::move(wireguard)),
      instance_(std::move(instance)),
      config_(std::move(config)),
      stored_(manager_.take_stored()),
      turn_timer_(loop, [this] { turn(); }),
      policy_timer_(loop, [this] { on_policy_due(); }),
      watchdog_timer_(loop, [this] { on_watchdog(); }),
      node_timer_(loop, [this] { stop({.code = ExitCode::kDone, .errors = {}, .again = true}); }),
      clock_timer_(loop, [this] { on_clock(); }),
      // Reading, compiling, comparing and answering took several times of what is kept.
      tidy_timer_(loop, [] { ::malloc_trim(0); }) {}

Agent::~Agent() = default;

Result<std::unique_ptr<Agent>, AgentEnd> Agent::start(io::Loop& loop, AgentOptions options,
                                                      ServiceManager manager, Probe probe,
                                                      WireGuardPart wireguard) {
  auto reading = load_configuration(options.directories);
  if (!reading) {
    return Fail{AgentEnd{ExitCode::kInvalidInput, std::move(reading).error(), false}};
  }
  for (const InputError& warning : reading->warnings) {
    log_warning("config_warning text=\"{}\"", warning.text());
  }
  auto instance = Instance::open(options.directories);
  if (!instance) return Fail{failed(ExitCode::kFailed, instance.error().text())};
  std::unique_ptr<Agent> agent(new Agent(loop, std::move(options), std::move(manager),
                                         std::move(probe), std::move(wireguard),
                                         std::move(*instance), std::move(reading->config)));
  auto lock = lock_namespace();
  if (!lock) {
    return Fail{failed(ExitCode::kFailed, lock.error().text(),
                       "another instance needs a network namespace of its own")};
  }
  agent->namespace_lock_ = std::move(*lock);
  agent->node_state_.clock = agent->remembered_trust();
  TRY(agent->bring_up());
  TRY(agent->serve());
  return agent;
}

Result<void, AgentEnd> Agent::bring_up() {
  DataPlaneOptions options;
  options.pin_dir = instance_.pin_dir();
  options.flows = config_.dataplane.flows;
  auto data_plane = DataPlane::open(options);
  if (!data_plane) {
    return Fail{failed(ExitCode::kUnsupported, data_plane.error().text(),
                       "is /sys/fs/bpf mounted? mount -t bpf bpf /sys/fs/bpf")};
  }
  data_plane_ = std::move(*data_plane);
  attacher_ = std::make_unique<KernelAttacher>(*data_plane_);
  const uint32_t first = config_.dataplane.priority;
  auto kernel = Kernel::open({.device = config_.node.device,
                              .table = config_.dataplane.table,
                              .first_priority = first,
                              .last_priority = first + kPrioritySpan,
                              .fwmark = config_.dataplane.fwmark},
                             {.wireguard = *wireguard_.ops, .attach = *attacher_});
  if (!kernel) return Fail{failed(ExitCode::kFailed, kernel.error().text())};
  kernel_ = std::move(*kernel);
  kernel_driver_ = std::make_unique<KernelDriver>(*kernel_, instance_);
  policy_ = std::make_unique<PolicyDriver>(*data_plane_, instance_);
  paths_ = std::make_unique<PathKeeper>(data_plane_->paths(), *kernel_driver_);
  const bool adopted = data_plane_->adopted();

  auto errors = apply(config_);
  if (!errors.empty()) return Fail{AgentEnd{ExitCode::kInvalidInput, std::move(errors), false}};
  // Programs of an earlier version go only now that the policy they shall judge by is in place.
  if (const auto swapped = data_plane_->replace_programs(); !swapped) {
    log_error("programs_not_replaced why=\"{}\" instead=keep_the_old_ones", swapped.error().text());
  }
  log_info("up device={} wg_port={} data_plane={} policy={}", config_.node.device, wg_port_,
           adopted ? "adopted" : "new", policy_->version());

  kernel_changes_ = io::Readable::borrow(loop_, kernel_->notification_fd(), [this](uint32_t) {
    if (kernel_->drain_notifications()) turn_timer_.arm(io::boot_now() + kSettle);
  });
  drop_events_ = io::Readable::borrow(loop_, data_plane_->drop_events_fd(),
                                      [this](uint32_t) { on_drop_events(); });
  return {};
}

Result<void, AgentEnd> Agent::serve() {
  const auto give_up = [](const Error& error) {
    return Fail{failed(ExitCode::kFailed, error.text())};
  };
  auto signals = io::SignalSet::create(loop_, {SIGTERM, SIGINT, SIGHUP},
                                       [this](int signal) { on_signal(signal); });
  if (!signals) return give_up(signals.error());
  signals_.emplace(std::move(*signals));
  auto clock = io::WallClockWatch::create(loop_, [this] { on_policy_due(); });
  if (!clock) return give_up(clock.error());
  wall_clock_.emplace(std::move(*clock));

  auto control = listener("control", instance_.directories().run + "/agent.sock", 0600);
  if (!control) return give_up(control.error());
  auto server = ControlServer::create(
      loop_, std::move(*control),
      [this](const std::string& verb, const Json& args) { return answer(verb, args); },
      [this](const std::string& verb, const Json& args, const TakeConnection& take) {
        return hand_over(verb, args, take);
      });
  if (!server) return give_up(server.error());
  control_ = std::move(*server);
  if (const auto metrics = serve_metrics(); !metrics) return give_up(metrics.error());

  if (const auto node = start_node(); !node) {
    // The data plane needs no node; only names and the clock do.
    log_error("node_not_started why=\"{}\" instead=serve_without_it", node.error().text());
  }
  on_watchdog();
  if (const auto ready = write_ready(); !ready) return give_up(ready.error());
  manager_.notify("READY=1\nSTATUS=serving");
  return {};
}

Result<Fd> Agent::listener(const std::string& name, const std::string& path, mode_t mode) {
  // Kept by the service manager, so that a client that connects while we restart waits.
  for (StoredFd& stored : stored_) {
    if (stored.name == name && stored.fd.valid()) return std::move(stored.fd);
  }
  Fd socket = TRY(io::listen_unix(path, mode));
  manager_.store(socket.raw(), name);
  return socket;
}

Result<void> Agent::serve_metrics() {
  const auto page = [this]() -> std::string {
    if (!data_plane_) return {};
    tidy_timer_.arm(io::boot_now() + kTidy);
    return metrics_page(config_, *policy_, *data_plane_);
  };
  Fd local = TRY(listener("metrics", instance_.directories().run + "/metrics.sock", 0600));
  metrics_.push_back(TRY(MetricsServer::create(loop_, std::move(local), page)));
  if (config_.metrics.empty()) return {};
  constexpr std::string_view kUnix = "unix:";
  if (config_.metrics.starts_with(kUnix)) {
    Fd socket = TRY(io::listen_unix(config_.metrics.substr(kUnix.size()), 0660));
    metrics_.push_back(TRY(MetricsServer::create(loop_, std::move(socket), page)));
    return {};
  }
  const auto address = Endpoint::parse(config_.metrics);
  if (!address) return fail(EINVAL, "metrics: " + config_.metrics + " is no ADDRESS:PORT");
  Fd socket = TRY(io::listen_tcp(address->address, address->port));
  metrics_.push_back(TRY(MetricsServer::create(loop_, std::move(socket), page)));
  return {};
}

Result<void> Agent::start_node() {
  node_started_ = io::boot_now();
  NodeProcessOptions options{
      .program = options_.node_program, .user = options_.node_user, .saved_clock = saved_clock()};
  if (config_.join && node_sockets_) {
    options.join = join_orders(config_, wg_port_, node_ports_);
    options.join_fds = TRY(join_fds(*node_sockets_, instance_.directories()));
  }
  node_ =
      TRY(NodeProcess::start(loop_, std::move(options),
                             {.on_state = [this](const NodeState& state) { on_node_state(state); },
                              .on_move = [this](const PathSteps& path) { on_move(path); },
                              .on_observe = [this](const PublicKey& peer) { on_observe(peer); },
                              .on_end = [this](const std::string& why) { on_node_end(why); }}));
  tell_node();
  clock_synchronised_ = false;
  on_clock();
  return {};
}

void Agent::tell_node() {
  if (!node_ || !kernel_driver_) return;
  node_->configure(config_, bounds_facts());
  if (config_.join) node_->prefer(join_orders(config_, wg_port_, node_ports_));
}

Result<void> Agent::write_ready() {
  const Json ready{{"v", 1},
                   {"device", config_.node.device},
                   {"wg_port", wg_port_},
                   {"agent_port", node_ports_.agent}};
  return instance_.write_run("agent.ready", ready.dump() + "\n");
}

void Agent::stop(AgentEnd end) {
  end_ = std::move(end);
  manager_.notify("STOPPING=1");
  instance_.remove_run("agent.ready");
  loop_.stop();
}

}  // namespace sallyport
