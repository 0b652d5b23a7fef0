// SPDX-License-Identifier: BSD-3-Clause
// Our own network: where we are seen, which relays there are, and which one is home.
#include <algorithm>
#include <array>
#include <utility>

#include "agent/base/overloaded.h"
#include "agent/node/paths.h"

namespace sallyport {

namespace {

/// What the control server is told of anew; latencies alone would be told every half minute.
/// Source: tailcfg NetInfo.BasicallyEqual.
NetInfo what_matters(NetInfo info) {
  info.derp_latency_s.clear();
  return info;
}

bool is_global_v6(const IpAddress& address) {
  return !address.is_v4() && !is_link_local_v6(address) && address != *IpAddress::parse("::1");
}

const DerpNode* first_relay(const DerpRegion& region) {
  const auto node = std::ranges::find(region.nodes, false, &DerpNode::stun_only);
  return node == region.nodes.end() ? nullptr : &*node;
}

}  // namespace

void Paths::open_pool(Instant now, PathsActions& out) {
  pool_.emplace(random_, *node_private_);
  act(pool_->on_map(map_, now), now, out);
  const uint16_t home = netcheck_.home().home();
  if (home == 0) return;
  // From before a restart: the next report may find another.
  act(pool_->set_home(home, now), now, out);
  if (announced_) return;
  announced_.emplace().preferred_derp = home;
  out.push_back(AnnounceNetwork{*announced_});
}

PathsActions Paths::on_derp_map(const DerpMap& map, Instant now) {
  PathsActions out;
  if (map == map_) return out;
  map_ = map;
  if (pool_) act(pool_->on_map(map_, now), now, out);
  want_netcheck(now, out);
  return out;
}

PathsActions Paths::on_control(bool connected, Instant) {
  control_ = connected;
  return {};
}

PathsActions Paths::on_local_addresses(std::vector<IpAddress> addresses, uint16_t wg_port,
                                       Instant now) {
  PathsActions out;
  has_v6_ = std::ranges::any_of(addresses, is_global_v6);
  EndpointActions actions = own_.on_local(std::move(addresses), wg_port, now);
  if (!actions.empty()) netcheck_.on_network_changed();
  act(std::move(actions), now, out);
  return out;
}

PathsActions Paths::on_configured(std::vector<Endpoint> endpoints, Instant now) {
  PathsActions out;
  act(own_.on_configured(std::move(endpoints), now), now, out);
  return out;
}

PathsActions Paths::on_network_changed(Instant now) {
  PathsActions out;
  netcheck_.on_network_changed();
  if (pool_) act(pool_->on_network_changed(now), now, out);
  table_.each([&](PeerEntry& entry) { run(entry, entry.path.on_network_changed(now), now, out); });
  want_netcheck(now, out);
  return out;
}

PathsActions Paths::start_netcheck(Instant now) {
  PathsActions out;
  want_netcheck(now, out);
  return out;
}

void Paths::want_netcheck(Instant now, PathsActions& out) {
  if (netcheck_.running()) return;  // its end serves
  for (std::string& host : names_.due(map_, has_v6_, now))
    out.push_back(FindAddress{std::move(host)});
  if (!names_.waiting()) return begin_netcheck(now, out);
  if (!netcheck_by_) netcheck_by_ = now + kNamesPatience;
}

void Paths::begin_netcheck(Instant now, PathsActions& out) {
  netcheck_by_.reset();
  if (!map_.regions.empty()) return act(netcheck_.start(map_, has_v6_, control_, now), now, out);
  // Nobody to ask. Home, known from before a restart, stays.
  NetcheckReport report;
  report.began = now;
  report.os_has_v6 = has_v6_;
  report.home = netcheck_.home().home();
  out.push_back(NetcheckDone{std::move(report)});
  act(own_.on_stun({}, now), now, out);
}

void Paths::recheck(Instant now, PathsActions& out) {
  if (recheck_not_before_ && now < *recheck_not_before_) return;
  recheck_not_before_ = now + kRecheckGap;
  want_netcheck(now, out);
}

PathsActions Paths::on_lookup(const std::string& host, const std::vector<IpAddress>& found,
                              Instant now) {
  PathsActions out;
  names_.on_lookup(host, found);
  if (netcheck_by_ && !names_.waiting()) begin_netcheck(now, out);
  return out;
}

PathsActions Paths::on_https(uint16_t region, std::optional<Duration> latency, Instant now) {
  PathsActions out;
  act(netcheck_.on_https(region, latency, now), now, out);
  return out;
}

void Paths::act(NetcheckActions actions, Instant now, PathsActions& out) {
  for (NetcheckAction& action : actions) {
    if (const auto* probe = std::get_if<SendStun>(&action)) {
      const auto region = map_.regions.find(probe->region);
      if (region == map_.regions.end() || probe->node >= region->second.nodes.size()) continue;
      const auto server = names_.stun_server(region->second.nodes[probe->node], probe->family);
      if (!server) continue;
      const auto request = stun::write_request(probe->tx);
      out.push_back(SendDatagram{*server, {}, 0, Bytes(request.begin(), request.end())});
    } else if (const auto* https = std::get_if<ProbeHttps>(&action)) {
      const auto region = map_.regions.find(https->region);
      const DerpNode* const node =
          region == map_.regions.end() ? nullptr : first_relay(region->second);
      if (node != nullptr) out.push_back(ProbeRegion{https->region, *node});
    } else if (auto* done = std::get_if<NetcheckDone>(&action)) {
      const NetcheckReport report = done->report;
      out.push_back(std::move(*done));
      on_report(report, now, out);
    }
  }
}

void Paths::on_report(const NetcheckReport& report, Instant now, PathsActions& out) {
  if (pool_ && pool_->home() != report.home) {
    save_soon(now);
    act(pool_->set_home(report.home, now), now, out);
  }
  NetInfo info = net_info(report);
  if (!announced_ || what_matters(*announced_) != what_matters(info)) {
    announced_ = info;
    out.push_back(AnnounceNetwork{std::move(info)});
  }
  act(own_.on_stun({report.seen, report.mapping_varies.value_or(false)}, now), now, out);
}

void Paths::act(EndpointActions actions, Instant now, PathsActions& out) {
  for (EndpointAction& action : actions) {
    if (auto* announce = std::get_if<AnnounceEndpoints>(&action)) {
      out.push_back(std::move(*announce));
    } else if (std::holds_alternative<RunStun>(action)) {
      want_netcheck(now, out);
    } else if (const auto* call = std::get_if<CallPeers>(&action)) {
      std::array<uint8_t, kMaxCandidates * kWireEndpoint> buffer{};
      const disco::CallMeMaybe message{EndpointList(call->endpoints, buffer)};
      for (const NodeKey& key : call->peers) {
        const PeerEntry* const peer = table_.find(key);
        if (peer != nullptr) send(*peer, DerpRegionId{peer->call_region}, message, now, out);
      }
    }
  }
}

void Paths::act(PoolActions actions, Instant now, PathsActions& out) {
  for (PoolAction& action : actions) {
    if (auto* of_region = std::get_if<RegionAction>(&action)) {
      act(of_region->region, of_region->action, now, out);
    } else {
      auto& held = std::get<SendHeld>(action);
      out.push_back(SendPacketBy{held.region, held.peer, std::move(held.packet)});
    }
  }
}

void Paths::act(uint16_t region, DerpAction& action, Instant now, PathsActions& out) {
  std::visit(Overloaded{
                 [&](const DialDerp& dial) {
                   const DerpSession* const session = pool_->session(region);
                   if (session == nullptr || dial.node >= session->region().nodes.size()) return;
                   const std::vector<DerpNode>& nodes = session->region().nodes;
                   out.push_back(DialRegion{region, dial.dial, nodes[dial.node],
                                            dial.node == 0 ? "" : nodes.front().name});
                 },
                 [&](SendDerp& send) { out.push_back(SendFrame{region, std::move(send.frame)}); },
                 [&](const CloseDerp& close) { out.push_back(CloseRegion{region, close.dial}); },
                 [&](const DerpUp&) {
                   netcheck_.home().on_frame(region, now);
                   out.push_back(PathsNote{PathsEvent::kDerpUp, region, {}, {}});
                 },
                 [&](DerpDown& down) {
                   out.push_back(PathsNote{PathsEvent::kDerpDown, region, {}, std::move(down.why)});
                   if (map_.regions.contains(region)) recheck(now, out);
                 },
                 [&](DerpHealth& health) {
                   out.push_back(PathsNote{
                       PathsEvent::kDerpComplains, region, {}, std::move(health.problem)});
                 },
                 [&](const DerpPeerGone& gone) {
                   if (PeerEntry* const peer = table_.find(gone.peer))
                     peer->path.on_peer_gone(region);
                 },
             },
             action);
}

PathsActions Paths::on_derp_connected(uint16_t region, uint64_t dial, Instant now) {
  PathsActions out;
  if (pool_) act(pool_->on_connected(region, dial, now), now, out);
  return out;
}

PathsActions Paths::on_derp_closed(uint16_t region, uint64_t dial, std::string_view why,
                                   Instant now) {
  PathsActions out;
  if (pool_) act(pool_->on_closed(region, dial, why, now), now, out);
  return out;
}

std::vector<RegionStatus> Paths::regions() const {
  std::vector<RegionStatus> out;
  out.reserve(map_.regions.size());
  for (const auto& [id, region] : map_.regions) {
    RegionStatus status;
    status.id = id;
    status.code = region.code;
    status.name = region.name;
    status.home = id == home();
    if (const DerpSession* const session = pool_ ? pool_->session(id) : nullptr) {
      status.state = session->state();
      status.problem = session->problem();
    }
    if (netcheck_.last()) {
      const auto latency = netcheck_.last()->latency.find(id);
      if (latency != netcheck_.last()->latency.end()) status.latency = latency->second;
    }
    out.push_back(std::move(status));
  }
  return out;
}

}  // namespace sallyport
