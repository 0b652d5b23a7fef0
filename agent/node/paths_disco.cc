// SPDX-License-Identifier: BSD-3-Clause
// What strangers send: disco by UDP and by DERP, STUN's answers, relayed packets.
#include <algorithm>
#include <array>
#include <utility>

#include "agent/base/overloaded.h"
#include "agent/node/paths.h"
#include "agent/wire/datagram_kind.h"

namespace sallyport {

namespace {

/// Above what a peer pads its pings to in order to measure a path of large frames.
constexpr size_t kMaxDisco = 9216;
/// What a pong by DERP names as seen: a marker, its port the region. Source: tailcfg DerpMagicIP.
const IpAddress kDerpMarker = IpAddress::v4(0x7f030328);

}  // namespace

PathsActions Paths::on_datagram(const UdpArrival& arrival, ByteView datagram, Instant now) {
  PathsActions out;
  switch (datagram_kind(datagram)) {
    case DatagramKind::kStun: {
      const auto response = stun::parse_response(datagram);
      if (!response) {
        ++counters_.other_in;
        break;
      }
      ++counters_.stun_in;
      act(netcheck_.on_stun(response->tx, response->seen, now), now, out);
      break;
    }
    case DatagramKind::kDisco:
      on_disco(datagram, arrival, nullptr, now, out);
      break;
    case DatagramKind::kRelayedDisco:
    case DatagramKind::kRelayedWireGuard:
    case DatagramKind::kWireGuard:
      ++counters_.other_in;
      break;
  }
  return out;
}

const BoxKey* Paths::box_of(DiscoEntry& entry, const DiscoKey& key) const {
  if (!entry.box && !entry.no_box) {
    entry.box = BoxKey::between(disco_private_, key.bytes);
    entry.no_box = !entry.box;
  }
  return entry.box ? &*entry.box : nullptr;
}

void Paths::on_disco(ByteView datagram, const DiscoSource& from, PeerEntry* relayed, Instant now,
                     PathsActions& out) {
  const auto envelope = disco::parse_envelope(datagram);
  if (!envelope || !node_private_) return;
  DiscoEntry* const by = table_.find_disco(envelope->sender);
  if (by == nullptr) {
    ++counters_.disco_unknown;
    return;
  }
  if (relayed != nullptr && relayed->peer.disco_key != envelope->sender) {
    ++counters_.disco_misplaced;
    return;
  }
  const BoxKey* const box = box_of(*by, envelope->sender);
  std::array<uint8_t, kMaxDisco> plain;  // NOLINT(*-member-init): open() fills what is read
  const auto opened = box == nullptr ? std::nullopt : disco::open(*box, *envelope, plain);
  if (!opened) {
    ++counters_.disco_unopened;
    return;
  }
  // Only now: whoever knows a peer's key could spend its allowance otherwise.
  if (!by->messages.take(now)) {
    ++counters_.disco_limited;
    return;
  }
  const auto message = disco::parse(*opened);
  if (!message) {
    ++counters_.disco_malformed;
    return;
  }
  on_message(*message, from, {by, relayed}, now, out);
}

void Paths::on_message(const disco::Message& message, const DiscoSource& from, const Opened& opened,
                       Instant now, PathsActions& out) {
  std::visit(Overloaded{
                 [&](const disco::Ping& ping) { on_ping(ping, from, opened, now, out); },
                 [&](const disco::Pong& pong) { on_pong(pong, from, opened, now, out); },
                 [&](const disco::CallMeMaybe& call) { on_call(call, from, opened, now, out); },
                 // A peer relay's, and what is not known here.
                 [&](const auto&) { ++counters_.disco_misplaced; },
             },
             message);
}

void Paths::on_ping(const disco::Ping& ping, const DiscoSource& from, const Opened& opened,
                    Instant now, PathsActions& out) {
  PeerEntry* peer = opened.peer;
  if (peer == nullptr && opened.by->peers.size() == 1) peer = opened.by->peers.front();
  if (!ping.node_key.is_zero()) {
    // A claim, which holds if the netmap has that node with this disco key.
    const auto named = std::ranges::find_if(
        opened.by->peers, [&](const PeerEntry* p) { return p->peer.node_key == ping.node_key; });
    const bool holds =
        named != opened.by->peers.end() && (opened.peer == nullptr || opened.peer == *named);
    peer = holds ? *named : nullptr;
  }
  if (peer == nullptr) {
    ++counters_.disco_misplaced;
    return;
  }
  ++counters_.disco_in;
  run(*peer, peer->path.on_ping(ping.tx, from, now), now, out);
}

void Paths::on_pong(const disco::Pong& pong, const DiscoSource& from, const Opened& opened,
                    Instant now, PathsActions& out) {
  const auto asked = std::ranges::find_if(opened.by->peers, [&](const PeerEntry* p) {
    return p->path.expects(pong.tx) && (opened.peer == nullptr || opened.peer == p);
  });
  if (asked == opened.by->peers.end()) {
    ++counters_.disco_misplaced;
    return;
  }
  PeerEntry& peer = **asked;
  PathActions actions = peer.path.on_pong(pong.tx, from, now);
  const bool counts = !peer.path.expects(pong.tx);  // else it came from elsewhere
  const auto* const udp = std::get_if<UdpArrival>(&from);
  ++(counts ? counters_.disco_in : counters_.disco_misplaced);
  // One word about us for each ping of ours, and no more.
  if (counts && udp != nullptr) act(own_.on_seen(pong.seen, udp->from, now), now, out);
  run(peer, std::move(actions), now, out);
}

void Paths::on_call(const disco::CallMeMaybe& call, const DiscoSource& from, const Opened& opened,
                    Instant now, PathsActions& out) {
  if (opened.peer == nullptr || !std::holds_alternative<DerpRegionId>(from)) {
    ++counters_.disco_misplaced;
    return;
  }
  if (!opened.by->calls.take(now)) {
    ++counters_.disco_limited;
    return;
  }
  ++counters_.disco_in;
  std::vector<Endpoint> endpoints;
  for (size_t i = 0; i < std::min(call.endpoints.size(), kMaxCandidates); ++i)
    endpoints.push_back(call.endpoints[i]);
  run(*opened.peer, opened.peer->path.on_call_me_maybe(endpoints, now), now, out);
}

Bytes Paths::seal(const PeerEntry& entry, const disco::Message& message) {
  DiscoEntry* const to = table_.find_disco(entry.peer.disco_key);
  const BoxKey* const box = to == nullptr ? nullptr : box_of(*to, entry.peer.disco_key);
  if (box == nullptr) return {};
  Bytes out(disco::kOverhead + 64 + kMaxCandidates * kWireEndpoint);
  out.resize(disco::seal(*box, disco_key_, random_.bytes<24>(), message, out).size());
  return out;
}

void Paths::send(const PeerEntry& entry, const PingTarget& to, const disco::Message& message,
                 Instant now, PathsActions& out) {
  if (!node_private_) return;
  Bytes packet = seal(entry, message);
  if (packet.empty()) return;
  if (const auto* endpoint = std::get_if<Endpoint>(&to)) {
    out.push_back(SendDatagram{*endpoint, {}, 0, std::move(packet)});
  } else {
    send_by(std::get<DerpRegionId>(to).id, entry.peer.node_key, std::move(packet), now, out);
  }
}

void Paths::answer(const PeerEntry& entry, const SendPong& pong, Instant now, PathsActions& out) {
  if (const auto* region = std::get_if<DerpRegionId>(&pong.to))
    return send(entry, *region, disco::Pong{pong.tx, {kDerpMarker, region->id}}, now, out);
  const auto& udp = std::get<UdpArrival>(pong.to);
  if (!node_private_) return;
  Bytes packet = seal(entry, disco::Pong{pong.tx, udp.from});
  if (!packet.empty())
    out.push_back(SendDatagram{udp.from, udp.to, udp.ifindex, std::move(packet)});
}

void Paths::send_by(uint16_t region, const NodeKey& peer, Bytes packet, Instant now,
                    PathsActions& out) {
  if (!pool_) return;
  DerpPool::Sending sending = pool_->send(region, peer, packet, now);
  act(std::move(sending.actions), now, out);
  if (sending.route == DerpRoute::kNow)
    out.push_back(SendPacketBy{region, peer, std::move(packet)});
}

Paths::FromDerp Paths::on_derp_message(uint16_t region, const derp::Message& message, Instant now) {
  FromDerp out;
  if (!pool_) return out;
  const DerpSession* const session = pool_->session(region);
  if (session == nullptr) return out;
  const bool was_up = session->state() == DerpState::kUp;
  act(pool_->on_message(region, message, now), now, out.actions);
  const auto* const packet = std::get_if<derp::RecvPacket>(&message);
  if (!was_up) return out;
  netcheck_.home().on_frame(region, now);
  if (packet == nullptr) return out;

  PeerEntry* const peer = table_.find(packet->from);
  if (peer == nullptr || peer->peer.wireguard_only) {
    ++counters_.derp_unknown;
    return out;
  }
  if (disco::is_disco(packet->packet)) {
    on_disco(packet->packet, DerpRegionId{region}, peer, now, out.actions);
    return out;
  }
  const auto type = wireguard_type(packet->packet);
  if (!type) {
    ++counters_.derp_other;
    return out;
  }
  const bool crossed = peer->crossing && peer->crossing->on_received(type, now);
  if (crossed) {
    ++counters_.derp_crossing;
  } else {
    out.inject = peer->parking;
  }
  run(*peer, peer->path.on_derp_packet(region, now), now, out.actions);
  return out;
}

Paths::ToDerp Paths::on_parked(const IpAddress& parking, ByteView packet, Instant now) {
  ToDerp out;
  PeerEntry* const peer = table_.find_parked(parking);
  const auto type = wireguard_type(packet);
  if (peer == nullptr || !type) {
    ++counters_.parked_unknown;
    return out;
  }
  out.peer = peer->peer.node_key;
  out.region = peer->path.relay_region();
  if (pool_ && out.region != 0) {
    DerpPool::Sending sending = pool_->send(out.region, out.peer, packet, now);
    out.route = sending.route;
    act(std::move(sending.actions), now, out.actions);
  }
  if (out.route == DerpRoute::kNone) {
    ++counters_.parked_lost;
  } else if (peer->crossing) {
    peer->crossing->on_sent(type, {}, now);
  }
  run(*peer, peer->path.on_parked(now), now, out.actions);
  return out;
}

}  // namespace sallyport
