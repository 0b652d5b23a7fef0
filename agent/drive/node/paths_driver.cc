// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/node/paths_driver.h"

#include <algorithm>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/io/clock.h"

namespace sallyport {
namespace {

/// A person who waits for an answer has waited long enough then.
constexpr Duration kPingPatience = kPingTimeout;

double milliseconds(Duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

}  // namespace

PathsDriver::PathsDriver(io::Loop& loop, io::TlsContext tls, const PathsDriverOptions& options,
                         PathsHooks hooks)
    : loop_(loop),
      tls_(std::move(tls)),
      hooks_(std::move(hooks)),
      wg_port_(options.wg_port),
      relay_port_(options.relay_port),
      paths_(random_, options.memory, io::boot_now()),
      wake_(loop,
            [this] {
              armed_.reset();
              run(paths_.on_wake(io::boot_now()));
            }),
      sweep_(loop,
             [this] {
               for (const uint16_t region : std::exchange(full_, {})) {
                 const auto relay = relays_.find(region);
                 if (relay != relays_.end())
                   on_derp_closed(region, relay->second.dial, "the relay does not read");
               }
             }),
      patience_(loop, [this] { give_up_pings(); }) {}

Result<std::unique_ptr<PathsDriver>> PathsDriver::create(io::Loop& loop, PathsDriverOptions options,
                                                         PathsHooks hooks) {
  // A ring that is sandboxed takes no buffers any more, so the first stream comes too late.
  TRY(loop.stream_buffers());
  auto tls = TRY(io::TlsContext::client(options.ca_file));
  std::unique_ptr<PathsDriver> driver(
      new PathsDriver(loop, std::move(tls), options, std::move(hooks)));
  TRY(driver->open(std::move(options)));
  return driver;
}

Result<void> PathsDriver::open(PathsDriverOptions options) {
  resolver_ = TRY(
      Resolver::start(loop_, [this](const std::string& host, const std::vector<IpAddress>& found) {
        on_lookup(host, found);
      }));
  node_socket_ = TRY(NodeSocket::adopt(
      loop_, std::move(options.node_socket),
      {.on_datagram = [this](
                          const UdpArrival& how,
                          ByteView bytes) { run(paths_.on_datagram(how, bytes, io::boot_now())); },
       .on_broken =
           [](const Error& why) {
             log_error("paths.socket_broken why={} then=relays only", quote(why.text()));
           }}));
  relay_socket_ = TRY(
      RelaySocket::adopt(loop_, std::move(options.relay_socket), wg_port_,
                         {.on_parked = [this](const IpAddress& parking,
                                              ByteView packet) { on_parked(parking, packet); },
                          .on_broken =
                              [](const Error& why) {
                                log_error("paths.relay_socket_broken why={} then=direct paths only",
                                          quote(why.text()));
                              }}));
  run({});
  return {};
}

void PathsDriver::set_node_key(const PrivateKey& node_key) {
  run(paths_.on_node_key(node_key, io::boot_now()));
}
void PathsDriver::on_netmap(const Netmap& netmap, const NetmapChanges& changes, bool whole) {
  run(paths_.on_netmap(netmap, changes, whole, io::boot_now()));
}
void PathsDriver::on_control(bool connected) { run(paths_.on_control(connected, io::boot_now())); }
void PathsDriver::on_local_addresses(std::vector<IpAddress> addresses) {
  run(paths_.on_local_addresses(std::move(addresses), wg_port_, io::boot_now()));
}
void PathsDriver::on_configured(std::vector<Endpoint> endpoints) {
  run(paths_.on_configured(std::move(endpoints), io::boot_now()));
}
void PathsDriver::on_network_changed() { run(paths_.on_network_changed(io::boot_now())); }
void PathsDriver::on_observed(const NodeKey& peer, const PathObserved& observed) {
  run(paths_.on_observed(peer, observed, io::boot_now()));
}

std::optional<WireguardEndpoint> PathsDriver::endpoint_of(const NodeKey& peer) const {
  return paths_.endpoint_of(peer, relay_port_);
}

std::optional<Endpoint> PathsDriver::parking_of(const NodeKey& peer) const {
  const auto parking = paths_.parking_of(peer);
  if (!parking) return {};
  return Endpoint{*parking, relay_port_};
}

void PathsDriver::ping(const NodeKey& peer, bool probe_all,
                       std::function<void(const std::optional<PingReply>&)> answer) {
  const Instant now = io::boot_now();
  const bool known = paths_.status(peer).has_value();
  asked_.push_back({peer, known ? now + kPingPatience : now, std::move(answer)});
  patience_.arm(std::ranges::min(asked_, {}, &Asked::until).until);
  run(paths_.ask(peer, probe_all, now));
}

void PathsDriver::give_up_pings() {
  const Instant now = io::boot_now();
  std::vector<Asked> late;
  for (Asked& asked : asked_) {
    if (asked.until <= now) late.push_back(std::move(asked));
  }
  std::erase_if(asked_, [&](const Asked& asked) { return asked.until <= now; });
  if (!asked_.empty()) patience_.arm(std::ranges::min(asked_, {}, &Asked::until).until);
  for (const Asked& asked : late) asked.answer({});
}

void PathsDriver::netcheck(std::function<void(const NetcheckReport&)> answer) {
  netchecks_.push_back(std::move(answer));
  run(paths_.start_netcheck(io::boot_now()));
}

void PathsDriver::run(const PathsActions& actions) {
  for (const PathsAction& action : actions) {
    std::visit([this](const auto& a) { act(a); }, action);
  }
  rearm();
}

void PathsDriver::rearm() {
  const auto next = paths_.next_wake();
  if (next == armed_) return;
  armed_ = next;
  if (next) {
    wake_.arm(*next);
  } else {
    wake_.cancel();
  }
}

void PathsDriver::on_parked(const IpAddress& parking, ByteView packet) {
  const Paths::ToDerp to = paths_.on_parked(parking, packet, io::boot_now());
  if (to.route == DerpRoute::kNow) {
    DerpConnection* const connection = connection_of(to.region);
    // What has no room is lost, as on any path.
    if (connection != nullptr) std::ignore = connection->send_packet(to.peer, packet);
  }
  run(to.actions);
}

void PathsDriver::on_derp_message(uint16_t region, const derp::Message& message) {
  const Paths::FromDerp from = paths_.on_derp_message(region, message, io::boot_now());
  if (from.inject) relay_socket_->inject(*from.inject, std::get<derp::RecvPacket>(message).packet);
  run(from.actions);
}

DerpConnection* PathsDriver::connection_of(uint16_t region) {
  const auto relay = relays_.find(region);
  return relay == relays_.end() ? nullptr : relay->second.connection.get();
}

void PathsDriver::act(const SendDatagram& send) {
  node_socket_.send(send.to, send.from, send.ifindex, send.bytes);
}

void PathsDriver::act(const DialRegion& dial) {
  const uint16_t region = dial.region;
  const uint64_t number = dial.dial;
  Relay& relay = relays_[region];
  relay.dial = number;
  relay.connection = std::make_unique<DerpConnection>(
      loop_, tls_, dial.node,
      DerpConnectionHooks{
          .on_connected =
              [this, region, number] {
                run(paths_.on_derp_connected(region, number, io::boot_now()));
              },
          .on_message =
              [this, region](const derp::Message& message) { on_derp_message(region, message); },
          .on_closed = [this, region,
                        number](const std::string& why) { on_derp_closed(region, number, why); }},
      dial.ideal_node);
  relay.waits_for_name = !relay.connection->connect();
  if (relay.waits_for_name) resolver_->look_up(relay.connection->host());
}

void PathsDriver::on_derp_closed(uint16_t region, uint64_t dial, const std::string& why) {
  act(CloseRegion{region, dial});
  run(paths_.on_derp_closed(region, dial, why, io::boot_now()));
}

void PathsDriver::act(const SendFrame& send) {
  DerpConnection* const connection = connection_of(send.region);
  if (connection == nullptr || connection->send(send.frame)) return;
  full_.push_back(send.region);
  sweep_.arm(io::boot_now());
}

void PathsDriver::act(const CloseRegion& close) {
  const auto relay = relays_.find(close.region);
  if (relay != relays_.end() && relay->second.dial == close.dial) relays_.erase(relay);
}

void PathsDriver::act(const SendPacketBy& send) {
  DerpConnection* const connection = connection_of(send.region);
  if (connection != nullptr) std::ignore = connection->send_packet(send.peer, send.packet);
}

void PathsDriver::act(const StepKernel& step) {
  if (hooks_.on_kernel_steps) hooks_.on_kernel_steps(step.peer, step.steps);
}

void PathsDriver::act(const Observe& observe) {
  if (hooks_.want_observed) hooks_.want_observed(observe.peers);
}

void PathsDriver::act(const ProbeRegion& probe) {
  const uint16_t region = probe.region;
  Probe& entry = probes_[region];
  entry.probe = std::make_unique<HttpsProbe>(
      loop_, tls_, probe.node, [this, region](std::optional<Duration> latency) {
        probes_.erase(region);
        run(paths_.on_https(region, latency, io::boot_now()));
      });
  entry.waits_for_name = !entry.probe->connect();
  if (entry.waits_for_name) resolver_->look_up(entry.probe->host());
}

void PathsDriver::act(const FindAddress& find) { resolver_->look_up(find.host); }

void PathsDriver::on_lookup(const std::string& host, const std::vector<IpAddress>& found) {
  for (auto& [region, relay] : relays_) {
    if (!relay.waits_for_name || relay.connection->host() != host) continue;
    relay.waits_for_name = false;
    relay.connection->connect_to(found);
  }
  for (auto& [region, probe] : probes_) {
    if (!probe.waits_for_name || probe.probe->host() != host) continue;
    probe.waits_for_name = false;
    probe.probe->connect_to(found);
  }
  run(paths_.on_lookup(host, found, io::boot_now()));
}

void PathsDriver::act(const AnnounceEndpoints& announce) {
  if (!hooks_.on_endpoints) return;
  std::vector<Endpoint> endpoints;
  std::vector<tailcfg::EndpointType> types;
  for (const OwnEndpoint& own : announce.endpoints) {
    endpoints.push_back(own.endpoint);
    types.push_back(static_cast<tailcfg::EndpointType>(own.kind));
  }
  hooks_.on_endpoints(endpoints, types);
}

void PathsDriver::act(const AnnounceNetwork& announce) {
  log_info("network.is home={} udp={} ipv6={}", announce.info.preferred_derp,
           announce.info.working_udp.value_or(false), announce.info.working_ipv6.value_or(false));
  if (hooks_.on_home) hooks_.on_home(announce.info.preferred_derp, announce.info);
}

void PathsDriver::act(const NetcheckDone& done) {
  probes_.clear();  // whoever has not answered yet is late
  for (const auto& answer : std::exchange(netchecks_, {})) answer(done.report);
}

void PathsDriver::act(const StatusChanged& changed) {
  const PathStatus& status = changed.status;
  log_debug("path.is peer={} state={} kind={} endpoint={} region={} rtt_ms={:.1f} doubt={}",
            short_text(changed.peer), name_of(status.state), name_of(status.kind),
            status.endpoint ? status.endpoint->text() : "-", status.region,
            milliseconds(status.rtt), changed.doubt ? name_of(*changed.doubt) : "-");
  if (hooks_.on_status_changed) hooks_.on_status_changed(changed.peer, status);
}

void PathsDriver::act(const PeerAnswered& answered) {
  PingReply reply;
  reply.rtt = answered.rtt;
  if (const auto* udp = std::get_if<UdpArrival>(&answered.from)) {
    reply.endpoint = udp->from;
  } else {
    reply.region = std::get<DerpRegionId>(answered.from).id;
  }
  std::vector<Asked> waited;
  for (Asked& asked : asked_) {
    if (asked.peer == answered.peer) waited.push_back(std::move(asked));
  }
  std::erase_if(asked_, [&](const Asked& asked) { return asked.peer == answered.peer; });
  for (const Asked& asked : waited) asked.answer(reply);
}

void PathsDriver::act(const PathsNote& note) {
  switch (note.event) {
    case PathsEvent::kDerpUp:
      log_info("{} region={}", name_of(note.event), note.region);
      break;
    case PathsEvent::kDerpDown:
    case PathsEvent::kDerpComplains:
      log_warning("{} region={} why={} then=retry", name_of(note.event), note.region,
                  quote(note.text));
      break;
    case PathsEvent::kDiscoOnly:
      log_warning("{} peer={} endpoint={} then=by relay; does a firewall drop WireGuard?",
                  name_of(note.event), short_text(note.peer), note.text);
      break;
    case PathsEvent::kNoFreeParking:
      log_error("{} peer={} then=the peer is left out", name_of(note.event), short_text(note.peer));
      break;
  }
}

void PathsDriver::act(const SaveMemory&) {
  if (!hooks_.save_memory) return;
  if (const auto saved = hooks_.save_memory(paths_.memory()); !saved) {
    log_warning("paths.not_saved why={} then=a restart begins anew", quote(saved.error().text()));
  }
}

}  // namespace sallyport
