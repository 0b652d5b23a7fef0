// SPDX-License-Identifier: BSD-3-Clause
// An internet in simulated time: hosts behind NATs, links with delay and loss, one DERP relay, one
// STUN server. Everything that is random comes from one seed, so a run replays exactly.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <variant>
#include <vector>

#include "agent/base/clock.h"
#include "agent/model/endpoint.h"
#include "agent/model/tailnet_keys.h"
#include "agent/wire/disco.h"

namespace sallyport::sim {

/// Which port a NAT gives, and whom it lets in by it (RFC 4787's terms).
enum class NatKind : uint8_t {
  kNone,
  kEndpointIndependent,  // one mapping for all, anybody may come in
  kPortRestricted,       // one mapping for all, only who was written to may come in: "easy"
  kSymmetric,            // a mapping for each destination: "hard"
};

struct Link {
  Duration delay{};  // one way
  unsigned loss_percent = 0;
};

/// What a UDP datagram or a relayed packet carries.
struct WireguardPacket {
  NodeKey from;
  uint64_t number = 0;  // counts up; the replay window knows it by that
  bool keepalive = false;
};
struct DiscoPing {
  DiscoKey from;
  disco::TxId tx{};
};
struct DiscoPong {
  DiscoKey from;
  disco::TxId tx{};
  Endpoint seen;
};
struct DiscoCall {
  DiscoKey from;
  std::vector<Endpoint> endpoints;
};
struct StunRequest {
  disco::TxId tx{};
};
struct StunResponse {
  Endpoint seen;
  disco::TxId tx{};
};
using Payload =
    std::variant<WireguardPacket, DiscoPing, DiscoPong, DiscoCall, StunRequest, StunResponse>;

struct Datagram {
  Endpoint from;
  Endpoint to;
  Payload payload;
};

/// Time and what is to happen in it.
class Clock {
 public:
  [[nodiscard]] Instant now() const { return now_; }
  void at(Instant when, std::function<void()> what);
  void after(Duration wait, std::function<void()> what) { at(now_ + wait, std::move(what)); }
  void run(Duration length);

 private:
  struct Event {
    Instant when;
    uint64_t order;  // of equal times the first that was asked for
    std::function<void()> what;
    bool operator<(const Event& o) const {
      return when != o.when ? when > o.when : order > o.order;
    }
  };
  Instant now_{std::chrono::hours(1)};
  uint64_t order_ = 0;
  std::vector<Event> events_;  // a heap
};

class Net;

/// A host with one address, maybe behind a NAT of its own.
class Host {
 public:
  std::function<void(const Datagram&)> on_datagram;
  /// From whom, through which region.
  std::function<void(const NodeKey&, uint16_t, const Payload&)> on_derp;
  /// A region went down, and with it every connection.
  std::function<void(uint16_t)> on_derp_down;

  [[nodiscard]] Endpoint local() const { return local_; }
  void send(const Endpoint& to, Payload payload);
  void send_derp(uint16_t region, const NodeKey& to, Payload payload);

  // Faults.
  bool udp_blocked = false;
  bool out_cut = false;  // what it sends by UDP is lost
  bool in_cut = false;
  bool disco_cut = false;  // some firewall drops disco, and nothing else
  /// The NAT forgets its mappings and gives other ports.
  void rebind();
  /// Another uplink: another public address, another address of its own, no mappings.
  void move(const IpAddress& local, const IpAddress& public_address);

 private:
  friend class Net;
  struct Mapping {
    uint16_t port = 0;
    std::set<Endpoint> permitted;
  };
  Endpoint translate(const Endpoint& to);

  Net* net_ = nullptr;
  NodeKey key_;
  Endpoint local_;
  IpAddress public_;
  NatKind nat_ = NatKind::kNone;
  Link link_;
  std::map<std::optional<Endpoint>, Mapping> mappings_;  // by destination, if it matters
  uint16_t next_port_ = 0;
};

class Net {
 public:
  explicit Net(uint64_t seed) : random_(seed) {}
  Net(const Net&) = delete;
  Net& operator=(const Net&) = delete;
  ~Net() = default;

  Clock clock;
  Host& add_host(const NodeKey& key, const IpAddress& local, const IpAddress& public_address,
                 uint16_t port, NatKind nat, Link link);
  [[nodiscard]] Endpoint stun_server() const { return stun_; }
  uint64_t random() { return random_(); }
  /// A region that is down takes nothing and gives nothing.
  void set_derp(uint16_t region, bool up);
  [[nodiscard]] bool is_derp_up(uint16_t region) const {
    const auto down = derp_down_.find(region);
    return down == derp_down_.end() || !down->second;
  }

  /// Of all that was delivered, in order: two runs of one seed have the same.
  [[nodiscard]] uint64_t trace() const { return trace_; }
  [[nodiscard]] uint64_t relayed() const { return relayed_; }

 private:
  friend class Host;
  bool lost(const Link& link) { return random_() % 100 < link.loss_percent; }
  void route(const Datagram& datagram, const Link& sender);
  void deliver(Host& host, Datagram datagram);
  void relay(Host& from, uint16_t region, const NodeKey& to, Payload payload);
  void note(uint64_t what);

  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::map<uint16_t, bool> derp_down_;
  Endpoint stun_ = *Endpoint::parse("192.0.2.53:3478");
  uint64_t trace_ = 0xcbf29ce484222325;
  uint64_t relayed_ = 0;  // WireGuard packets
};

}  // namespace sallyport::sim
