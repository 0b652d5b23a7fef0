// SPDX-License-Identifier: BSD-3-Clause
#include "tests/sim/whole_end.h"

#include "agent/base/overloaded.h"

namespace sallyport::sim {

using namespace std::chrono_literals;

namespace {

/// A round trip to the relay for each of TCP, TLS and the login.
constexpr Duration kRelayDial = 40ms;
/// The agent's answer.
constexpr Duration kObserved = 1ms;
constexpr uint32_t kIfindex = 2;

Bytes write_packet(const WireguardPacket& packet) {
  ByteWriter out;
  out.u32(0x04000000);
  out.u64(packet.number);
  out.u8(packet.keepalive ? 1 : 0);
  Bytes bytes = std::move(out).finish();
  bytes.resize(48);
  return bytes;
}

WireguardPacket read_packet(const NodeKey& from, ByteView bytes) {
  ByteReader in(bytes);
  in.u32();
  WireguardPacket out{from, in.u64(), false};
  out.keepalive = in.u8() == 1;
  return out;
}

}  // namespace

WholeEnd::WholeEnd(Net& in, Host& at, uint8_t name, uint16_t home_region, uint8_t other)
    : End(in, at, name, home_region),
      paths_(random_, write_paths_memory({disco_private(name), 0, {}}), in.clock.now()),
      other_disco_(disco_private(other)),
      box_(*BoxKey::between(other_disco_, disco_public(name).bytes)) {
  host.on_datagram = [this](const Datagram& datagram) {
    if (const auto* stun = std::get_if<StunResponse>(&datagram.payload)) {
      on_stun(*stun);
    } else {
      on_udp(datagram);
    }
  };
  host.on_derp_down = [this](uint16_t region) {
    if (region == home) run(paths_.on_derp_closed(region, dial_, "gone", net.clock.now()));
  };
  run(paths_.on_node_key(node_private(name), net.clock.now()));
}

void WholeEnd::start() {
  DerpMap map;
  map.regions[home].id = home;
  DerpNode& node = map.regions[home].nodes.emplace_back();
  node.ipv4 = net.stun_server().address.text();
  node.stun_port = net.stun_server().port;
  const Instant now = net.clock.now();
  run(paths_.on_control(true, now));
  run(paths_.on_derp_map(map, now));
  run(paths_.on_local_addresses({host.local().address}, host.local().port, now));
}

void WholeEnd::know(const PathPeer& other) {
  other_ = other;
  run(paths_.on_peer(other, net.clock.now()));
}

void WholeEnd::on_network_changed() {
  const Instant now = net.clock.now();
  run(paths_.on_local_addresses({host.local().address}, host.local().port, now));
  run(paths_.on_network_changed(now));
}

void WholeEnd::send_data() {
  observed_.last_tx = net.clock.now();
  output(next_packet());
}

void WholeEnd::output(const WireguardPacket& packet) {
  if (const auto endpoint = kernel_.endpoint()) return host.send(*endpoint, packet);
  const auto parking = paths_.parking_of(other_->node_key);
  Paths::ToDerp to = paths_.on_parked(*parking, write_packet(packet), net.clock.now());
  if (to.route == DerpRoute::kNow) host.send_derp(to.region, to.peer, packet);
  run(std::move(to.actions));
}

void WholeEnd::input(const WireguardPacket& packet) {
  if (take(packet) && !packet.keepalive) observed_.last_rx = net.clock.now();
}

Bytes WholeEnd::seal(const disco::Message& message) const {
  Bytes out(1024);
  out.resize(disco::seal(box_, other_->disco_key, BoxNonce{1}, message, out).size());
  return out;
}

std::optional<Payload> WholeEnd::opened(ByteView datagram) {
  const auto envelope = disco::parse_envelope(datagram);
  if (!envelope) return {};
  plain_.assign(datagram.size(), 0);
  const auto plain = disco::open(box_, *envelope, plain_);
  if (!plain) return {};
  const auto message = disco::parse(*plain);
  if (!message) return {};
  if (const auto* ping = std::get_if<disco::Ping>(&*message)) return DiscoPing{disco_, ping->tx};
  if (const auto* pong = std::get_if<disco::Pong>(&*message))
    return DiscoPong{disco_, pong->tx, pong->seen};
  const auto* call = std::get_if<disco::CallMeMaybe>(&*message);
  if (call == nullptr) return {};
  DiscoCall out{disco_, {}};
  for (size_t i = 0; i < call->endpoints.size(); ++i) out.endpoints.push_back(call->endpoints[i]);
  return out;
}

void WholeEnd::on_stun(const StunResponse& response) {
  Bytes bytes(stun::kMaxResponse);
  bytes.resize(stun::write_response(response.tx, response.seen, bytes).size());
  const UdpArrival arrival{net.stun_server(), host.local().address, kIfindex};
  run(paths_.on_datagram(arrival, bytes, net.clock.now()));
}

void WholeEnd::on_udp(const Datagram& datagram) {
  const Instant now = net.clock.now();
  const UdpArrival arrival{datagram.from, datagram.to.address, kIfindex};
  if (const auto* ping = std::get_if<DiscoPing>(&datagram.payload)) {
    run(paths_.on_datagram(arrival, seal(disco::Ping{ping->tx, other_->node_key, 0}), now));
  } else if (const auto* pong = std::get_if<DiscoPong>(&datagram.payload)) {
    run(paths_.on_datagram(arrival, seal(disco::Pong{pong->tx, pong->seen}), now));
  } else if (const auto* packet = std::get_if<WireguardPacket>(&datagram.payload)) {
    const auto status = paths_.status(other_->node_key);
    if (!packet->keepalive && status && status->endpoint == datagram.from) ++observed_.wire_rx;
    input(*packet);
    kernel_.roam_direct(datagram.from);
  }
}

void WholeEnd::on_relayed(uint16_t region, const Payload& payload) {
  const Instant now = net.clock.now();
  Bytes bytes;
  const auto* const packet = std::get_if<WireguardPacket>(&payload);
  if (packet != nullptr) {
    bytes = write_packet(*packet);
  } else if (const auto* ping = std::get_if<DiscoPing>(&payload)) {
    bytes = seal(disco::Ping{ping->tx, other_->node_key, 0});
  } else if (const auto* pong = std::get_if<DiscoPong>(&payload)) {
    bytes = seal(disco::Pong{pong->tx, pong->seen});
  } else if (const auto* call = std::get_if<DiscoCall>(&payload)) {
    Bytes list(call->endpoints.size() * kWireEndpoint);
    bytes = seal(disco::CallMeMaybe{EndpointList(call->endpoints, list)});
  }
  Paths::FromDerp from =
      paths_.on_derp_message(region, derp::RecvPacket{other_->node_key, bytes}, now);
  if (from.inject && packet != nullptr) {
    input(*packet);
    kernel_.roam_relayed();
  }
  run(std::move(from.actions));
}

void WholeEnd::run(PathsActions actions) {
  for (PathsAction& action : actions) {
    std::visit(
        Overloaded{
            [&](const SendDatagram& send) { act(send); },
            [&](const SendPacketBy& send) { act(send); },
            [&](const DialRegion& dial) { act(dial); }, [&](const SendFrame& send) { act(send); },
            [&](const StepKernel& step) { act(step); },
            [&](const Observe& observe) { act(observe); },
            [&](const AnnounceEndpoints& announce) {
              announced_.clear();
              for (const OwnEndpoint& own : announce.endpoints) announced_.push_back(own.endpoint);
              if (on_endpoints) on_endpoints();
            },
            [](const auto&) {},  // for people and servers that are not simulated
        },
        action);
  }
  wake();
}

void WholeEnd::act(const SendDatagram& send) {
  if (const auto tx = stun::parse_request(send.bytes)) return host.send(send.to, StunRequest{*tx});
  const auto payload = opened(send.bytes);
  ASSERT_TRUE(payload) << "not for the other end";
  host.send(send.to, *payload);
}

void WholeEnd::act(const SendPacketBy& send) {
  if (wireguard_type(send.packet))
    return host.send_derp(send.region, send.peer, read_packet(key_, send.packet));
  const auto payload = opened(send.packet);
  ASSERT_TRUE(payload) << "not for the other end";
  host.send_derp(send.region, send.peer, *payload);
}

void WholeEnd::act(const DialRegion& dial) {
  dial_ = dial.dial;
  net.clock.after(kRelayDial, [this, region = dial.region, number = dial.dial] {
    const Instant now = net.clock.now();
    if (!net.is_derp_up(region)) return run(paths_.on_derp_closed(region, number, "refused", now));
    run(paths_.on_derp_connected(region, number, now));
    run(paths_.on_derp_message(region, server_.hello(), now).actions);
  });
}

void WholeEnd::act(const SendFrame& send) {
  const derp::Message message = parsed(send.frame);
  const Instant now = net.clock.now();
  const auto answer = [&](const derp::Message& said) {
    net.clock.after(kRelayDial / 4, [this, region = send.region, said] {
      if (net.is_derp_up(region))
        run(paths_.on_derp_message(region, said, net.clock.now()).actions);
    });
  };
  if (std::holds_alternative<derp::ClientInfoBox>(message)) {
    // Borrows from the server, so at once.
    const derp::Message info = server_.answer(send.frame);
    run(paths_.on_derp_message(send.region, info, now).actions);
  } else if (const auto* ping = std::get_if<derp::Ping>(&message)) {
    answer(derp::Pong{ping->data});
  }
}

void WholeEnd::act(const StepKernel& step) {
  kernel_.apply(step.steps);
  if (kernel_.take_kick()) host.send(*kernel_.endpoint(), next_packet(true));
}

void WholeEnd::act(const Observe& observe) {
  net.clock.after(kObserved, [this, peers = observe.peers] {
    for (const NodeKey& peer : peers) run(paths_.on_observed(peer, observed_, net.clock.now()));
  });
}

void WholeEnd::wake() {
  const auto next = paths_.next_wake();
  if (!next || waking_ == next) return;
  waking_ = next;
  net.clock.at(*next, [this, when = *next] {
    if (waking_ != when) return;
    waking_.reset();
    run(paths_.on_wake(net.clock.now()));
  });
}

}  // namespace sallyport::sim
