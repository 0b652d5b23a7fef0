// SPDX-License-Identifier: BSD-3-Clause
// The rung of the scenes with real encryption on a kernel without WireGuard: a userspace WireGuard
// in its place, in a process of its own for each namespace, which outlives the agent as the
// kernel's would.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "tests/interop/scenes/servant.h"
#include "tests/support/scene/rung.h"
#include "tests/support/userspace_wg/client.h"

namespace sallyport::scene {
namespace {

class Served : public Kept {
 public:
  explicit Served(const std::string& netns)
      : servant_({go_program("WIREGUARD")}, netns, "/dev/null") {
    EXPECT_TRUE(servant_.hear()) << "no WireGuard in " << netns;
  }

 private:
  Servant servant_;
};

class UserspaceRung : public Rung {
 public:
  [[nodiscard]] std::string missing() const override {
    for (const char* name : {"REFERENCE", "STOCK", "WIREGUARD"}) {
      if (!go_program(name).empty()) continue;
      const char* const why = std::getenv("SALLYPORT_NO_REFERENCE");
      return why == nullptr ? "no programs of tests/interop: run by tests/run" : why;
    }
    return {};
  }
  [[nodiscard]] std::string agent() const override { return "userspace-agent"; }
  std::unique_ptr<Kept> wireguard_in(const std::string& netns) override {
    return std::make_unique<Served>(netns);
  }
  std::unique_ptr<Kept> make_tunnel(const TunnelEnd& end) override {
    std::string secret;
    std::ifstream(end.secret_file) >> secret;
    auto kept = wireguard_in(end.netns);
    inside(end.netns, [&] {
      userspace_wg::Client client;
      expect(client.create_link({end.device}));
      expect(client.set_device({.device = end.device,
                                .private_key = PrivateKey::parse(secret),
                                .listen_port = {},
                                .fwmark = {}}));
      const Operation peer =
          SetPeer{.device = end.device,
                  .public_key = PublicKey::parse(end.peer_key).value(),
                  .create = true,
                  .preshared_key = {},
                  .endpoint = Endpoint::parse(end.peer_endpoint),
                  .keepalive_s = {},
                  .allowed_ips = {{*Prefix::parse("0.0.0.0/0"), *Prefix::parse("::/0")}}};
      for (const Failure& one : client.change_peers({&peer, 1})) ADD_FAILURE() << one.error.text();
    });
    return kept;
  }
  void mark_own_packets(const std::string& netns, const std::string& device, int mark) override {
    inside(netns, [&] {
      expect(userspace_wg::Client().set_device({.device = device,
                                                .private_key = {},
                                                .listen_port = {},
                                                .fwmark = static_cast<uint32_t>(mark)}));
    });
  }

 private:
  static void expect(const Result<void>& done) {
    EXPECT_TRUE(done) << (done ? "" : done.error().text());
  }
};

}  // namespace

Rung& rung() {
  static UserspaceRung rung;
  return rung;
}

}  // namespace sallyport::scene
