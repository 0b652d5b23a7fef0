// SPDX-License-Identifier: BSD-3-Clause
/// A branch office on the ground: our gateway, joined to the tailnet, a server on the LAN behind
/// it.
///
///     server 10.0.0.2 ----- lan0 10.0.0.1  gateway  wan0 ----- the NATs, and the internet
#pragma once

#include <string>
#include <vector>

#include "tests/interop/scenes/ground.h"
#include "tests/interop/scenes/stock.h"
#include "tests/support/scene/gateway.h"

namespace sallyport::scene {

inline constexpr const char* kLanServer = "10.0.0.2";
inline constexpr const char* kLanPrefix = "10.0.0.0/24";

class Branch {
 public:
  Branch(Ground& ground, const std::vector<Nat>& nats);

  /// Joins, and has its LAN and its way to the internet approved at the control server. Fails the
  /// test if it does not get so far.
  void up();
  /// config.yaml.
  [[nodiscard]] std::string config() const;

  /// How it says that it reaches a peer: "direct", "derp", "none"; empty: it knows of none.
  [[nodiscard]] std::string path_to(const std::string& ip) const;
  /// What control knows of it.
  Json node() { return ground_.node(key_); }

  [[nodiscard]] const std::string& ip() const { return ip_; }
  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] std::string dump() const;

  Ground::Host host;
  std::string server;  // a namespace
  Gateway gateway;
  /// Does the LAN see the gateway instead of the peer?
  bool snat = true;

 private:
  Ground& ground_;
  std::string ip_, key_;
};

/// A stock node that reaches the LAN of a branch office.
struct Tailnet {
  /// Both are up, and the laptop knows the way.
  Tailnet(const std::string& scene, const std::vector<Nat>& gateway_nats,
          const std::vector<Nat>& laptop_nats);

  /// Waits until both say that packets go directly. False: at the limit they do not.
  bool direct(std::chrono::milliseconds limit = 20s);
  /// Whether packets go by DERP, at both ends, and go on doing so.
  bool stays_relayed(std::chrono::milliseconds time = 6s);
  /// A page of that size comes over whole, from a server on the LAN.
  void expect_page(size_t bytes = 20'000);
  std::string dump();

  Ground ground;
  Branch branch;
  Ground::Host laptop_host;
  Stock laptop;
};

}  // namespace sallyport::scene
