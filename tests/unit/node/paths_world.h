// SPDX-License-Identifier: BSD-3-Clause
// A node of ours, told what happens, with one peer and one relay that are played by the test.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "agent/node/paths.h"
#include "tests/support/derp_login.h"
#include "tests/support/seeded_random.h"

namespace sallyport {

constexpr uint16_t kRegion = 900;
constexpr uint16_t kWgPort = 20001;
constexpr uint16_t kRelayPort = 20002;
inline Endpoint at(const char* text) { return *Endpoint::parse(text); }
inline IpAddress ip(const char* text) { return *IpAddress::parse(text); }
inline const Endpoint kHome = at("203.0.113.1:41641");
inline const Endpoint kElsewhere = at("203.0.113.9:2000");
inline const IpAddress kOurs = ip("198.51.100.1");

template <class Action>
std::vector<Action> all(const PathsActions& actions) {
  std::vector<Action> out;
  for (const PathsAction& action : actions) {
    if (const auto* one = std::get_if<Action>(&action)) out.push_back(*one);
  }
  return out;
}
inline Bytes wireguard(WireguardType type) {
  Bytes out(148, 7);
  out[0] = static_cast<uint8_t>(type);
  out[1] = out[2] = out[3] = 0;
  return out;
}

/// A peer's secrets, and what it writes and reads with them.
struct Played {
  PrivateKey node = PrivateKey::generate();
  PrivateKey disco = PrivateKey::generate();

  [[nodiscard]] NodeKey key() const { return node.public_key(); }
  [[nodiscard]] DiscoKey disco_key() const { return {disco.public_key().bytes}; }
  [[nodiscard]] PathPeer as_peer(std::vector<Endpoint> endpoints = {kHome}) const {
    PathPeer out;
    out.node_key = key();
    out.disco_key = disco_key();
    out.home_region = kRegion;
    out.endpoints = std::move(endpoints);
    return out;
  }
  [[nodiscard]] Bytes seal(const DiscoKey& to, const disco::Message& message) const {
    const auto box = BoxKey::between(disco, to.bytes);
    Bytes out(2048);
    out.resize(disco::seal(*box, disco_key(), BoxNonce{9}, message, out).size());
    return out;
  }
  /// What was sealed for us; `plain_` holds it until the next one.
  disco::Message open(ByteView datagram) {
    const auto envelope = disco::parse_envelope(datagram);
    if (!envelope) return disco::Unknown{};
    plain_.assign(datagram.size(), 0);
    const auto box = BoxKey::between(disco, envelope->sender.bytes);
    const auto message = disco::open(*box, *envelope, plain_);
    return message ? disco::parse(*message).value() : disco::Message{disco::Unknown{}};
  }

 private:
  Bytes plain_;
};

inline DerpMap derp_map() {
  DerpMap map;
  DerpRegion& region = map.regions[kRegion];
  region.id = kRegion;
  DerpNode& node = region.nodes.emplace_back();
  node.name = "900a";
  node.host_name = "derp.example.net";
  node.ipv4 = "192.0.2.90";
  node.ipv6 = "none";
  return map;
}
inline const Endpoint kStunServer = at("192.0.2.90:3478");

class paths : public testing::Test {
 protected:
  paths() { start({}); }

  void start(std::string_view memory) {
    us_ = std::make_unique<Paths>(random_, memory, now_);
    us_->on_node_key(own_, now_);
  }
  /// The relay's map, our address, and one report that makes it our home.
  void join() {
    add(us_->on_derp_map(derp_map(), now_));
    add(us_->on_local_addresses({kOurs}, kWgPort, now_));
    answer_stun();
    relay_up();
    log_.clear();
  }
  void add(PathsActions actions) {
    for (PathsAction& action : actions) log_.push_back(std::move(action));
  }
  template <class Action>
  std::vector<Action> logged() const {
    return all<Action>(log_);
  }
  /// Every STUN request in the log is answered after 10 ms.
  void answer_stun(const Endpoint& seen = at("198.51.100.77:5555")) {
    const auto sent = logged<SendDatagram>();
    std::erase_if(log_,
                  [](const PathsAction& a) { return std::holds_alternative<SendDatagram>(a); });
    now_ += std::chrono::milliseconds(10);
    for (const SendDatagram& datagram : sent) {
      const auto tx = stun::parse_request(datagram.bytes);
      if (!tx) continue;
      Bytes response(stun::kMaxResponse);
      response.resize(stun::write_response(*tx, seen, response).size());
      add(us_->on_datagram({datagram.to, kOurs, 2}, response, now_));
    }
  }
  /// The latest dial of the region, through its login.
  void relay_up() {
    const auto dials = logged<DialRegion>();
    ASSERT_FALSE(dials.empty());
    add(us_->on_derp_connected(kRegion, dials.back().dial, now_));
    DerpLogin server;
    const PathsActions hello = us_->on_derp_message(kRegion, server.hello(), now_).actions;
    const auto sent = all<SendFrame>(hello);
    ASSERT_EQ(sent.size(), 1u);
    add(us_->on_derp_message(kRegion, server.answer(sent[0].frame), now_).actions);
  }
  /// What the peer says, by UDP or through the relay.
  void say(const disco::Message& message, const Endpoint& from = kHome) {
    add(us_->on_datagram({from, kOurs, 3}, peer_.seal(us_->disco_key(), message), now_));
  }
  void say_relayed(const disco::Message& message) {
    const Bytes packet = peer_.seal(us_->disco_key(), message);
    add(relayed(peer_.key(), packet).actions);
  }
  Paths::FromDerp relayed(const NodeKey& from, ByteView packet) {
    return us_->on_derp_message(kRegion, derp::RecvPacket{from, packet}, now_);
  }
  void park(WireguardType type = WireguardType::kInitiation) {
    last_ = us_->on_parked(*us_->parking_of(peer_.key()), wireguard(type), now_);
    add(last_.actions);
  }
  /// Our pings to this endpoint in the log are answered from it.
  void answer_pings(const Endpoint& endpoint) {
    const PathsActions log = std::move(log_);
    log_.clear();
    for (const SendDatagram& datagram : all<SendDatagram>(log)) {
      if (datagram.to != endpoint) continue;
      const disco::Message message = peer_.open(datagram.bytes);
      if (const auto* ping = std::get_if<disco::Ping>(&message))
        say(disco::Pong{ping->tx, at("198.51.100.77:5555")}, endpoint);
    }
  }
  void go_direct() {
    park();
    now_ += std::chrono::milliseconds(20);
    answer_pings(kHome);
    ASSERT_EQ(us_->status(peer_.key())->kind, PathKind::kDirect);
  }
  void run(Duration length) {
    const Instant end = now_ + length;
    int wakes = 0;
    while (const auto next = us_->next_wake()) {
      if (*next > end) break;
      ASSERT_LT(++wakes, 10000) << "it spins";
      now_ = std::max(now_, *next);
      add(us_->on_wake(now_));
    }
    now_ = end;
  }

  SeededRandom random_{1};
  PrivateKey own_ = PrivateKey::generate();
  Instant now_{std::chrono::hours(1)};
  Played peer_;
  std::unique_ptr<Paths> us_;
  PathsActions log_;
  Paths::ToDerp last_;
};

}  // namespace sallyport
