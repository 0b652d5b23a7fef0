// SPDX-License-Identifier: BSD-3-Clause
// The rung of the scenes that are played here: TUNs stand for WireGuard's devices, and the gateway
// is a program that composes what the shipped one composes, upon them.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/scene/rung.h"
#include "tests/support/stand_in/switchboard.h"

namespace sallyport::scene {
namespace {

class Namespace : public Kept {
 public:
  Namespace(stand_in::Switchboard& switchboard, std::string netns)
      : switchboard_(switchboard), netns_(std::move(netns)) {}
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;
  ~Namespace() override { switchboard_.forget(netns_); }

 private:
  stand_in::Switchboard& switchboard_;
  std::string netns_;
};

class Tunnel : public Kept {
 public:
  Tunnel(stand_in::Switchboard& switchboard, std::string netns, std::string device)
      : switchboard_(switchboard), netns_(std::move(netns)), device_(std::move(device)) {}
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;
  ~Tunnel() override { switchboard_.remove(netns_, device_); }

 private:
  stand_in::Switchboard& switchboard_;
  std::string netns_, device_;
};

class StandInRung : public Rung {
 public:
  [[nodiscard]] std::string agent() const override { return "stand-in-agent"; }
  std::unique_ptr<Kept> wireguard_in(const std::string& netns) override {
    const auto served = switchboard_.serve(netns);
    EXPECT_TRUE(served) << served.error().text();
    return std::make_unique<Namespace>(switchboard_, netns);
  }
  std::unique_ptr<Kept> make_tunnel(const TunnelEnd& end) override {
    std::string secret;
    std::ifstream(end.secret_file) >> secret;
    const auto refusals = switchboard_.apply(
        end.netns,
        {CreateLink{end.device},
         SetDevice{.device = end.device,
                   .private_key = PrivateKey::parse(secret),
                   .listen_port = {},
                   .fwmark = {}},
         SetPeer{.device = end.device,
                 .public_key = PublicKey::parse(end.peer_key).value(),
                 .create = true,
                 .preshared_key = {},
                 .endpoint = Endpoint::parse(end.peer_endpoint),
                 .keepalive_s = {},
                 .allowed_ips = {{*Prefix::parse("0.0.0.0/0"), *Prefix::parse("::/0")}}}});
    for (const auto& refusal : refusals) ADD_FAILURE() << refusal.doing << ": " << refusal.error;
    return std::make_unique<Tunnel>(switchboard_, end.netns, end.device);
  }
  // What the stand-in carries leaves by no other device.
  void mark_own_packets(const std::string&, const std::string&, int) override {}

 private:
  stand_in::Switchboard switchboard_;
};

}  // namespace

Rung& rung() {
  static StandInRung rung;
  return rung;
}

}  // namespace sallyport::scene
