// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/answers.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "agent/base/bytes.h"
#include "agent/guard/reconcile.h"
#include "agent/model/endpoint.h"
#include "agent/model/nearest.h"
#include "agent/options/scalar.h"
#include "agent/policy/verdict.h"

namespace sallyport {
namespace {

double seconds_between(uint64_t later_ns, uint64_t earlier_ns) {
  return later_ns > earlier_ns ? static_cast<double>(later_ns - earlier_ns) / 1e9 : 0;
}

bool has_ports(IpProto proto) {
  return proto == IpProto::kTcp || proto == IpProto::kUdp || proto == IpProto::kSctp;
}

std::string with_port(const IpAddress& address, uint16_t port, IpProto proto) {
  return has_ports(proto) ? Endpoint{address, port}.text() : address.text();
}

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json prefixes(const std::vector<Prefix>& all) {
  Json out = Json::array();
  for (const Prefix& prefix : all) {
    out.push_back(prefix.length == prefix.address.bits() ? prefix.address.text() : prefix.text());
  }
  return out;
}

Json rule_place(const Rule& rule) {
  return {{"id", rule.id},
          {"file", text_or_null(rule.where.file)},
          {"line", rule.where.line == 0 ? Json() : Json(rule.where.line)}};
}

ControlRefusal invalid(std::string message, std::string hint) {
  return {ExitCode::kInvalidInput, {{}, std::move(message), std::move(hint)}, {}};
}

// A handshake is repeated after two minutes under traffic; three without one is silence.
// Source: WireGuard paper 6.1, Reject-After-Time 180 s.
constexpr int64_t kOnlineFor_s = 180;

Json path_json(const WgPeer& peer, bool online, double since_s) {
  Json path{{"kind", online ? "direct" : "none"}};
  path["endpoint"] = peer.endpoint ? Json(peer.endpoint->text()) : Json();
  path["since_s"] = since_s < 0 ? Json() : Json(since_s);
  return path;
}

Json peer_json(const AgentView& view, const PeerConfig& peer) {
  const int64_t now_s =
      std::chrono::duration_cast<std::chrono::seconds>(view.wall.time_since_epoch()).count();
  Json out{{"name", peer.name},
           {"node_key", peer.public_key.text()},
           {"ips", prefixes(peer.allowed_ips)},
           {"user", nullptr}};
  WgPeer known;
  WgPeerStats stats;
  if (view.device) {
    const auto at = view.device->device.peers.find(peer.public_key);
    if (at != view.device->device.peers.end()) known = at->second;
    const auto counts = view.device->stats.find(peer.public_key);
    if (counts != view.device->stats.end()) stats = counts->second;
  }
  const bool ever = stats.last_handshake_unix_s > 0;
  const double since =
      ever ? static_cast<double>(std::max<int64_t>(0, now_s - stats.last_handshake_unix_s)) : -1;
  const bool online = ever && since < kOnlineFor_s;
  out["online"] = online;
  out["path"] = path_json(known, online, since);
  out["rx_bytes"] = stats.rx_bytes;
  out["tx_bytes"] = stats.tx_bytes;
  out["last_handshake_s"] = ever ? Json(since) : Json();
  return out;
}

std::string flow_state(const sp_flow& flow) {
  if ((flow.word & SP_WORD_DENIED) != 0) return "revoked";
  switch (static_cast<sp_flow_state>(flow.state)) {
    case SP_FLOW_OPENING:
      return "opening";
    case SP_FLOW_OPEN:
      return "open";
    case SP_FLOW_CLOSING:
      return "closing";
  }
  return "open";
}

Json hook_name(const AgentView& view) {
  if (view.data_plane == nullptr) return {};
  return view.data_plane->hook_kind() == HookKind::kClsact ? "clsact" : "tcx";
}

Json flow_json(const AgentView& view, const sp_flow_key& key, const sp_flow& flow) {
  const auto peer = IpAddress::v6(std::span<const uint8_t, 16>(key.peer_addr));
  const auto other = IpAddress::v6(std::span<const uint8_t, 16>(key.other_addr));
  const auto proto = static_cast<IpProto>(key.proto);
  const std::string near = with_port(peer, from_be(key.peer_port_be), proto);
  const std::string far = with_port(other, from_be(key.other_port_be), proto);
  const bool from_peer = (flow.flags & SP_FLOW_FROM_PEER) != 0;
  const Rule* rule = view.policy->rule_of(flow.rule);
  return {{"proto", name_of(proto)},
          {"src", from_peer ? near : far},
          {"dst", from_peer ? far : near},
          {"peer", text_or_null(view.policy->peer_name(flow.peer))},
          {"user", nullptr},
          {"rule", rule == nullptr ? Json() : Json(rule->id)},
          {"packets", flow.packets},
          {"bytes", flow.bytes},
          {"state", flow_state(flow)},
          {"age_s", seconds_between(view.monotonic_ns, flow.first_ns)}};
}

// "laptop", "10.0.0.1", and for `to` with ":443" behind it or as "[fd00::1]:443".
struct Place {
  IpAddress address;
  std::optional<uint16_t> port;
};
std::optional<IpAddress> address_of(const Config& config, const std::string& text) {
  if (const auto address = IpAddress::parse(text)) return address;
  for (const PeerConfig& peer : config.peers) {
    if (peer.name == text && !peer.allowed_ips.empty()) return peer.allowed_ips.front().address;
  }
  return {};
}
std::optional<Place> place_of(const Config& config, const std::string& text) {
  if (const auto address = address_of(config, text)) return Place{*address, {}};
  if (const auto endpoint = Endpoint::parse(text)) return Place{endpoint->address, endpoint->port};
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {};
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data() + colon + 1, end, port);
  const auto address = address_of(config, text.substr(0, colon));
  if (error != std::errc{} || last != end || !address) return {};
  return Place{*address, port};
}

}  // namespace

std::string time_text(WallTime time) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(time);
  const auto s = std::chrono::floor<std::chrono::seconds>(ms);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03d}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(
                         std::chrono::time_point_cast<std::chrono::system_clock::duration>(s))),
                     (ms - s).count());
}

Json tailnet_counters(const AgentView& view, const NodeState& node) {
  const int64_t now_s =
      std::chrono::duration_cast<std::chrono::seconds>(view.wall.time_since_epoch()).count();
  Json out = Json::object();
  if (!view.device) return out;
  for (const auto& [key, peer] : node.peers) {
    const auto counts = view.device->stats.find(key);
    if (counts == view.device->stats.end()) continue;
    const WgPeerStats& stats = counts->second;
    const bool ever = stats.last_handshake_unix_s > 0;
    out[key.text()] = {
        {"rx_bytes", stats.rx_bytes},
        {"tx_bytes", stats.tx_bytes},
        {"last_handshake_s",
         ever ? Json(std::max<int64_t>(0, now_s - stats.last_handshake_unix_s)) : Json()}};
  }
  return out;
}

Json answer_peers(const AgentView& view) {
  Json peers = Json::array();
  for (const PeerConfig& peer : view.config.peers) peers.push_back(peer_json(view, peer));
  return {{"peers", std::move(peers)}};
}

Json answer_status(const AgentView& view) {
  Json out{{"state", view.state}};
  out["self"] = {{"name", view.config.node.hostname},
                 {"ips", prefixes(view.config.node.addresses)},
                 {"node_key", view.self.text()},
                 {"tags", view.config.node.tags}};
  for (Json& ip : out["self"]["ips"]) {
    const std::string text = ip;
    ip = text.substr(0, text.find('/'));
  }
  out["control"] = {{"url", nullptr}, {"connected", false}, {"last_frame_s", nullptr}};
  out["policy"] = {{"version", view.policy == nullptr ? Json() : Json(view.policy->version())},
                   {"generation", view.policy == nullptr ? 0 : view.policy->generation()},
                   {"source", "file"}};
  out.update(answer_peers(view));
  out["dataplane"] = {{"kernel", view.kernel.release},
                      {"hook", hook_name(view)},
                      {"fast_path", "off"},
                      {"shield", "off"},
                      {"map_bytes", view.data_plane == nullptr ? 0 : view.data_plane->map_bytes()}};
  Json health = Json::array();
  for (const Finding& finding : view.health) {
    if (finding.severity == Severity::kInfo) continue;
    health.push_back({{"id", finding.id}, {"text", finding.text}, {"fix", finding.fix}});
  }
  out["health"] = std::move(health);
  return out;
}

Json answer_rules(const AgentView& view) {
  uint16_t highest = 0;
  for (const Rule& rule : view.policy->resolved().rules) highest = std::max(highest, rule.counter);
  const auto hits = view.data_plane->rule_hits(highest + 1U);
  Json rules = Json::array();
  for (const Rule& rule : view.policy->resolved().rules) {
    sp_rule_hits count{};
    if (hits) count = (*hits)[rule.counter];
    Json one = rule_place(rule);
    one["hits"] = count.packets;
    one["bytes"] = count.bytes;
    one["last_hit_s"] =
        count.last_ns == 0 ? Json() : Json(seconds_between(view.monotonic_ns, count.last_ns));
    one["active"] = view.policy->is_active(rule, view.wall);
    one["not_after"] = rule.not_after ? Json(time_text(*rule.not_after)) : Json();
    Json windows = Json::array();
    for (const TimeWindow& window : rule.when) windows.push_back(window.text);
    one["when"] = std::move(windows);
    rules.push_back(std::move(one));
  }
  return {{"rules", std::move(rules)}};
}

ControlAnswer answer_explain(const AgentView& view, const Json& args) {
  const std::string src = args.value("src", "");
  const std::string dst = args.value("dst", "");
  const std::string proto_text = args.value("proto", "tcp");
  const std::string at = args.value("at", "");
  const auto from = place_of(view.config, src);
  if (!from) {
    std::vector<std::string> names;
    names.reserve(view.config.peers.size());
    for (const PeerConfig& peer : view.config.peers) names.push_back(peer.name);
    const auto meant = nearest(src, names);
    return Fail{invalid("\"" + src + "\" is neither an address nor a peer",
                        meant ? "did you mean \"" + *meant + "\"?" : "sallyport peers")};
  }
  const auto to = place_of(view.config, dst);
  if (!to) {
    return Fail{invalid("\"" + dst + "\" is no ADDRESS, ADDRESS:PORT, [V6]:PORT or peer's name",
                        "for example 10.0.0.2:443")};
  }
  const auto proto = parse_proto(proto_text);
  if (!proto) {
    return Fail{invalid("\"" + proto_text + "\" is no protocol", "tcp, udp, icmp, sctp or 0-255")};
  }
  std::vector<uint8_t> blob = view.policy->blob();
  if (!at.empty()) {
    const auto when = options::parse_time(at);
    if (!when) return Fail{invalid("\"" + at + "\" is no time", "2030-01-31T08:00:00Z")};
    auto then = view.policy->blob_at(*when);
    if (!then) return Fail{ControlRefusal{ExitCode::kFailed, {{}, then.error().text(), {}}, {}}};
    blob = std::move(*then);
  }
  const PacketKey packet{from->address, to->address, *proto, from->port.value_or(0),
                         to->port.value_or(0)};
  const Explanation why =
      explain(blob, view.policy->resolved().rules, view.policy->names(), packet);
  Json out{{"verdict", why.allowed ? "allow" : "deny"},
           {"reason", name_of(why.verdict)},
           {"text", text_of(why.verdict)},
           {"rule", nullptr},
           {"policy_version", view.policy->version()},
           {"from",
            {{"ip", why.from.text()},
             {"peer", text_or_null(why.from_peer)},
             {"user", text_or_null(why.from_user)}}},
           {"to",
            {{"ip", why.to.text()},
             {"lan", text_or_null(why.to_lan)},
             {"peer", text_or_null(why.to_peer)}}}};
  if (why.rule) {
    out["rule"] = {{"id", why.rule->id},
                   {"file", text_or_null(why.rule->where.file)},
                   {"line", why.rule->where.line == 0 ? Json() : Json(why.rule->where.line)}};
  }
  return out;
}

Json drop_json(const AgentView& view, const Drop& drop) {
  const Rule* rule = view.policy->rule_of(drop.rule);
  const auto verdict = static_cast<sp_verdict>(drop.verdict);
  return {{"t", time_text(drop.at)},
          {"reason", name_of(verdict)},
          {"text", text_of(verdict)},
          {"rule", rule == nullptr ? Json() : Json(rule->id)},
          {"policy_version", SP_WORD_GENERATION(drop.word) == view.policy->generation()
                                 ? view.policy->version()
                                 : "generation " + std::to_string(SP_WORD_GENERATION(drop.word))},
          {"peer", text_or_null(view.policy->peer_name(drop.peer))},
          {"user", nullptr},
          {"proto", name_of(drop.packet.proto)},
          {"src", with_port(drop.packet.src, drop.packet.src_port, drop.packet.proto)},
          {"dst", with_port(drop.packet.dst, drop.packet.dst_port, drop.packet.proto)},
          {"count", drop.count}};
}

Json answer_drops(const AgentView& view) {
  Json drops = Json::array();
  for (const Drop& drop : view.drops.newest()) drops.push_back(drop_json(view, drop));
  return {{"drops", std::move(drops)}, {"suppressed", view.drops.suppressed()}};
}

ControlAnswer answer_flows(const AgentView& view, const Json& args) {
  const size_t top = args.value("top", 50U);
  std::vector<std::pair<sp_flow_key, sp_flow>> flows;
  const auto read = view.data_plane->for_each_flow(
      [&](const sp_flow_key& key, const sp_flow& flow) { flows.emplace_back(key, flow); });
  if (!read) return Fail{ControlRefusal{ExitCode::kFailed, {{}, read.error().text(), {}}, {}}};
  const size_t shown = std::min(top, flows.size());
  std::partial_sort(flows.begin(), flows.begin() + static_cast<ptrdiff_t>(shown), flows.end(),
                    [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
  Json out = Json::array();
  for (size_t i = 0; i < shown; ++i)
    out.push_back(flow_json(view, flows[i].first, flows[i].second));
  return Json{{"flows", std::move(out)}, {"total", flows.size()}};
}

Json answer_plan(const std::vector<Operation>& operations) {
  Json out = Json::array();
  for (const Operation& operation : operations) {
    const Description what = describe(operation);
    out.push_back({{"op", what.op}, {"object", what.object}, {"detail", what.detail}});
  }
  return {{"operations", std::move(out)}};
}

Json answer_doctor(const std::vector<Finding>& findings) {
  Json out = Json::array();
  for (const Finding& finding : findings) {
    out.push_back({{"id", finding.id},
                   {"severity", severity_name(finding.severity)},
                   {"text", finding.text},
                   {"fix", finding.fix},
                   {"fixed", finding.fixed}});
  }
  return {{"findings", std::move(out)}};
}

}  // namespace sallyport
