// SPDX-License-Identifier: BSD-3-Clause
// The rung with the kernel's own WireGuard, set up by plain wg and ip.
#include "tests/support/scene/net.h"
#include "tests/support/scene/rung.h"

namespace sallyport::scene {
namespace {

class KernelRung : public Rung {
 public:
  [[nodiscard]] std::string agent() const override { return "sallyport-agent"; }
  std::unique_ptr<Kept> wireguard_in(const std::string&) override { return {}; }
  std::unique_ptr<Kept> make_tunnel(const TunnelEnd& end) override {
    sh("ip link add " + end.device + " type wireguard && wg set " + end.device + " private-key " +
           end.secret_file + " peer '" + end.peer_key + "' endpoint " + end.peer_endpoint +
           " allowed-ips 0.0.0.0/0,::/0",
       end.netns);
    return {};
  }
  void mark_own_packets(const std::string& netns, const std::string& device, int mark) override {
    sh("wg set " + device + " fwmark " + std::to_string(mark), netns);
  }
};

}  // namespace

Rung& rung() {
  static KernelRung rung;
  return rung;
}

}  // namespace sallyport::scene
