// SPDX-License-Identifier: BSD-3-Clause
// What a running agent is asked.
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "agent/base/log.h"
#include "agent/drive/agent/agent.h"
#include "agent/drive/agent/stored_prefs.h"
#include "agent/io/clock.h"
#include "agent/options/load.h"
#include "agent/options/scalar.h"
#include "agent/policy/resolve.h"

namespace sallyport {
namespace {

using Make = ControlAnswer (*)(const AgentView&, const Json& args);

// Those that only look. `device`: with a dump of the WireGuard device, which holds rtnl.
struct Question {
  std::string_view verb;
  bool device;
  bool when_down;
  Make make;
};
constexpr std::array<Question, 6> kQuestions{{
    {"status", true, true,
     [](const AgentView& view, const Json&) -> ControlAnswer { return answer_status(view); }},
    {"peers", true, true,
     [](const AgentView& view, const Json&) -> ControlAnswer { return answer_peers(view); }},
    {"rules", false, false,
     [](const AgentView& view, const Json&) -> ControlAnswer { return answer_rules(view); }},
    {"drops", false, false,
     [](const AgentView& view, const Json&) -> ControlAnswer { return answer_drops(view); }},
    {"explain", false, false, answer_explain},
    {"flows", false, false, answer_flows},
}};

// With a tailnet joined.
constexpr std::array<std::string_view, 8> kNodeVerbs{"status", "peers", "ip",     "whois",
                                                     "ping",   "login", "logout", "netcheck"};

Result<Fd> memory_file(std::string_view content) {
  Fd file(::memfd_create("sallyport-request", MFD_CLOEXEC));
  if (!file.valid()) return fail(errno, "memfd_create");
  while (!content.empty()) {
    const ssize_t count = ::write(file.raw(), content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(errno, "write");
    content.remove_prefix(static_cast<size_t>(count));
  }
  return file;
}

ControlRefusal is_down() {
  return {ExitCode::kFailed, {{}, "the gateway is down", "sallyport reload"}, {}};
}

// The first free address of each prefix of ours, for a new peer.
std::optional<IpAddress> free_address(const Config& config, const Prefix& ours) {
  std::vector<IpRange> taken{{ours.address, ours.address}};
  for (const PeerConfig& peer : config.peers) {
    for (const Prefix& prefix : peer.allowed_ips) taken.push_back(prefix.range());
  }
  taken = normalise(std::move(taken));
  const IpRange range = ours.masked().range();
  // The network's own address is nobody's.
  for (auto address = range.first.next(); address && *address < range.last;
       address = address->next()) {
    if (!contains(taken, *address)) return address;
  }
  return {};
}

}  // namespace

std::vector<Finding> Agent::findings(bool thorough) {
  static const std::vector<Device> kNoDevices;
  static const std::map<Prefix, std::string> kNoLans;
  std::vector<ForeignForwardChain> chains;
  if (kernel_) {
    auto found = kernel_->foreign_forward_chains();
    if (found) chains = std::move(*found);
  }
  return diagnose({.config = config_,
                   .devices = kernel_driver_ ? kernel_driver_->devices() : kNoDevices,
                   .missing = probe_.missing,
                   .forward_chains = chains,
                   .failures = failures_,
                   .pending = thorough ? pending() : std::vector<Description>(),
                   .lan_devices = kernel_driver_ ? kernel_driver_->lan_devices() : kNoLans,
                   .clock = node_state_.clock,
                   .node_alive = node_ != nullptr && !node_timer_.armed(),
                   .down = thorough && !data_plane_});
}

// What WireGuard calls us.
PublicKey Agent::called() const {
  return (node_state_.key ? *node_state_.key : *private_key_).public_key();
}

// What the next turn would do, the device itself looked at; a step that failed is told as such.
std::vector<Description> Agent::pending() {
  if (!kernel_driver_ || !private_key_ || !failures_.empty()) return {};
  kernel_driver_->doubt();
  const auto steps = kernel_driver_->preview(config_, node_state_, *private_key_, wg_port_);
  std::vector<Description> out;
  if (!steps) return out;
  out.reserve(steps->size());
  for (const Operation& step : *steps) out.push_back(describe(step));
  return out;
}

ControlAnswer Agent::answer_with(const std::function<ControlAnswer(const AgentView&)>& make,
                                 bool with_device) {
  std::optional<WgObserved> device;
  std::vector<Finding> health;
  if (with_device) {
    auto dumped = wireguard_.dump(config_.node.device);
    if (dumped) device = std::move(*dumped);
    health = findings(/*thorough=*/false);
  }
  return make({.config = config_,
               .policy = policy_.get(),
               .data_plane = data_plane_.get(),
               .drops = drops_,
               .kernel = probe_.kernel,
               .self = private_key_ ? called() : PublicKey{},
               .state = !data_plane_ ? "Stopped"
                        : running_   ? "Running"
                                     : "Starting",
               .device = device,
               .health = health,
               .wall = io::wall_now(),
               .monotonic_ns = io::monotonic_now_ns()});
}

ControlAnswer Agent::answer(const std::string& verb, const Json& args) {
  const auto question = std::ranges::find(kQuestions, verb, &Question::verb);
  if (question != kQuestions.end()) {
    if (!data_plane_ && !question->when_down) return Fail{is_down()};
    return answer_with([&](const AgentView& view) { return question->make(view, args); },
                       question->device);
  }
  if (verb == "reload") {
    auto errors = reload();
    if (!errors.empty()) return Fail{refusal_of(ExitCode::kInvalidInput, std::move(errors))};
    return Json{{"policy_version", policy_->version()}};
  }
  if (verb == "down") {
    TRY(down());
    return Json{{"state", "Stopped"}};
  }
  if (verb == "doctor") return answer_doctor_fixing(args.value("fix", false));
  if (verb == "plan") return answer_plan_of_file();
  if (verb == "up") return answer_prefs(args, /*connect=*/true);
  if (verb == "set") return answer_prefs(args, /*connect=*/false);
  if (verb == "peer-offer") return answer_peer_offer(args);
  return Fail{ControlRefusal{
      ExitCode::kUsage, {{}, "\"" + verb + "\" is no verb of this agent", "sallyport --help"}, {}}};
}

// Nothing of it is kept unless all of it is good.
ControlAnswer Agent::answer_prefs(const Json& args, bool connect) {
  const auto now = load_configuration(instance_.directories());
  if (!now) return Fail{refusal_of(ExitCode::kInvalidInput, now.error())};
  const auto kept = instance_.read_state(kPrefsFile);
  if (!kept) return Fail{ControlRefusal{ExitCode::kFailed, {{}, kept.error().text(), {}}, {}}};
  const options::SourceFile prefs{
      instance_.directories().state + "/" + kPrefsFile,
      TRY(changed_prefs(kept->value_or(""), args.value("flags", Json::object()),
                        args.value("reset", false), now->stated))};
  auto next = options::load_config(instance_.directories().config, &prefs);
  if (!next) return Fail{refusal_of(ExitCode::kInvalidInput, std::move(next).error())};
  if (connect && !next->config.join) {
    return Fail{ControlRefusal{ExitCode::kUsage,
                               {{},
                                "there is no tailnet to join",
                                "sallyport up --login-server https://control.example.org"},
                               {}}};
  }
  if (const auto written = instance_.write_state(kPrefsFile, prefs.text); !written)
    return Fail{ControlRefusal{ExitCode::kFailed, {{}, written.error().text(), {}}, {}}};
  if (connect || data_plane_) {
    auto errors = reload();
    if (!errors.empty()) return Fail{refusal_of(ExitCode::kInvalidInput, std::move(errors))};
  }
  return Json{{"joined", next->config.join.has_value()}};
}

// What only the netmap knows, the node tells: no name of a stranger's passes through here.
bool Agent::hand_over(const std::string& verb, const Json& args, const TakeConnection& take) {
  if (!config_.join || !node_ || !data_plane_ || node_timer_.armed()) return false;
  if (std::ranges::find(kNodeVerbs, verb) == kNodeVerbs.end()) return false;
  Json request{{"verb", verb}, {"args", args}};
  const auto question = std::ranges::find(kQuestions, verb, &Question::verb);
  if (question != kQuestions.end()) {
    auto ours = answer_with(
        [&](const AgentView& view) -> ControlAnswer {
          Json out = TRY(question->make(view, args));
          out["tailnet"] = tailnet_counters(view, node_state_);
          return out;
        },
        question->device);
    if (!ours) return false;
    request["agent"] = *std::move(ours);
  }
  auto file = memory_file(request.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (!file) {
    log_warning("request_not_handed_over verb={} why=\"{}\"", verb, file.error().text());
    return false;
  }
  auto connection = take();
  if (!connection) return true;  // it is gone
  std::vector<Fd> fds;
  fds.push_back(*std::move(connection));
  fds.push_back(*std::move(file));
  node_->tell(channel::Serve{}, std::move(fds));
  return true;
}

ControlAnswer Agent::answer_doctor_fixing(bool fix) {
  std::vector<Finding> before = findings(/*thorough=*/true);
  if (!fix || !kernel_driver_) return answer_doctor(before);
  // What is ours is mended by looking at it anew; what is an administrator's is not ours to change.
  kernel_driver_->doubt();
  turn();
  const std::vector<Finding> after = findings(/*thorough=*/true);
  for (Finding& finding : before) {
    finding.fixed = std::ranges::none_of(after, [&](const Finding& still) {
      return still.id == finding.id && still.text == finding.text;
    });
  }
  return answer_doctor(before);
}

ControlAnswer Agent::answer_plan_of_file() {
  auto reading = load_configuration(options_.directories);
  if (!reading) {
    return Fail{refusal_of(ExitCode::kInvalidInput, std::move(reading).error())};
  }
  if (!kernel_driver_) return Fail{is_down()};
  // What a reload would refuse is refused here too.
  if (const auto fixed = what_needs_a_restart(reading->config)) {
    return Fail{refusal_of(ExitCode::kInvalidInput, {*fixed})};
  }
  const Surroundings seen =
      PolicyDriver::surroundings_of(reading->config, kernel_driver_->devices());
  if (auto resolved = resolve(reading->config, seen); !resolved) {
    return Fail{refusal_of(ExitCode::kInvalidInput, std::move(resolved).error())};
  }
  const auto key = instance_.private_key(reading->config);
  const auto port = instance_.wg_port(reading->config);
  if (!key || !port) {
    const Error& error = !key ? key.error() : port.error();
    return Fail{refusal_of(ExitCode::kInvalidInput, {{{}, error.text(), {}}})};
  }
  auto operations = kernel_driver_->preview(reading->config, node_state_, *key, *port);
  if (!operations) {
    return Fail{refusal_of(ExitCode::kFailed, {{{}, operations.error().text(), {}}})};
  }
  return answer_plan(*operations);
}

ControlAnswer Agent::answer_peer_offer(const Json& args) {
  const auto refuse = [](std::string message, std::string hint) {
    return Fail{
        ControlRefusal{ExitCode::kInvalidInput, {{}, std::move(message), std::move(hint)}, {}}};
  };
  const std::string name = args.value("name", "");
  if (!options::is_label(name)) {
    return refuse("\"" + name + "\" is no name for a peer", "letters, digits and inner hyphens");
  }
  for (const PeerConfig& peer : config_.peers) {
    if (peer.name == name) {
      return refuse("there is a peer \"" + name + "\" already, at " + peer.where.text(), {});
    }
  }
  if (config_.node.public_endpoint.empty()) {
    return refuse("the configuration does not say where clients find this gateway",
                  "set node.public_endpoint: HOST or HOST:PORT");
  }
  Json addresses = Json::array();
  for (const Prefix& ours : config_.node.addresses) {
    if (const auto free = free_address(config_, ours))
      addresses.push_back(Prefix::host(*free).text());
  }
  if (addresses.empty()) {
    return refuse("no address is free for another peer",
                  "give node.addresses a shorter prefix, for example 100.64.0.1/24");
  }
  Json reachable = Json::array();
  for (const Prefix& ours : config_.node.addresses) reachable.push_back(ours.masked().text());
  for (const LanConfig& lan : config_.lans) reachable.push_back(lan.prefix.text());
  if (config_.exit) reachable = {"0.0.0.0/0", "::/0"};
  Json dns = Json::array();
  for (const IpAddress& server : config_.node.dns) dns.push_back(server.text());
  const std::string& endpoint = config_.node.public_endpoint;
  const bool has_port = endpoint.rfind(':') != std::string::npos && !IpAddress::parse(endpoint);
  const bool bare_v6 = IpAddress::parse(endpoint) && !IpAddress::parse(endpoint)->is_v4();
  const std::string& file = options_.directories.config;
  const size_t slash = file.rfind('/');
  return Json{
      {"addresses", std::move(addresses)},
      {"reachable", std::move(reachable)},
      {"dns", std::move(dns)},
      {"mtu", kWgMtu},
      {"node_key", called().text()},
      {"endpoint", has_port  ? endpoint
                   : bare_v6 ? fmt::format("[{}]:{}", endpoint, wg_port_)
                             : fmt::format("{}:{}", endpoint, wg_port_)},
      {"peers_dir", (slash == std::string::npos ? "." : file.substr(0, slash)) + "/peers.d"}};
}

}  // namespace sallyport
