// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/tailnet_answers.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/base/version.h"
#include "agent/io/clock.h"

namespace sallyport {
namespace {

using Json = TailnetAnswers::Json;

constexpr size_t kAnswerQueue = size_t{64} << 20;
constexpr off_t kMostRequest = off_t{256} << 20;
constexpr unsigned kMostPings = 1000;
constexpr Duration kPingEvery = std::chrono::seconds(1);

double seconds_of(Duration duration) { return std::chrono::duration<double>(duration).count(); }
double ms_of(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

std::optional<std::string> read_all(const Fd& file) {
  struct stat about{};
  if (::fstat(file.raw(), &about) != 0 || about.st_size > kMostRequest) return {};
  std::string text(static_cast<size_t>(about.st_size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count =
        ::pread(file.raw(), text.data() + done, text.size() - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return {};
    done += static_cast<size_t>(count);
  }
  return text;
}

/// "gate.example.ts.net." is called "gate".
std::string short_name(const NetmapNode& node) { return node.name.substr(0, node.name.find('.')); }

Json addresses_json(const NetmapNode& node) {
  Json out = Json::array();
  for (const Prefix& address : node.addresses) out.push_back(address.address.text());
  return out;
}

std::string_view name_of(control::SessionState state) {
  switch (state) {
    case control::SessionState::kStopped:
      return "Stopped";
    case control::SessionState::kNeedsLogin:
      return "NeedsLogin";
    case control::SessionState::kNeedsApproval:
      return "NeedsApproval";
    case control::SessionState::kStarting:
      return "Starting";
    case control::SessionState::kServing:
      return "Running";
  }
  return "";
}

/// Field names of the reference's `netcheck --format=json`; latencies in nanoseconds.
Json netcheck_json(const NetcheckReport& report) {
  const auto latencies = [](const RegionLatencies& all) {
    Json out = Json::object();
    for (const auto& [region, rtt] : all) out[std::to_string(region)] = rtt.count();
    return out;
  };
  const auto seen = [&](bool v4) -> std::string {
    for (const Endpoint& one : report.seen) {
      if (one.address.is_v4() == v4) return one.text();
    }
    return {};
  };
  return {
      {"UDP", report.udp},
      {"IPv6", report.v6},
      {"IPv4", report.v4},
      {"OSHasIPv6", report.os_has_v6},
      {"MappingVariesByDestIP", report.mapping_varies ? Json(*report.mapping_varies) : Json("")},
      {"PreferredDERP", report.home},
      {"RegionLatency", latencies(report.latency)},
      {"RegionV4Latency", latencies(report.latency_v4)},
      {"RegionV6Latency", latencies(report.latency_v6)},
      {"GlobalV4", seen(true)},
      {"GlobalV6", seen(false)}};
}

}  // namespace

struct TailnetAnswers::Client {
  Client(io::Loop& loop, io::Callback<void()> on_again) : again(loop, std::move(on_again)) {}
  uint64_t id = 0;
  io::Stream stream;
  io::Timer again;
  NodeKey target;
  bool until_direct = false;
  unsigned left = 0;
  Json replies = Json::array();
};

TailnetAnswers::TailnetAnswers(io::Loop& loop, Tailnet& tailnet) : loop_(loop), tailnet_(tailnet) {}
TailnetAnswers::~TailnetAnswers() = default;

void TailnetAnswers::serve(Fd connection, const Fd& request) {
  if (clients_.size() >= kMostClients) return;
  const uint64_t id = next_id_++;
  auto client = std::make_unique<Client>(loop_, [this, id] {
    if (Client* self = find(id)) ping_once(*self);
  });
  client->id = id;
  auto stream = io::Stream::adopt(loop_, std::move(connection),
                                  {.on_end =
                                       [this, id](const std::optional<Error>&) {
                                         if (Client* self = find(id)) drop(*self);
                                       }},
                                  kAnswerQueue);
  if (!stream) {
    log_warning("cli_connection_lost why=\"{}\"", stream.error().text());
    return;
  }
  client->stream = *std::move(stream);
  Client& self = *client;
  clients_.push_back(std::move(client));
  const auto text = read_all(request);
  const Json parsed = Json::parse(text.value_or(""), nullptr, false);
  if (!parsed.is_object() || !parsed.contains("verb")) {
    return refuse(self, ExitCode::kUsage, "the request cannot be read",
                  "is `sallyport` of another version?");
  }
  try {
    carry_out(self, parsed);
  } catch (const Json::exception&) {
    refuse(self, ExitCode::kUsage, "an argument is of the wrong type",
           "is `sallyport` of another version?");
  }
}

TailnetAnswers::Client* TailnetAnswers::find(uint64_t id) {
  const auto found =
      std::ranges::find_if(clients_, [&](const auto& client) { return client->id == id; });
  return found == clients_.end() ? nullptr : found->get();
}

void TailnetAnswers::drop(Client& client) {
  std::erase_if(clients_, [&](const auto& each) { return each.get() == &client; });
}

void TailnetAnswers::answer(Client& client, const Json& answer) {
  Json whole{{"v", 1}};
  whole.update(answer);
  const std::string text = whole.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  const auto offer =
      client.stream.write({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  if (offer != io::Offer::kTaken) return drop(client);
  client.stream.shutdown();
}

void TailnetAnswers::refuse(Client& client, ExitCode code, const std::string& message,
                            const std::string& hint) {
  answer(client, {{"error",
                   {{"code", static_cast<int>(code)},
                    {"message", message},
                    {"file", ""},
                    {"line", 0},
                    {"column", 0},
                    {"hint", hint},
                    {"more", Json::array()}}}});
}

void TailnetAnswers::carry_out(Client& client, const Json& request) {
  const std::string verb = request.at("verb");
  const Json args = request.value("args", Json::object());
  const Json agent = request.value("agent", Json::object());
  const Netmap& netmap = tailnet_.control().netmap();
  if (verb == "status") return answer(client, status(agent));
  if (verb == "peers") return answer(client, {{"peers", peers(agent)}});
  if (verb == "ip") {
    if (!netmap.self) {
      return refuse(client, ExitCode::kFailed, "the tailnet has given us no address yet",
                    "sallyport status");
    }
    return answer(client, {{"ips", addresses_json(*netmap.self)}});
  }
  if (verb == "whois") {
    const std::string who = args.at("ip");
    const NetmapNode* node = peer_named(who);
    if (node == nullptr) {
      return refuse(client, ExitCode::kFailed, quote(who) + " is nobody's in the tailnet",
                    "sallyport peers lists them");
    }
    return answer(client, {{"name", short_name(*node)},
                           {"node_key", node_key_text(node->node_key)},
                           {"ips", addresses_json(*node)},
                           {"user", user_of(*node)},
                           {"tags", node->tags}});
  }
  if (verb == "login") {
    tailnet_.control().login();
    return answer(client, {{"state", name_of(tailnet_.control().status().state)}});
  }
  if (verb == "logout") {
    tailnet_.control().logout();
    return answer(client, {{"state", name_of(tailnet_.control().status().state)}});
  }
  if (verb == "netcheck") {
    const uint64_t id = client.id;
    tailnet_.paths().netcheck([this, id](const NetcheckReport& report) {
      if (Client* self = find(id)) answer(*self, netcheck_json(report));
    });
    return;
  }
  if (verb == "ping") return ping(client, args);
  refuse(client, ExitCode::kUsage, quote(verb) + " is no verb of the node", "sallyport --help");
}

void TailnetAnswers::ping(Client& client, const Json& args) {
  const std::string who = args.at("node");
  const NetmapNode* node = peer_named(who);
  if (node == nullptr) {
    return refuse(client, ExitCode::kFailed, "there is no peer " + quote(who),
                  "sallyport peers lists them");
  }
  client.target = node->node_key;
  client.until_direct = args.value("until_direct", false);
  client.left = std::clamp(args.value("count", 1U), 1U, kMostPings);
  ping_once(client);
}

void TailnetAnswers::ping_once(Client& client) {
  const uint64_t id = client.id;
  --client.left;
  tailnet_.paths().ping(
      client.target, client.until_direct, [this, id](const std::optional<PingReply>& reply) {
        Client* self = find(id);
        if (self == nullptr) return;
        Json one{{"rtt_ms", nullptr}, {"path", "none"}, {"endpoint", nullptr}, {"region", nullptr}};
        if (reply) {
          one["rtt_ms"] = ms_of(reply->rtt);
          one["path"] = reply->endpoint ? "direct" : "derp";
          if (reply->endpoint) one["endpoint"] = reply->endpoint->text();
          if (!reply->endpoint) one["region"] = reply->region;
        }
        self->replies.push_back(std::move(one));
        const bool arrived = self->until_direct && reply && reply->endpoint;
        if (self->left == 0 || arrived)
          return answer(*self, {{"replies", std::exchange(self->replies, {})}});
        self->again.arm(io::boot_now() + kPingEvery);
      });
}

const NetmapNode* TailnetAnswers::peer_named(const std::string& text) const {
  const Netmap& netmap = tailnet_.control().netmap();
  const auto address = IpAddress::parse(text);
  const auto is = [&](const NetmapNode& node) {
    if (!address) {
      return short_name(node) == text || node.name == text || node.name == text + "." ||
             node_key_text(node.node_key) == text;
    }
    return std::ranges::any_of(node.addresses,
                               [&](const Prefix& one) { return one.address == *address; });
  };
  if (netmap.self && is(*netmap.self)) return &*netmap.self;
  for (const auto& [id, peer] : netmap.peers) {
    if (is(peer)) return &peer;
  }
  return nullptr;
}

std::string TailnetAnswers::user_of(const NetmapNode& node) const {
  const Netmap& netmap = tailnet_.control().netmap();
  const auto user = netmap.users.find(node.user);
  return user == netmap.users.end() ? std::string() : user->second.login_name;
}

Json TailnetAnswers::path_json(const NodeKey& key) const {
  const auto path = tailnet_.paths().status(key);
  if (!path) return {{"kind", "none"}, {"endpoint", nullptr}};
  Json out{{"kind", name_of(path->kind)}};
  out["endpoint"] = path->endpoint ? Json(path->endpoint->text()) : Json();
  out["region"] = path->region != 0 ? Json(path->region) : Json();
  out["rtt_ms"] = path->rtt > Duration::zero() ? Json(ms_of(path->rtt)) : Json();
  out["since_s"] = seconds_of(io::boot_now() - path->since);
  out["state"] = name_of(path->state);
  return out;
}

Json TailnetAnswers::peer_json(const NetmapNode& peer, const Json& counted) const {
  const std::string user = user_of(peer);
  Json out{{"name", short_name(peer)},
           {"node_key", node_key_text(peer.node_key)},
           {"ips", addresses_json(peer)},
           {"user", user.empty() ? Json() : Json(user)},
           {"online", peer.online.value_or(false)},
           {"path", path_json(peer.node_key)}};
  for (const char* member : {"rx_bytes", "tx_bytes", "last_handshake_s"}) {
    out[member] = counted.contains(member) ? counted.at(member) : Json();
  }
  return out;
}

/// The configured ones are the agent's to tell; what the kernel counted of the others is under
/// "tailnet", by key.
Json TailnetAnswers::peers(const Json& agent) const {
  Json out = agent.value("peers", Json::array());
  const Json counted = agent.value("tailnet", Json::object());
  for (const auto& [id, peer] : tailnet_.control().netmap().peers) {
    out.push_back(peer_json(peer, counted.value(peer.node_key.text(), Json::object())));
  }
  return out;
}

void TailnetAnswers::add_health(Json& health) const {
  const control::SessionStatus status = tailnet_.control().status();
  const auto add = [&](const char* id, const std::string& text, const char* fix) {
    health.push_back({{"id", id}, {"text", printable(text)}, {"fix", fix}});
  };
  if (!status.visit.empty())
    add("login", "somebody has to log this gateway in: " + status.visit, "open that page");
  if (!status.error.empty())
    add("control", "control server: " + status.error, "sallyport netcheck");
  if (!status.refused_netmap.empty())
    add("netmap", "the control server's last word is not in force: " + status.refused_netmap, "");
  const NetmapPlan& plan = tailnet_.plan();
  if (!plan.refused.empty() && status.state == control::SessionState::kServing)
    add("filter", "nobody is let in: " + plan.refused, "");
  for (const std::string& note : plan.notes) add("filter", note, "");
  for (const RegionStatus& region : tailnet_.paths().regions()) {
    if (!region.problem.empty())
      add("derp", "relay " + region.code + ": " + region.problem, "sallyport netcheck");
  }
}

Json TailnetAnswers::status(Json agent) const {
  const control::SessionStatus status = tailnet_.control().status();
  const Netmap& netmap = tailnet_.control().netmap();
  if (agent.value("state", "") == "Running") agent["state"] = name_of(status.state);
  Json& self = agent["self"];
  if (netmap.self) {
    self["name"] = short_name(*netmap.self);
    for (const Json& address : addresses_json(*netmap.self)) self["ips"].push_back(address);
    self["tags"] = netmap.self->tags;
    if (agent.contains("policy")) agent["policy"]["source"] = status.from_disk ? "disk" : "control";
  } else {
    self["name"] = tailnet_.orders().hostname;
  }
  self["public_key"] = self.value("node_key", "");  // as WireGuard writes it
  self["node_key"] = node_key_text(tailnet_.control().identity().node.public_key());
  Json control{{"url", tailnet_.orders().url}, {"connected", status.connected}};
  control["last_frame_s"] =
      status.last_frame ? Json(seconds_of(io::boot_now() - *status.last_frame)) : Json();
  control["auth_url"] = status.visit.empty() ? Json() : Json(printable(status.visit));
  agent["control"] = std::move(control);
  Json regions = Json::array();
  for (const RegionStatus& region : tailnet_.paths().regions()) {
    regions.push_back({{"id", region.id},
                       {"code", region.code},
                       {"home", region.home},
                       {"connected", region.state == DerpState::kUp},
                       {"latency_ms", region.latency ? Json(ms_of(*region.latency)) : Json()}});
  }
  agent["derp"] = std::move(regions);
  agent["peers"] = peers(agent);
  agent.erase("tailnet");
  if (!agent.contains("health")) agent["health"] = Json::array();
  add_health(agent["health"]);
  return agent;
}

}  // namespace sallyport
