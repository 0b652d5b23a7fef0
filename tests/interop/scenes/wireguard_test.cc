// SPDX-License-Identifier: BSD-3-Clause
// The userspace WireGuard in the kernel's place, seen by the gateway that stands on it. The
// topology is drawn in tests/support/scene/office.h.
#include <gtest/gtest.h>

#include "tests/support/scene/office.h"

namespace sallyport::scene {
namespace {

class interop_wireguard : public Played {};

constexpr const char* kRules = "  - {id: all, from: [laptop], to: [lan]}";

TEST_F(interop_wireguard, what_it_did_is_seen) {
  Office office("wg-seen");
  const EchoServer server(office.server, kV4.server);
  office.up(kRules);
  const Connection open = tcp_connect(office.laptop, kV4.server, server.port());
  ASSERT_EQ(open.error, 0) << office.gateway->dump();
  ASSERT_TRUE(tcp_echo(open.socket, 100'000)) << office.gateway->dump();
  const auto status = office.gateway->json({"status"});
  for (const auto& peer : status["peers"]) {
    if (peer["name"] != "laptop") continue;
    // Learnt: the configuration names no endpoint.
    const std::string endpoint = peer["path"]["endpoint"];
    EXPECT_TRUE(endpoint.starts_with("192.0.2.2:")) << peer;
    EXPECT_GT(peer["rx_bytes"], 100'000) << peer;
    EXPECT_GT(peer["tx_bytes"], 100'000) << peer;
    EXPECT_TRUE(peer["last_handshake_s"].is_number()) << peer;
    return;
  }
  ADD_FAILURE() << "no laptop" << office.gateway->dump();
}

TEST_F(interop_wireguard, outlives_the_agent) {
  Office office("wg-kill");
  const EchoServer server(office.server, kV4.server);
  office.up(kRules);
  const Connection open = tcp_connect(office.laptop, kV4.server, server.port());
  ASSERT_EQ(open.error, 0) << office.gateway->dump();
  ASSERT_TRUE(tcp_echo(open.socket, 1000)) << office.gateway->dump();
  office.gateway->kill9();
  EXPECT_TRUE(tcp_echo(open.socket, 100'000));
  ASSERT_TRUE(office.gateway->start()) << office.gateway->dump();
  EXPECT_TRUE(tcp_echo(open.socket, 100'000)) << office.gateway->dump();
}

}  // namespace
}  // namespace sallyport::scene
