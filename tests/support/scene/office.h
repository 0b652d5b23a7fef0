// SPDX-License-Identifier: BSD-3-Clause
/// The usual scene: a laptop somewhere, our gateway, and a server on the LAN behind it.
///
///     laptop            inet                 gw                server
///   192.0.2.2/24 -- .1      .254 -- 198.51.100.1/24
///  2001:db8:2::2/64 :1      :fe  -- 2001:db8:1::1/64
///                                   10.0.0.1/24 -------- 10.0.0.2/24
///                                   fd00:10::1/64 ------ fd00:10::2/64
///   wg0 100.64.0.2 ===== WireGuard ===== sallyport0 100.64.0.1/24
///       fd77::2                          fd77::1/64
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/support/scene/gateway.h"
#include "tests/support/scene/net.h"
#include "tests/support/scene/rung.h"
#include "tests/support/scene/stream.h"
#include "tests/support/scene/traffic.h"

namespace sallyport::scene {

/// The addresses of one family, so that a scene says everything once and runs twice.
struct Side {
  const char* name;
  const char* laptop;   // in the tunnel
  const char* second;   // a second client's, in the tunnel
  const char* gateway;  // in the tunnel
  const char* server;   // on the LAN
  const char* gateway_lan;
  const char* internet;  // a host on the internet
};
extern const Side kV4;
extern const Side kV6;

/// A key pair made by `wg genkey`: the clients know nothing of us.
struct KeyPair {
  std::string secret;
  std::string open;
};
KeyPair make_keys();

class Office {
 public:
  explicit Office(const std::string& scene);

  /// config.yaml with the usual node, peers (laptop, second) and LANs, and the given rules as YAML
  /// list items. `more`: further top-level keys.
  [[nodiscard]] std::string config(const std::string& rules, const std::string& more = {}) const;
  /// Starts the gateway with it and brings the laptop's tunnel up, by plain wg and ip. Fails the
  /// test if either does not work.
  void up(const std::string& rules, const std::string& more = {});
  /// A second client, its own namespace, connected through `inet`.
  void add_second();

  Net net;
  std::string laptop, inet, gw, server, second;
  KeyPair laptop_keys, second_keys;
  /// snat of both LANs in config().
  bool snat = false;
  std::unique_ptr<Gateway> gateway;

 private:
  void connect(const std::string& netns, const KeyPair& keys, const std::string& v4,
               const std::string& v6);

  std::vector<std::unique_ptr<Kept>> tunnels_;
};

}  // namespace sallyport::scene
