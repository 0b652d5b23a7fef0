// SPDX-License-Identifier: BSD-3-Clause
#include "tests/sim/net.h"

#include <algorithm>
#include <utility>

namespace sallyport::sim {

void Clock::at(Instant when, std::function<void()> what) {
  events_.push_back({std::max(when, now_), order_++, std::move(what)});
  std::push_heap(events_.begin(), events_.end());
}

void Clock::run(Duration length) {
  const Instant end = now_ + length;
  while (!events_.empty() && events_.front().when <= end) {
    std::pop_heap(events_.begin(), events_.end());
    const Event event = std::move(events_.back());
    events_.pop_back();
    now_ = event.when;
    event.what();
  }
  now_ = end;
}

void Host::rebind() {
  mappings_.clear();
  next_port_ = static_cast<uint16_t>(next_port_ + 100);
}

void Host::move(const IpAddress& local, const IpAddress& public_address) {
  mappings_.clear();
  local_.address = local;
  public_ = public_address;
}

/// What the packet's source becomes; opens the NAT for the way back.
Endpoint Host::translate(const Endpoint& to) {
  if (nat_ == NatKind::kNone) return local_;
  const std::optional<Endpoint> key =
      nat_ == NatKind::kSymmetric ? std::optional(to) : std::nullopt;
  Mapping& mapping = mappings_[key];
  if (mapping.port == 0) mapping.port = next_port_++;
  mapping.permitted.insert(to);
  return {public_, mapping.port};
}

void Host::send(const Endpoint& to, Payload payload) {
  const bool is_disco = !std::holds_alternative<WireguardPacket>(payload) &&
                        !std::holds_alternative<StunRequest>(payload);
  // Its own NAT sees nothing of what is cut before it, and opens for nobody.
  if (udp_blocked || out_cut || (disco_cut && is_disco)) return;
  Datagram datagram{translate(to), to, std::move(payload)};
  if (net_->lost(link_)) return;
  net_->route(datagram, link_);
}

void Host::send_derp(uint16_t region, const NodeKey& to, Payload payload) {
  net_->relay(*this, region, to, std::move(payload));
}

Host& Net::add_host(const NodeKey& key, const IpAddress& local, const IpAddress& public_address,
                    uint16_t port, NatKind nat, Link link) {
  auto host = std::make_unique<Host>();
  host->net_ = this;
  host->key_ = key;
  host->local_ = {local, port};
  host->public_ = nat == NatKind::kNone ? local : public_address;
  host->nat_ = nat;
  host->link_ = link;
  host->next_port_ = static_cast<uint16_t>(30000 + random_() % 1000);
  hosts_.push_back(std::move(host));
  return *hosts_.back();
}

void Net::route(const Datagram& datagram, const Link& sender) {
  if (datagram.to == stun_) {
    const auto* const request = std::get_if<StunRequest>(&datagram.payload);
    if (request == nullptr) return;
    const Datagram answer{stun_, datagram.from, StunResponse{datagram.from, request->tx}};
    clock.after(sender.delay, [this, answer] { route(answer, {}); });
    return;
  }
  for (const auto& host : hosts_) {
    if (host->public_ != datagram.to.address) continue;
    clock.after(sender.delay + host->link_.delay,
                [this, to = host.get(), datagram] { deliver(*to, datagram); });
    return;
  }
  // A private address of somebody else's network, or one that was given up.
}

void Net::deliver(Host& host, Datagram datagram) {
  const bool is_disco = !std::holds_alternative<WireguardPacket>(datagram.payload) &&
                        !std::holds_alternative<StunResponse>(datagram.payload);
  if (host.udp_blocked || host.in_cut || (host.disco_cut && is_disco) || lost(host.link_)) return;
  if (datagram.to.address != host.public_) return;  // it has moved meanwhile
  if (host.nat_ != NatKind::kNone) {
    const auto mapping = std::ranges::find_if(
        host.mappings_, [&](const auto& entry) { return entry.second.port == datagram.to.port; });
    if (mapping == host.mappings_.end()) return;
    const bool open = host.nat_ == NatKind::kEndpointIndependent;
    if (!open && !mapping->second.permitted.contains(datagram.from)) return;
    datagram.to = host.local_;
  }
  if (datagram.to != host.local_) return;
  note(datagram.payload.index() + 16 * uint64_t{datagram.from.port});
  if (host.on_datagram) host.on_datagram(datagram);
}

void Net::set_derp(uint16_t region, bool up) {
  derp_down_[region] = !up;
  for (const auto& host : hosts_) {
    if (!up && host->on_derp_down) host->on_derp_down(region);
  }
}

void Net::relay(Host& from, uint16_t region, const NodeKey& to, Payload payload) {
  if (derp_down_[region]) return;
  for (const auto& host : hosts_) {
    if (host->key_ != to) continue;
    // TCP: late rather than lost.
    clock.after(from.link_.delay + host->link_.delay,
                [this, host = host.get(), sender = from.key_, region, payload] {
                  if (derp_down_[region]) return;
                  if (std::holds_alternative<WireguardPacket>(payload)) ++relayed_;
                  note(payload.index() + 8);
                  if (host->on_derp) host->on_derp(sender, region, payload);
                });
    return;
  }
}

void Net::note(uint64_t what) {
  for (const uint64_t part : {what, static_cast<uint64_t>(clock.now().time_since_epoch().count())})
    trace_ = (trace_ ^ part) * 0x100000001b3;
}

}  // namespace sallyport::sim
