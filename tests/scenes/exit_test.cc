// SPDX-License-Identifier: BSD-3-Clause
// Out to the internet through the gateway, and from site to site. The office is drawn in
// tests/support/scene/office.h; the second site:
//
//   server2 10.9.0.2/24 -- 10.9.0.1/24 gw2 198.18.0.1/24 -- inet -- 198.51.100.1 gw -- server
//           fd00:99::2/64  fd00:99::1/64                                       10.0.0.2
#include <gtest/gtest.h>

#include "tests/support/scene/office.h"

namespace sallyport::scene {
namespace {

constexpr std::chrono::milliseconds kSilence = 1500ms;

// What the laptop itself sends to the gateway's WAN address goes through the tunnel; WireGuard's
// own packets carry a mark and take the old way.
void send_gateway_address_through_the_tunnel(const Office& office) {
  rung().mark_own_packets(office.laptop, "wg0", 1);
  sh("ip rule add fwmark 1 lookup main pref 100 && "
     "ip rule add to 198.51.100.1 lookup 77 pref 101 && ip route add default dev wg0 table 77",
     office.laptop);
}

// IPv4 leaves behind the gateway's WAN address.
SCENE(exit, tcp) {
  Office office("exit-tcp");
  const EchoServer outside(office.inet, kV4.internet), outside6(office.inet, kV6.internet);
  // A host with a private address that the WAN side could reach.
  office.net.ip(office.inet, "addr add 172.16.5.5/32 dev lo");
  const EchoServer inner(office.inet, "172.16.5.5");
  office.up("  - {id: out, from: [laptop], to: [exit]}", "exit: {ipv4: true, ipv6: nat}\n");
  office.net.ip(office.laptop, "route add 172.16.0.0/12 dev wg0");
  send_gateway_address_through_the_tunnel(office);
  for (const Side* side : {&kV4, &kV6}) {
    SCOPED_TRACE(side->name);
    const EchoServer& server = side == &kV4 ? outside : outside6;
    const Connection open = tcp_connect(office.laptop, side->internet, server.port());
    ASSERT_EQ(open.error, 0) << office.gateway->dump();
    EXPECT_TRUE(tcp_echo(open.socket, 200'000)) << office.gateway->dump();
    EXPECT_EQ(server.last_client(), side == &kV4 ? "198.51.100.1" : "2001:db8:1::1");
  }
  // Private ranges, the LAN and the gateway itself stay closed.
  const auto before = office.gateway->verdicts("exit_local");
  EXPECT_EQ(tcp_connect(office.laptop, "172.16.5.5", inner.port()).error, ECONNREFUSED);
  EXPECT_EQ(tcp_connect(office.laptop, "198.51.100.1", 80).error, ECONNREFUSED);
  EXPECT_EQ(office.gateway->verdicts("exit_local"), before + 2) << office.gateway->dump();
  const auto lan = office.gateway->verdicts("no_rule");
  EXPECT_EQ(tcp_connect(office.laptop, kV4.server, 80).error, ECONNREFUSED);
  EXPECT_EQ(office.gateway->verdicts("no_rule"), lan + 1);
  EXPECT_EQ(tcp_connect(office.laptop, kV4.internet, outside.port()).error, 0);
}

SCENE(exit, udp) {
  Office office("exit-udp");
  const EchoServer outside(office.inet, kV4.internet), outside6(office.inet, kV6.internet);
  office.up("  - {id: out, from: [laptop], to: [exit], proto: [udp]}",
            "exit: {ipv4: true, ipv6: nat}\n");
  for (const Side* side : {&kV4, &kV6}) {
    SCOPED_TRACE(side->name);
    const EchoServer& server = side == &kV4 ? outside : outside6;
    const Fd socket = udp_socket(office.laptop, side->laptop);
    for (int i = 0; i < 5; ++i) {
      ASSERT_EQ(send_to(socket, side->internet, server.port(), std::string(500, 'u')), 0);
      ASSERT_TRUE(receive(socket, 5s)) << office.gateway->dump();
    }
    EXPECT_EQ(server.last_client(), side == &kV4 ? "198.51.100.1" : "2001:db8:1::1");
    // What a rule does not name stays closed: TCP to the same host.
    const auto before = office.gateway->verdicts("no_rule");
    EXPECT_EQ(tcp_connect(office.laptop, side->internet, server.port()).error, ECONNREFUSED);
    EXPECT_EQ(office.gateway->verdicts("no_rule"), before + 1);
    ASSERT_EQ(send_to(socket, side->internet, server.port(), "u"), 0);
    EXPECT_TRUE(receive(socket, 5s)) << office.gateway->dump();
  }
  const auto before = office.gateway->verdicts("exit_local");
  const Fd socket = udp_socket(office.laptop, kV4.laptop);
  send_gateway_address_through_the_tunnel(office);
  ASSERT_EQ(send_to(socket, "198.51.100.1", 53, "x"), 0);
  EXPECT_FALSE(receive(socket, kSilence));
  EXPECT_EQ(office.gateway->verdicts("exit_local"), before + 1);
  ASSERT_EQ(send_to(socket, kV4.internet, outside.port(), "u"), 0);
  EXPECT_TRUE(receive(socket, 5s)) << office.gateway->dump();
}

SCENE(site, to_site) {
  Office office("site");
  Net& net = office.net;
  const std::string gw2 = net.add("gw2");
  const std::string server2 = net.add("server2");
  net.link(gw2, "wan0", office.inet, "gw20", {"198.18.0.1/24", "2001:db8:4::1/64"},
           {"198.18.0.254/24", "2001:db8:4::fe/64"});
  net.link(gw2, "lan0", server2, "eth0", {"10.9.0.1/24", "fd00:99::1/64"},
           {"10.9.0.2/24", "fd00:99::2/64"});
  net.ip(gw2, "route add default via 198.18.0.254\nroute add default via 2001:db8:4::fe");
  net.ip(server2, "route add default via 10.9.0.1\nroute add default via fd00:99::1");
  const EchoServer v4(office.server, kV4.server), v6(office.server, kV6.server);

  // Each site knows the other as a peer with that site's prefixes.
  Gateway second(gw2, net.dir() + "/gw2");
  const auto site = [](const std::string& name, const std::string& address, const std::string& lan4,
                       const std::string& lan6, const std::string& other, const std::string& key,
                       const std::string& allowed, const std::string& endpoint,
                       const std::string& rules) {
    return "version: 1\nnode: {hostname: " + name + ", addresses: [" + address +
           "]}\npeers:\n  - {name: " + other + ", public_key: '" + key + "', allowed_ips: [" +
           allowed + "]" +
           (endpoint.empty() ? "" : ", endpoint: '" + endpoint + "', keepalive: 25") +
           "}\nlan:\n  - {name: here, prefix: " + lan4 +
           ", device: lan0, snat: off}\n  - {name: here6, prefix: '" + lan6 +
           "', device: lan0, snat: off}\nrules:\n" + rules;
  };
  const KeyPair unknown = make_keys();
  office.gateway->configure(site("gw", "100.64.1.1/32", "10.0.0.0/24", "fd00:10::/64", "branch",
                                 unknown.open, "10.9.0.0/24, 'fd00:99::/64', 100.64.1.2/32", "",
                                 "  - {id: in, from: [branch], to: [lan]}\n"));
  ASSERT_TRUE(office.gateway->start()) << office.gateway->dump();
  second.configure(site("gw2", "100.64.1.2/32", "10.9.0.0/24", "fd00:99::/64", "head",
                        office.gateway->public_key(), "10.0.0.0/24, 'fd00:10::/64', 100.64.1.1/32",
                        "198.51.100.1:" + std::to_string(office.gateway->wg_port()),
                        "  - {id: out, from: [lan], to: [head]}\n"));
  ASSERT_TRUE(second.start()) << second.dump();
  office.gateway->reload(site("gw", "100.64.1.1/32", "10.0.0.0/24", "fd00:10::/64", "branch",
                              second.public_key(), "10.9.0.0/24, 'fd00:99::/64', 100.64.1.2/32", "",
                              "  - {id: in, from: [branch], to: [lan]}\n"));

  for (const Side* side : {&kV4, &kV6}) {
    SCOPED_TRACE(side->name);
    const EchoServer& server = side == &kV4 ? v4 : v6;
    const std::string other = side == &kV4 ? "10.9.0.2" : "fd00:99::2";
    Connection open;
    ASSERT_TRUE(eventually([&] {
      open = tcp_connect(server2, side->server, server.port(), 2s);
      return open.error == 0;
    })) << office.gateway->dump()
        << second.dump();
    EXPECT_TRUE(tcp_echo(open.socket, 200'000));
    EXPECT_EQ(server.last_client(), other);
    // The other way round nobody has allowed anything, at either gateway.
    const EchoServer back(server2, other);
    const auto before = office.gateway->verdicts("no_rule");
    EXPECT_NE(tcp_connect(office.server, other, back.port(), kSilence).error, 0);
    EXPECT_GE(office.gateway->verdicts("no_rule"), before + 1);
  }
}

}  // namespace
}  // namespace sallyport::scene
