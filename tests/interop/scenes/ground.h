// SPDX-License-Identifier: BSD-3-Clause
/// The ground of a tailnet's scenes: an internet with the reference's control server, DERP and STUN
/// on it, and hosts behind NATs of any kind.
///
///                  internet: bridge net0 203.0.113.1, .2: a DERP region and STUN each;
///                            172.31.255.1: control; 198.51.100.9: some server;
///                            all other private addresses are unreachable
///         .10 |                 .11 |                        .12 |
///         host (no NAT)         router: NAT                  router: NAT
///                          192.168.11.1 |               192.168.12.1 |
///                            host 192.168.11.2              router 192.168.12.2: NAT
///                                                          192.168.13.1 |
///                                                               host 192.168.13.2
#pragma once

#include <string>
#include <vector>

#include "tests/interop/scenes/servant.h"
#include "tests/support/scene/net.h"

namespace sallyport::scene {

enum class Nat : uint8_t {
  kEasy,   // as most home routers: endpoint-independent mapping, filters by address and port
  kHard,   // another mapping for every remote
  kNoUdp,  // an easy one that forwards no UDP
};

inline constexpr const char* kInternetHost = "198.51.100.9";

class Ground {
 public:
  /// Starts the reference in its namespace. Fails the test if it does not start.
  explicit Ground(const std::string& scene);

  struct Host {
    std::string netns;
    std::string address;
    std::vector<std::string> routers;  // from the host outwards
  };
  /// A namespace with one device `device` and a default route by it, behind these NATs, the one
  /// next to the host first; none: on the internet itself.
  Host host(const std::string& name, const std::vector<Nat>& nats,
            const std::string& device = "eth0");
  /// The address that the internet sees it by.
  static std::string out_address(const Host& host);
  /// Its mappings are lost, and new ones get other ports: as a router that was switched off and on.
  static void forget_mappings(const std::string& router);
  /// From now on a router, or a host, drops what this matches ("ip daddr 203.0.113.1 udp dport 9",
  /// as nftables has it), whichever way it goes, until admit().
  static void drop(const std::string& netns, const std::string& expression);
  static void admit(const std::string& netns);

  /// A word to the reference; fails the test unless it is done.
  Json control(const std::string& line) { return reference_->ask(line); }
  /// What control says of the node with this key.
  Json node(const std::string& key);
  /// A filter for one node, taken at once. Control tells that node nothing else any more.
  void set_filter(const std::string& node_key, const Json& rules);

  [[nodiscard]] std::string dump() const;

  Net net;
  std::string internet;
  std::string control_url;

 private:
  int next_ = 10;  // last byte of the next address on the internet, third byte of the next LAN
  std::unique_ptr<Servant> reference_;
};

}  // namespace sallyport::scene
