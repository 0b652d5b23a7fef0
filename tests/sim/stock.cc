// SPDX-License-Identifier: BSD-3-Clause
// What is known of a stock client's path selection. Source: magicsock endpoint.go, read as rules.
#include <algorithm>

#include "tests/sim/end.h"

namespace sallyport::sim {

using namespace std::chrono_literals;

void StockEnd::know(const PathPeer& other) {
  other_ = other;
  for (const Endpoint& endpoint : other.endpoints) learn(endpoint);
}

void StockEnd::learn(const Endpoint& endpoint) {
  if (std::ranges::find(known_, endpoint, &Known::at) == known_.end())
    known_.push_back({endpoint, {}});
}

std::optional<Endpoint> StockEnd::direct() const {
  if (!best_ || net.clock.now() >= trust_until_) return {};
  return best_;
}

void StockEnd::send_data() {
  const Instant now = net.clock.now();
  last_send_ = now;
  if (!beating_) {
    beating_ = true;
    net.clock.after(3s, [this] { heartbeat(); });
  }
  const bool trusted = direct().has_value();
  if (!trusted) full_ping(true);
  const WireguardPacket packet = next_packet();
  if (best_) host.send(*best_, packet);
  if (!trusted)
    host.send_derp(region_ != 0 ? region_ : other_->home_region, other_->node_key, packet);
}

void StockEnd::ping(const Endpoint& endpoint) {
  disco::TxId tx = random_.bytes<12>();
  pings_.push_back({tx, endpoint, net.clock.now()});
  host.send(endpoint, DiscoPing{disco_, tx});
}

void StockEnd::full_ping(bool call_too) {
  const Instant now = net.clock.now();
  bool any = false;
  for (Known& known : known_) {
    if (known.pinged && now < *known.pinged + 5s) continue;
    known.pinged = now;
    any = true;
    ping(known.at);
  }
  if (any) last_full_ping_ = now;
  if (any && call_too) call(other_->node_key, other_->home_region);
}

void StockEnd::heartbeat() {
  const Instant now = net.clock.now();
  if (!last_send_ || now >= *last_send_ + 45s) {
    beating_ = false;
    return;
  }
  if (best_) ping(*best_);
  const bool upgrade = rtt_ > 5ms && now >= last_full_ping_ + 60s;
  if (!direct() || upgrade) full_ping(true);
  net.clock.after(3s, [this] { heartbeat(); });
}

void StockEnd::on_udp(const Datagram& datagram) {
  const Instant now = net.clock.now();
  if (const auto* asked = std::get_if<DiscoPing>(&datagram.payload)) {
    learn(datagram.from);
    host.send(datagram.from, DiscoPong{disco_, asked->tx, datagram.from});
  } else if (const auto* pong = std::get_if<DiscoPong>(&datagram.payload)) {
    const auto ping = std::ranges::find(pings_, pong->tx, &Ping::tx);
    if (ping == pings_.end() || now >= ping->sent + 5s) return;
    const Duration rtt = now - ping->sent;
    const Endpoint to = ping->to;
    pings_.erase(ping);
    if (direct() && best_ != to && !better_path({to, rtt}, {*best_, rtt_})) return;
    best_ = to;
    rtt_ = rtt;
    trust_until_ = now + 6500ms;
  } else if (const auto* packet = std::get_if<WireguardPacket>(&datagram.payload)) {
    take(*packet);
  }
}

void StockEnd::on_relayed(uint16_t region, const Payload& payload) {
  if (const auto* asked = std::get_if<DiscoPing>(&payload)) {
    host.send_derp(region, other_->node_key, DiscoPong{disco_, asked->tx, {}});
  } else if (const auto* called = std::get_if<DiscoCall>(&payload)) {
    for (const Endpoint& endpoint : called->endpoints) learn(endpoint);
    for (Known& known : known_) known.pinged.reset();
    full_ping(false);
  } else if (const auto* packet = std::get_if<WireguardPacket>(&payload)) {
    region_ = region;
    take(*packet);
  }
}

/// It rebinds its socket, asks STUN and trusts nothing that it had.
void StockEnd::on_network_changed() {
  act(own_.on_local({host.local().address}, host.local().port, net.clock.now()));
  trust_until_ = net.clock.now();
  for (Known& known : known_) known.pinged.reset();
}

}  // namespace sallyport::sim
