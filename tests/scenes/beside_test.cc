// SPDX-License-Identifier: BSD-3-Clause
// Beside others on one host: forged sources, strict reverse path filters, somebody who deletes what
// is ours, another firewall, and leaving without a trace. The topology is drawn in
// tests/support/scene/office.h.
#include <bpf/bpf.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "tests/support/scene/office.h"

namespace sallyport::scene {
namespace {

constexpr std::chrono::milliseconds kSilence = 1500ms;
constexpr std::chrono::milliseconds kUnanswered = 4s;  // three SYNs into silence: at 0, 1 and 3 s
constexpr const char* kAll = "  - {id: all, from: [laptop], to: [lan]}";

void for_both(const std::function<void(const Side&)>& scene) {
  for (const Side* side : {&kV4, &kV6}) {
    SCOPED_TRACE(side->name);
    scene(*side);
  }
}

bool reaches(const Office& office, const Side& side, const EchoServer& server,
             std::chrono::milliseconds limit = 15s) {
  const Connection open = tcp_connect(office.laptop, side.server, server.port(), limit);
  return open.error == 0 && tcp_echo(open.socket, 5'000);
}

// A LAN host that claims the laptop's address gets nothing to the gateway or beyond it.
SCENE(spoof, lan) {
  for_both([](const Side& side) {
    Office office(std::string("spoof-lan-") + side.name);
    const EchoServer server(office.server, side.server);
    office.up(kAll);
    ASSERT_TRUE(reaches(office, side, server)) << office.gateway->dump();
    const EchoServer gateway_service(office.gw, side.gateway_lan);
    const bool six = &side == &kV6;
    office.net.ip(office.server, std::string("addr add ") + side.laptop +
                                     (six ? "/128 dev eth0 nodad" : "/32 dev eth0"));
    const Fd honest = udp_socket(office.server, side.server);
    const Fd forged = udp_socket(office.server, side.laptop);
    ASSERT_EQ(send_to(honest, side.gateway_lan, gateway_service.port(), "x"), 0);
    ASSERT_TRUE(receive(honest, 5s)) << office.gateway->dump();
    const auto before = office.gateway->verdicts("spoofed_source");
    for (int i = 0; i < 20; ++i) {
      ASSERT_EQ(send_to(forged, side.gateway_lan, gateway_service.port(), "forged"), 0);
    }
    EXPECT_FALSE(receive(forged, kSilence));
    EXPECT_EQ(gateway_service.last_client(), side.server);
    EXPECT_EQ(office.gateway->verdicts("spoofed_source"), before + 20) << office.gateway->dump();
    ASSERT_EQ(send_to(honest, side.gateway_lan, gateway_service.port(), "x"), 0);
    EXPECT_TRUE(receive(honest, 5s));
  });
}

// The same from the internet; and a WAN whose own subnet lies in 100.64/10 works.
SCENE(spoof, wan) {
  Office office("spoof-wan");
  office.net.ip(office.gw, "addr add 100.64.77.1/24 dev wan0");
  office.net.ip(office.inet, "addr add 100.64.77.2/24 dev gw0\naddr add 100.64.0.2/32 dev lo");
  office.net.ip(office.inet, "addr add fd77::2/128 dev lo nodad");
  office.up(kAll);
  const EchoServer v4(office.server, kV4.server);
  ASSERT_TRUE(reaches(office, kV4, v4)) << office.gateway->dump();

  const EchoServer service(office.gw, "100.64.77.1"), service6(office.gw, "2001:db8:1::1");
  const Fd neighbour = udp_socket(office.inet, "100.64.77.2");
  ASSERT_EQ(send_to(neighbour, "100.64.77.1", service.port(), "x"), 0);
  ASSERT_TRUE(receive(neighbour, 5s))
      << "the carrier's own 100.64/10 must work" << office.gateway->dump();
  const auto before = office.gateway->verdicts("spoofed_source");
  const Fd forged = udp_socket(office.inet, "100.64.0.2");
  const Fd forged6 = udp_socket(office.inet, "fd77::2");
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(send_to(forged, "100.64.77.1", service.port(), "forged"), 0);
    ASSERT_EQ(send_to(forged6, "2001:db8:1::1", service6.port(), "forged"), 0);
  }
  EXPECT_FALSE(receive(forged, kSilence));
  EXPECT_FALSE(receive(forged6, 100ms));
  EXPECT_EQ(service.last_client(), "100.64.77.2");
  EXPECT_EQ(office.gateway->verdicts("spoofed_source"), before + 40) << office.gateway->dump();

  // And nothing from there reaches an address behind the tunnel.
  const EchoServer laptop(office.laptop, kV4.laptop);
  office.net.ip(office.inet,
                "addr del 100.64.0.2/32 dev lo\nroute add 100.64.0.2/32 via 198.51.100.1");
  const auto from_wan = office.gateway->verdicts("tailnet_from_wan");
  const Fd outside = udp_socket(office.inet, "198.51.100.254");
  for (int i = 0; i < 10; ++i) ASSERT_EQ(send_to(outside, kV4.laptop, laptop.port(), "x"), 0);
  EXPECT_FALSE(receive(outside, kSilence));
  EXPECT_EQ(laptop.last_client(), "");
  EXPECT_EQ(office.gateway->verdicts("tailnet_from_wan"), from_wan + 10);
  ASSERT_EQ(send_to(neighbour, "100.64.77.1", service.port(), "x"), 0);
  EXPECT_TRUE(receive(neighbour, 5s)) << office.gateway->dump();
  EXPECT_TRUE(reaches(office, kV4, v4));
}

SCENE(rpfilter, strict) {
  Office office("rpfilter");
  const EchoServer v4(office.server, kV4.server), v6(office.server, kV6.server);
  sh("sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1 "
     "net.ipv4.conf.wan0.rp_filter=1 net.ipv4.conf.lan0.rp_filter=1",
     office.gw);
  office.up(kAll);
  EXPECT_TRUE(reaches(office, kV4, v4)) << office.gateway->dump();
  EXPECT_TRUE(reaches(office, kV6, v6)) << office.gateway->dump();
  EXPECT_EQ(tcp_connect(office.laptop, kV4.gateway, 22).error, ECONNREFUSED);
  EXPECT_EQ(sh("cat /proc/sys/net/ipv4/conf/sallyport0/rp_filter", office.gw), "1\n")
      << "ours to respect, not to change";
}

std::string host_state(const std::string& netns) {
  std::string out;
  for (const char* command :
       {"ip -d link", "ip addr", "ip route show table all", "ip -6 route show table all", "ip rule",
        "ip -6 rule", "nft list ruleset", "sysctl -a 2>/dev/null | grep ^net",
        "for d in $(ip -o link | awk -F'[ @:]+' '{print $2}'); do ethtool -k $d 2>/dev/null; "
        "done"}) {
    out += std::string("--- ") + command + "\n" + run({"/bin/sh", "-c", command}, netns).out;
  }
  // Counters, neighbours' timers and caches move by themselves.
  static const std::regex moving(
      "( tentative|expires [0-9]+sec|valid_lft [0-9]+sec|preferred_lft [0-9]+sec|pref medium|"
      "[^\n]*(nf_conntrack_count|random\\.|stable_secret|route\\.gc|neigh\\.default\\.gc|netdev_"
      "rss_key|"
      "tcp_fastopen_key|flush)[^\n]*)");
  out = std::regex_replace(out, moving, "");
  // A device that is made anew has another number.
  static const std::regex number("(^|\n)[0-9]+: sallyport0:");
  return std::regex_replace(out, number, "$1N: sallyport0:");
}

// The first lines in which two dumps differ.
std::string difference(const std::string& before, const std::string& after,
                       const std::string& dir) {
  std::ofstream(dir + "/before") << before;
  std::ofstream(dir + "/after") << after;
  return run({"diff", "-U1", dir + "/before", dir + "/after"}).out;
}

// What the agent says that it has repaired since its log was that long, one line a step.
std::multiset<std::string> repaired_since(const Office& office, size_t length) {
  std::multiset<std::string> out;
  std::istringstream lines(office.gateway->log().substr(length));
  for (std::string line; std::getline(lines, line);) {
    if (const size_t at = line.find("repaired op="); at != std::string::npos) {
      out.insert(line.substr(at));
    }
  }
  return out;
}

// BPF objects are the host's, not the namespace's. Where other tests may run beside this one only
// the pins are ours to compare.
std::string bpf_state() {
  std::string out = run({"/bin/sh", "-c", "ls -R /sys/fs/bpf"}).out;
  if (std::getenv("SALLYPORT_LAB") == nullptr) return out;
  const auto list = [&](const char* kind, int (*next)(uint32_t, uint32_t*)) {
    for (uint32_t id = 0; next(id, &id) == 0;) out += kind + std::to_string(id) + "\n";
  };
  list("link ", bpf_link_get_next_id);
  list("map ", bpf_map_get_next_id);
  list("program ", bpf_prog_get_next_id);
  return out;
}

SCENE(down, clean) {
  Office office("down");
  const EchoServer v4(office.server, kV4.server);
  // Modules stay loaded, and bring sysctls of their own: that is no change of ours. Some kernels
  // have them built in.
  run({"modprobe", "-a", "nf_conntrack", "nft_masq", "nft_fib_inet"});
  // What a person has set must come back as it was.
  sh("sysctl -qw net.ipv4.ip_local_reserved_ports=7777,8000-8010", office.gw);
  sh("ethtool -K lan0 rx-gro-list on 2>/dev/null || true", office.gw);
  const std::string before = host_state(office.gw);
  const std::string bpf_before = bpf_state();
  office.up(kAll, "exit: {ipv4: true, ipv6: nat}\n");
  EXPECT_TRUE(reaches(office, kV4, v4)) << office.gateway->dump();
  EXPECT_NE(host_state(office.gw), before);
  const Output down = office.gateway->cli({"down"});
  EXPECT_EQ(down.exit, 0) << down.out << down.err;
  EXPECT_EQ(office.gateway->json({"status"}).at("state"), "Stopped");
  const std::string after = host_state(office.gw);
  EXPECT_TRUE(after == before) << difference(before, after, office.net.dir());
  EXPECT_EQ(office.gateway->stop(), 0);
  // The kernel frees them a little later than it forgets them.
  EXPECT_TRUE(eventually([&] { return bpf_state() == bpf_before; }, 10s))
      << difference(bpf_before, bpf_state(), office.net.dir());
  EXPECT_FALSE(reaches(office, kV4, v4, kUnanswered));
  // And it starts again from nothing.
  ASSERT_TRUE(office.gateway->start()) << office.gateway->dump();
  EXPECT_TRUE(eventually([&] { return reaches(office, kV4, v4); })) << office.gateway->dump();
}

SCENE(foreign, repair) {
  Office office("repair");
  const EchoServer v4(office.server, kV4.server), v6(office.server, kV6.server);
  office.up(kAll);
  ASSERT_TRUE(reaches(office, kV4, v4)) << office.gateway->dump();
  ASSERT_TRUE(reaches(office, kV6, v6)) << office.gateway->dump();
  const std::string good = host_state(office.gw);
  // The last one is the whole device: made anew with the same key and port, so that the client
  // finds its way back.
  for (const char* vandalism :
       {"ip route flush table 5300", "ip -6 route flush table 5300",
        "ip rule del pref $(ip rule | awk -F: '/lookup 5300/{print $1; exit}')",
        "nft delete table inet sallyport", "ip addr flush dev sallyport0",
        "ip link set sallyport0 down", "sysctl -qw net.ipv4.ip_forward=0",
        "ip link del sallyport0"}) {
    SCOPED_TRACE(vandalism);
    const size_t said = office.gateway->log().size();
    sh(vandalism, office.gw);
    // A sysctl tells nobody: it is looked at every ten seconds. A whole dump takes long, so it is
    // made once there is something to see.
    ASSERT_TRUE(eventually([&] { return !repaired_since(office, said).empty(); }, 60s))
        << "nothing was logged" << office.gateway->dump();
    EXPECT_TRUE(eventually([&] { return host_state(office.gw) == good; }, 60s))
        << difference(good, host_state(office.gw), office.net.dir()) << office.gateway->dump();
    EXPECT_TRUE(eventually([&] { return pings(office.laptop, kV4.server, 1, 1s) == 1; }, 40s))
        << office.gateway->dump();
    EXPECT_TRUE(reaches(office, kV4, v4)) << office.gateway->dump();
    EXPECT_TRUE(reaches(office, kV6, v6)) << office.gateway->dump();
    const auto repaired = repaired_since(office, said);
    for (const std::string& step : repaired) {
      EXPECT_EQ(repaired.count(step), 1U) << "logged more than once: " << step;
    }
    EXPECT_TRUE(host_state(office.gw) == good) << "and it stays so";
  }
}

SCENE(firewall, beside) {
  Office office("firewall");
  const EchoServer v4(office.server, kV4.server);
  // As Docker leaves a host.
  sh("nft add table ip filter && nft 'add chain ip filter FORWARD { type filter hook forward "
     "priority 0; policy drop; }'",
     office.gw);
  office.up(kAll);
  EXPECT_FALSE(reaches(office, kV4, v4, kUnanswered)) << "the administrator's drop holds";
  const Output doctor = office.gateway->cli({"--json", "doctor"});
  EXPECT_EQ(doctor.exit, 10) << doctor.out << doctor.err;
  const auto answer = nlohmann::json::parse(doctor.out, nullptr, false);
  ASSERT_FALSE(answer.is_discarded()) << doctor.out;
  std::string fix;
  for (const auto& finding : answer.at("findings")) {
    if (finding.at("id") == "foreign_forward") fix = finding.at("fix");
  }
  ASSERT_NE(fix, "") << answer.dump(1);
  sh(fix, office.gw);
  EXPECT_TRUE(reaches(office, kV4, v4)) << fix << office.gateway->dump();
}

}  // namespace
}  // namespace sallyport::scene
