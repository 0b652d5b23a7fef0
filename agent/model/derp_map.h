// SPDX-License-Identifier: BSD-3-Clause
/// The DERP relays of a tailnet. Source: tailscale tailcfg/derpmap.go.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sallyport {

/// One relay. Addresses are text: "" is looked up, "none" is there to be said.
struct DerpNode {
  std::string name;
  std::string host_name;
  std::string cert_name;  // "": host_name; "sha256-raw:HEX": the leaf's digest
  std::string ipv4;
  std::string ipv6;
  int stun_port = 0;       // 0: 3478; negative: none
  uint16_t derp_port = 0;  // 0: 443
  bool stun_only = false;
  bool insecure_for_tests = false;
  std::string stun_test_ip;
  bool can_port80 = false;
  friend auto operator<=>(const DerpNode&, const DerpNode&) = default;
};

struct DerpRegion {
  uint16_t id = 0;  // never 0
  std::string code;
  std::string name;
  bool avoid = false;  // of old servers: as no_measure_no_home, but it is measured
  bool no_measure_no_home = false;
  std::vector<DerpNode> nodes;  // in the order in which to try them
  friend auto operator<=>(const DerpRegion&, const DerpRegion&) = default;
};

struct DerpMap {
  std::map<uint16_t, DerpRegion> regions;
  /// Latencies of a region are multiplied by its score before they are compared; none is 1.
  std::map<uint16_t, double> region_score;
  friend bool operator==(const DerpMap&, const DerpMap&) = default;
};

constexpr uint16_t kStunPort = 3478;
constexpr uint16_t kDerpPort = 443;

}  // namespace sallyport
