// SPDX-License-Identifier: BSD-3-Clause
#include "tests/sim/end.h"

namespace sallyport::sim {

using namespace std::chrono_literals;

namespace {

PrivateKey private_of(uint8_t name, uint8_t use) {
  std::array<uint8_t, 32> raw{};
  raw.fill(name);
  raw[1] = use;
  return clamped(raw);
}

}  // namespace

PrivateKey node_private(uint8_t name) { return private_of(name, 1); }
PrivateKey disco_private(uint8_t name) { return private_of(name, 2); }

// Thousands of runs use the same few.
NodeKey node_public(uint8_t name) {
  static std::map<uint8_t, NodeKey> made;
  const auto [entry, is_new] = made.try_emplace(name);
  if (is_new) entry->second = node_private(name).public_key();
  return entry->second;
}
DiscoKey disco_public(uint8_t name) {
  static std::map<uint8_t, DiscoKey> made;
  const auto [entry, is_new] = made.try_emplace(name);
  if (is_new) entry->second.bytes = disco_private(name).public_key().bytes;
  return entry->second;
}

End::End(Net& in, Host& at, uint8_t name, uint16_t home_region)
    : net(in), host(at), home(home_region), random_(in), own_(random_) {
  key_ = node_public(name);
  disco_ = disco_public(name);
  host.on_datagram = [this](const Datagram& datagram) {
    if (const auto* stun = std::get_if<StunResponse>(&datagram.payload)) {
      act(own_.on_stun({{stun->seen}, false}, net.clock.now()));
    } else {
      on_udp(datagram);
    }
  };
  host.on_derp = [this](const NodeKey&, uint16_t region, const Payload& payload) {
    on_relayed(region, payload);
  };
}

void End::start() {
  act(own_.on_local({host.local().address}, host.local().port, net.clock.now()));
}

void End::talk(Duration every, Duration length) {
  if (length <= 0s) return;
  send_data();
  net.clock.after(every, [this, every, length] { talk(every, length - every); });
}

PathPeer End::as_peer() const {
  PathPeer out;
  out.node_key = key_;
  out.disco_key = disco_;
  out.home_region = home;
  out.endpoints = announced_;
  return out;
}

void End::call(const NodeKey& peer, uint16_t region) {
  call_region_ = region;
  act(own_.call_me_maybe(peer, net.clock.now()));
}

void End::act(const EndpointActions& actions) {
  for (const EndpointAction& action : actions) {
    if (const auto* announce = std::get_if<AnnounceEndpoints>(&action)) {
      announced_.clear();
      for (const OwnEndpoint& own : announce->endpoints) announced_.push_back(own.endpoint);
      if (on_endpoints) on_endpoints();
    } else if (std::holds_alternative<RunStun>(action)) {
      host.send(net.stun_server(), StunRequest{});
      wake_endpoints();
    } else if (const auto* peers = std::get_if<CallPeers>(&action)) {
      for (const NodeKey& peer : peers->peers)
        host.send_derp(call_region_, peer, DiscoCall{disco_, peers->endpoints});
    }
  }
}

void End::wake_endpoints() {
  const auto next = own_.next_wake();
  if (!next) return;
  net.clock.at(*next, [this, when = *next] {
    if (own_.next_wake() == when) {
      act(own_.on_wake(net.clock.now()));
      wake_endpoints();
    }
  });
}

bool End::take(const WireguardPacket& packet) {
  if (!window_.insert(packet.number).second) return false;
  if (!packet.keepalive) received.push_back(net.clock.now());
  return true;
}

WireguardPacket End::next_packet(bool keepalive) {
  if (!keepalive) ++sent;
  return {key_, number_++, keepalive};
}

void KernelPeer::apply(const std::vector<KernelStep>& steps) {
  for (const KernelStep& step : steps) {
    if (const auto* pin = std::get_if<SetPin>(&step)) pin_ = pin->path;
    if (std::holds_alternative<ClearPin>(step)) pin_.reset();
    if (const auto* reverse = std::get_if<SetReverse>(&step)) reversed_.insert(reverse->from);
    if (const auto* reverse = std::get_if<ClearReverse>(&step)) reversed_.erase(reverse->from);
    if (const auto* point = std::get_if<PointAt>(&step)) {
      endpoint_ = point->endpoint;
      if (point->again) keepalive_s_ = 0;
      const uint16_t keepalive = endpoint_ ? kDirectKeepaliveS : uint16_t{0};
      kick_ = keepalive_s_ == 0 && keepalive != 0;
      keepalive_s_ = keepalive;
    }
  }
}

void KernelPeer::roam_direct(const Endpoint& from) {
  if (reversed_.contains(from)) return roam_relayed();
  endpoint_ = from;
}

void KernelPeer::roam_relayed() {
  endpoint_.reset();
  if (pin_) endpoint_ = pin_->peer;
}

OurEnd::OurEnd(Net& in, Host& at, uint8_t name, uint16_t home_region)
    : End(in, at, name, home_region), path_(random_) {}

void OurEnd::know(const PathPeer& other) {
  other_ = other;
  run(path_.on_peer(other, net.clock.now()));
}

void OurEnd::send_data() {
  observed_.last_tx = net.clock.now();
  output(next_packet());
}

void OurEnd::output(const WireguardPacket& packet) {
  const auto endpoint = kernel_.endpoint();
  if (endpoint) {
    host.send(*endpoint, packet);
    if (duplicating_) host.send_derp(path_.relay_region(), other_->node_key, packet);
    return;
  }
  run(path_.on_parked(net.clock.now()));
  host.send_derp(path_.relay_region(), other_->node_key, packet);
}

void OurEnd::on_udp(const Datagram& datagram) {
  const Instant now = net.clock.now();
  const UdpArrival arrival{datagram.from, datagram.to.address, 2};
  if (const auto* ping = std::get_if<DiscoPing>(&datagram.payload)) {
    run(path_.on_ping(ping->tx, arrival, now));
  } else if (const auto* pong = std::get_if<DiscoPong>(&datagram.payload)) {
    act(own_.on_seen(pong->seen, datagram.from, now));
    run(path_.on_pong(pong->tx, arrival, now));
  } else if (const auto* packet = std::get_if<WireguardPacket>(&datagram.payload)) {
    if (!packet->keepalive && path_.endpoint() == datagram.from) ++observed_.wire_rx;
    if (input_drops_wireguard || !take(*packet)) return;
    if (!packet->keepalive) observed_.last_rx = now;
    kernel_.roam_direct(datagram.from);
  }
}

void OurEnd::on_relayed(uint16_t region, const Payload& payload) {
  const Instant now = net.clock.now();
  if (const auto* ping = std::get_if<DiscoPing>(&payload)) {
    run(path_.on_ping(ping->tx, DerpRegionId{region}, now));
  } else if (const auto* pong = std::get_if<DiscoPong>(&payload)) {
    run(path_.on_pong(pong->tx, DerpRegionId{region}, now));
  } else if (const auto* asked = std::get_if<DiscoCall>(&payload)) {
    run(path_.on_call_me_maybe(asked->endpoints, now));
  } else if (const auto* packet = std::get_if<WireguardPacket>(&payload)) {
    run(path_.on_derp_packet(region, now));
    if (!take(*packet)) return;
    if (!packet->keepalive) observed_.last_rx = now;
    kernel_.roam_relayed();
  }
}

void OurEnd::run(const PathActions& actions) {
  for (const PathAction& action : actions) {
    if (const auto* ping = std::get_if<SendPing>(&action)) {
      if (const auto* to = std::get_if<Endpoint>(&ping->to)) {
        host.send(*to, DiscoPing{disco_, ping->tx});
      } else {
        host.send_derp(std::get<DerpRegionId>(ping->to).id, other_->node_key,
                       DiscoPing{disco_, ping->tx});
      }
    } else if (const auto* pong = std::get_if<SendPong>(&action)) {
      if (const auto* to = std::get_if<UdpArrival>(&pong->to)) {
        host.send(to->from, DiscoPong{disco_, pong->tx, to->from});
      } else {
        host.send_derp(std::get<DerpRegionId>(pong->to).id, other_->node_key,
                       DiscoPong{disco_, pong->tx, {}});
      }
    } else if (const auto* asks = std::get_if<SendCallMeMaybe>(&action)) {
      call(other_->node_key, asks->region);
    } else if (const auto* set = std::get_if<SetKernelPath>(&action)) {
      kernel_.apply(set->steps);
      if (kernel_.take_kick()) host.send(*kernel_.endpoint(), next_packet(true));
    } else if (const auto* both = std::get_if<Duplicate>(&action)) {
      duplicating_ = both->on;
    } else if (std::holds_alternative<DiscoOnly>(action)) {
      ++disco_only;
    }
  }
  act(own_.on_active(path_.state() != PathState::kIdle, net.clock.now()));
  wake();
}

void OurEnd::wake() {
  const auto next = path_.next_wake();
  if (!next || waking_ == next) return;
  waking_ = next;
  net.clock.at(*next, [this, when = *next] {
    if (path_.next_wake() != when) return;
    waking_.reset();
    run(path_.on_wake(observed_, net.clock.now()));
  });
}

void OurEnd::on_network_changed() {
  act(own_.on_local({host.local().address}, host.local().port, net.clock.now()));
  run(path_.on_network_changed(net.clock.now()));
}

}  // namespace sallyport::sim
