// SPDX-License-Identifier: BSD-3-Clause
#include "tests/interop/scenes/ground.h"

#include <gtest/gtest.h>

namespace sallyport::scene {
namespace {

// To a private address the stock client speaks plain HTTP only; else it comes back by TLS on 443.
constexpr const char* kControl = "172.31.255.1";
constexpr const char* kInternetRouter = "203.0.113.1";
constexpr const char* kRegions = "203.0.113.1,203.0.113.2";
constexpr const char* kPrivateRanges[] = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
                                          "100.64.0.0/10"};

void nft(const std::string& netns, const std::string& rules) {
  const Output result = run({"nft", "-f", "-"}, netns, 60s, rules);
  EXPECT_EQ(result.exit, 0) << rules << result.err;
}

/// Rules of a NAT whose outside is `wan`. Without the two chains of filters the far side's first
/// probe becomes a connection of the router itself and takes the port away from the host's own.
std::string nat_rules(Nat kind) {
  const std::string random = kind == Nat::kHard ? " fully-random" : "";
  const std::string no_udp = kind == Nat::kNoUdp ? "meta l4proto udp drop\n" : "";
  return "table ip nat {\n"
         "chain out { type nat hook postrouting priority srcnat\n"
         "oifname \"wan\" masquerade" +
         random +
         "\n}\n"
         "chain input { type filter hook input priority filter\n"
         "iifname \"wan\" ct state new drop\n}\n"
         "chain forward { type filter hook forward priority filter\n" +
         no_udp +
         "iifname \"wan\" ct status dnat accept\n"
         "iifname \"wan\" ct state new drop\n}\n}\n";
}

std::string on_internet(int number) { return "203.0.113." + std::to_string(number); }
std::string lan(int number, int host) {
  return "192.168." + std::to_string(number) + "." + std::to_string(host);
}

}  // namespace

Ground::Ground(const std::string& scene) : net(scene), internet(net.add("internet")) {
  Net::forwarding(internet);
  std::string batch =
      "link add net0 type bridge\nlink set net0 up\naddr add 203.0.113.1/24 dev net0\n"
      "addr add 203.0.113.2/24 dev net0\naddr add 198.51.100.9/32 dev lo\n"
      "addr add 172.31.255.1/32 dev lo\n";
  for (const char* range : kPrivateRanges) {
    batch += std::string("route add unreachable ") + range + "\n";
  }
  net.ip(internet, batch);
  reference_ = std::make_unique<Servant>(
      std::vector<std::string>{go_program("REFERENCE"), std::string("-address=") + kControl,
                               std::string("-derp-at=") + kRegions},
      internet, net.dir() + "/reference.log");
  const auto first = reference_->hear();
  EXPECT_TRUE(first) << reference_->log();
  if (first) control_url = Json::parse(*first)["control"];
}

Ground::Host Ground::host(const std::string& name, const std::vector<Nat>& nats,
                          const std::string& device) {
  Host out{.netns = net.add(name), .address = {}, .routers = {}};
  int number = next_++;
  std::string outside = internet;
  std::string gateway = kInternetRouter;
  std::string address = on_internet(number);
  const auto plug_in = [&](const std::string& netns, const std::string& inner) {
    const std::string far = name.substr(0, 8) + "-" + std::to_string(out.routers.size());
    std::vector<std::string> far_addresses;
    if (outside != internet) far_addresses.push_back(gateway + "/24");
    net.link(netns, inner, outside, far, {address + "/24"}, far_addresses);
    if (outside == internet) net.ip(internet, "link set " + far + " master net0");
    net.ip(netns, "route add default via " + gateway);
  };
  for (size_t i = nats.size(); i-- > 0;) {
    const std::string router = net.add(name + "-nat" + std::to_string(i));
    plug_in(router, "wan");
    Net::forwarding(router);
    nft(router, nat_rules(nats[i]));
    out.routers.insert(out.routers.begin(), router);
    outside = router;
    gateway = lan(number, 1);
    address = lan(number, 2);
    number = next_++;
  }
  plug_in(out.netns, device);
  out.address = address;
  return out;
}

std::string Ground::out_address(const Host& host) {
  if (host.routers.empty()) return host.address;
  return sh("ip -4 -o addr show dev wan | awk '{split($4, a, \"/\"); printf a[1]}'",
            host.routers.back());
}

void Ground::forget_mappings(const std::string& router) {
  nft(router,
      "flush chain ip nat out\n"
      "add rule ip nat out oifname \"wan\" meta l4proto { tcp, udp } "
      "masquerade to :20000-30000\n");
  sh("conntrack -F", router);
}

void Ground::drop(const std::string& netns, const std::string& expression) {
  std::string table = "table inet lossy {\n";
  for (const char* hook : {"forward", "output", "input"}) {
    table += std::string("chain ") + hook + " { type filter hook " + hook +
             " priority filter - 10\n" + expression + " drop\n}\n";
  }
  nft(netns, table + "}\n");
}

void Ground::admit(const std::string& netns) { nft(netns, "delete table inet lossy\n"); }

Json Ground::node(const std::string& key) {
  for (const Json& entry : control("nodes")) {
    if (entry["Key"] == key) return entry;
  }
  return {};
}

void Ground::set_filter(const std::string& node_key, const Json& rules) {
  const Json message{{"PacketFilters", {{"*", nullptr}, {"base", rules}}}};
  control("raw " + node_key + " " + message.dump());
}

std::string Ground::dump() const { return "--- reference\n" + reference_->log(); }

}  // namespace sallyport::scene
