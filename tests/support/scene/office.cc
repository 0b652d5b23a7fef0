// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/scene/office.h"

#include <gtest/gtest.h>

#include <fstream>

namespace sallyport::scene {

const Side kV4{"v4",       "100.64.0.2", "100.64.0.3", "100.64.0.1",
               "10.0.0.2", "10.0.0.1",   "203.0.113.9"};
const Side kV6{"v6", "fd77::2", "fd77::3", "fd77::1", "fd00:10::2", "fd00:10::1", "2001:db8:9::9"};

KeyPair make_keys() {
  KeyPair out;
  out.secret = sh("wg genkey");
  out.secret.pop_back();
  out.open = sh("echo '" + out.secret + "' | wg pubkey");
  out.open.pop_back();
  return out;
}

Office::Office(const std::string& scene) : net(scene) {
  laptop = net.add("laptop");
  inet = net.add("inet");
  gw = net.add("gw");
  server = net.add("server");
  net.link(laptop, "eth0", inet, "lap0", {"192.0.2.2/24", "2001:db8:2::2/64"},
           {"192.0.2.1/24", "2001:db8:2::1/64"});
  net.link(gw, "wan0", inet, "gw0", {"198.51.100.1/24", "2001:db8:1::1/64"},
           {"198.51.100.254/24", "2001:db8:1::fe/64"});
  net.link(gw, "lan0", server, "eth0", {"10.0.0.1/24", "fd00:10::1/64"},
           {"10.0.0.2/24", "fd00:10::2/64"});
  Net::forwarding(inet);
  net.ip(inet, "addr add 203.0.113.9/32 dev lo\naddr add 2001:db8:9::9/128 dev lo");
  net.ip(laptop, "route add default via 192.0.2.1\nroute add default via 2001:db8:2::1");
  net.ip(gw, "route add default via 198.51.100.254\nroute add default via 2001:db8:1::fe");
  net.ip(server, "route add default via 10.0.0.1\nroute add default via fd00:10::1");
  laptop_keys = make_keys();
  second_keys = make_keys();
  gateway = std::make_unique<Gateway>(gw, net.dir() + "/gw");
}

std::string Office::config(const std::string& rules, const std::string& more) const {
  const std::string nat = snat ? "on" : "off";
  return "version: 1\n"
         "node:\n"
         "  hostname: gw\n"
         "  addresses: [100.64.0.1/24, 'fd77::1/64']\n"
         "peers:\n"
         "  - {name: laptop, public_key: '" +
         laptop_keys.open +
         "', allowed_ips: [100.64.0.2/32, 'fd77::2/128']}\n"
         "  - {name: second, public_key: '" +
         second_keys.open +
         "', allowed_ips: [100.64.0.3/32, 'fd77::3/128']}\n"
         "lan:\n"
         "  - {name: office, prefix: 10.0.0.0/24, device: lan0, snat: " +
         nat +
         "}\n"
         "  - {name: office6, prefix: 'fd00:10::/64', device: lan0, snat: " +
         nat + "}\n" + more + (rules.empty() ? "rules: []\n" : "rules:\n" + rules + "\n");
}

void Office::up(const std::string& rules, const std::string& more) {
  gateway->configure(config(rules, more));
  ASSERT_TRUE(gateway->start()) << gateway->dump();
  connect(laptop, laptop_keys, "100.64.0.2", "fd77::2");
}

void Office::add_second() {
  second = net.add("second");
  net.link(second, "eth0", inet, "sec0", {"192.0.3.2/24", "2001:db8:3::2/64"},
           {"192.0.3.1/24", "2001:db8:3::1/64"});
  net.ip(second, "route add default via 192.0.3.1\nroute add default via 2001:db8:3::1");
  connect(second, second_keys, "100.64.0.3", "fd77::3");
}

void Office::connect(const std::string& netns, const KeyPair& keys, const std::string& v4,
                     const std::string& v6) {
  const std::string file = net.dir() + "/" + netns + ".key";
  std::ofstream(file) << keys.secret;
  tunnels_.push_back(
      rung().make_tunnel({.netns = netns,
                          .device = "wg0",
                          .secret_file = file,
                          .peer_key = gateway->public_key(),
                          .peer_endpoint = "198.51.100.1:" + std::to_string(gateway->wg_port())}));
  net.ip(netns, "addr add " + v4 + "/32 dev wg0\naddr add " + v6 +
                    "/128 dev wg0 nodad\nlink set wg0 mtu 1420 up\n"
                    "route add 100.64.0.0/24 dev wg0\nroute add 10.0.0.0/24 dev wg0\n"
                    "route add 203.0.113.0/24 dev wg0\n"
                    "route add fd77::/64 dev wg0\nroute add fd00:10::/64 dev wg0\n"
                    "route add 2001:db8:9::/64 dev wg0");
}

}  // namespace sallyport::scene
