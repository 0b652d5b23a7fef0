// SPDX-License-Identifier: BSD-3-Clause
// The two ends of a tunnel: one of ours (the shipped machines above a model of kernel WireGuard),
// and one that does as a stock client is known to.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "agent/node/own_endpoints.h"
#include "agent/node/peer_path.h"
#include "tests/sim/net.h"

namespace sallyport::sim {

class NetRandom final : public RandomSource {
 public:
  explicit NetRandom(Net& net) : net_(net) {}
  void fill(std::span<uint8_t> out) override {
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(net_.random());
  }

 private:
  Net& net_;
};

/// Keys that are real ones, so that boxes can be sealed with them. By the name of an end.
PrivateKey node_private(uint8_t name);
PrivateKey disco_private(uint8_t name);
NodeKey node_public(uint8_t name);
DiscoKey disco_public(uint8_t name);

class End {
 public:
  End(Net& net, Host& host, uint8_t name, uint16_t home);
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  virtual ~End() = default;

  /// News of the netmap about the other end.
  virtual void know(const PathPeer& other) = 0;
  /// One packet into the tunnel.
  virtual void send_data() = 0;
  /// Where its packets go now; nothing: by DERP.
  [[nodiscard]] virtual std::optional<Endpoint> direct() const = 0;
  virtual void on_network_changed() = 0;

  virtual void start();
  /// Sends a packet every so often, for so long.
  void talk(Duration every, Duration length);
  [[nodiscard]] PathPeer as_peer() const;

  Net& net;
  Host& host;
  uint16_t home;
  /// The control server's ear.
  std::function<void()> on_endpoints;
  std::vector<Instant> received;  // packets out of the tunnel
  uint64_t sent = 0;
  uint64_t duplicates = 0;  // in the tunnel

 protected:
  virtual void on_udp(const Datagram& datagram) = 0;
  virtual void on_relayed(uint16_t region, const Payload& payload) = 0;
  void call(const NodeKey& peer, uint16_t region);
  /// Is it a new one? Counts it if so; the replay window drops any other.
  bool take(const WireguardPacket& packet);
  WireguardPacket next_packet(bool keepalive = false);
  void act(const EndpointActions& actions);
  void wake_endpoints();

  NetRandom random_;
  NodeKey key_;
  DiscoKey disco_;
  OwnEndpoints own_;
  std::optional<PathPeer> other_;
  std::vector<Endpoint> announced_;

 private:
  std::set<uint64_t> window_;
  uint64_t number_ = 0;
  uint16_t call_region_ = 0;
};

/// What the kernel does with one WireGuard peer, as datapath's scenes saw it.
class KernelPeer {
 public:
  void apply(const std::vector<KernelStep>& steps);
  /// Nothing: the relay socket.
  [[nodiscard]] std::optional<Endpoint> endpoint() const { return endpoint_; }
  /// An authenticated packet moves the endpoint to where it seems to come from.
  void roam_direct(const Endpoint& from);
  void roam_relayed();
  /// Has a step asked for a packet to be sent at once?
  bool take_kick() { return std::exchange(kick_, false); }

 private:
  std::optional<Endpoint> endpoint_;
  std::optional<DirectPath> pin_;
  std::set<Endpoint> reversed_;
  uint16_t keepalive_s_ = 0;
  bool kick_ = false;
};

class OurEnd final : public End {
 public:
  OurEnd(Net& net, Host& host, uint8_t name, uint16_t home);
  void know(const PathPeer& other) override;
  void send_data() override;
  [[nodiscard]] std::optional<Endpoint> direct() const override { return kernel_.endpoint(); }
  void on_network_changed() override;
  [[nodiscard]] const PeerPath& path() const { return path_; }

  /// A firewall behind demux: WireGuard's own packets are dropped.
  bool input_drops_wireguard = false;
  uint64_t disco_only = 0;  // complaints

 private:
  void on_udp(const Datagram& datagram) override;
  void on_relayed(uint16_t region, const Payload& payload) override;
  void output(const WireguardPacket& packet);
  void run(const PathActions& actions);
  void wake();

  PeerPath path_;
  KernelPeer kernel_;
  PathObserved observed_;
  bool duplicating_ = false;
  std::optional<Instant> waking_;
};

class StockEnd final : public End {
 public:
  using End::End;
  void know(const PathPeer& other) override;
  void send_data() override;
  [[nodiscard]] std::optional<Endpoint> direct() const override;
  void on_network_changed() override;

 private:
  struct Known {
    Endpoint at;
    std::optional<Instant> pinged;
  };
  void on_udp(const Datagram& datagram) override;
  void on_relayed(uint16_t region, const Payload& payload) override;
  void learn(const Endpoint& endpoint);
  void ping(const Endpoint& endpoint);
  void full_ping(bool call_too);
  void heartbeat();

  struct Ping {
    disco::TxId tx{};
    Endpoint to;
    Instant sent;
  };
  std::vector<Known> known_;
  std::vector<Ping> pings_;
  std::optional<Endpoint> best_;
  Duration rtt_{};
  Instant trust_until_;
  Instant last_full_ping_;
  std::optional<Instant> last_send_;
  bool beating_ = false;
  uint16_t region_ = 0;
};

}  // namespace sallyport::sim
