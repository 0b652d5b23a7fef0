// SPDX-License-Identifier: BSD-3-Clause
// A rule goes away while traffic runs. The topology is drawn in tests/support/scene/office.h; the
// second stream of each scene belongs to another rule and must not notice anything.
#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <ctime>
#include <filesystem>

#include "tests/support/scene/office.h"
#include "tests/support/scene/window.h"

namespace sallyport::scene {
namespace {

constexpr uint16_t kTaken = 7001;
constexpr uint16_t kKept = 7002;
// Packets a second, each way, of a stream that is cut. It has no window: with more of them a busy
// emulated guest overflows WireGuard's queues, and the streams beside lose by that.
constexpr int kRate = 500;

std::string rule(const std::string& id, uint16_t port, const std::string& more = {}) {
  return "  - {id: " + id + ", from: [laptop], to: [lan], proto: [tcp, udp], ports: [" +
         std::to_string(port) + "]" + more + "}\n";
}

Stream::Ends ends(const Office& office, const Side& side, uint16_t port) {
  return {office.laptop, side.laptop, office.server, side.server, port};
}

// Nothing that was sent after `from` has arrived, although both ends went on sending.
void expect_ended(const Office& office, const Stream& stream, const Stream::Report& from) {
  ASSERT_TRUE(eventually([&] {
    const Stream::Report now = stream.now();
    return now.a_to_b.sent > from.a_to_b.sent + 800 && now.b_to_a.sent > from.b_to_a.sent + 800;
  }));
  const Stream::Report after = stream.now();
  EXPECT_LT(after.a_to_b.highest, from.a_to_b.sent) << office.gateway->dump();
  EXPECT_LT(after.b_to_a.highest, from.b_to_a.sent) << office.gateway->dump();
}

// What the stream lost since then, all of it, was counted as revoked.
void expect_all_counted(const Office& office, Stream& stream, uint64_t revoked_before) {
  const Stream::Report report = stream.finish();
  EXPECT_TRUE(eventually(
      [&] { return office.gateway->verdicts("revoked") - revoked_before == report.lost(); }, 3s))
      << "lost " << report.lost() << ", revoked "
      << office.gateway->verdicts("revoked") - revoked_before << office.gateway->dump();
}

void for_both(const std::function<void(const Side&)>& scene) {
  for (const Side* side : {&kV4, &kV6}) {
    SCOPED_TRACE(side->name);
    scene(*side);
  }
}

SCENE(revoke, stream) {
  for_both([](const Side& side) {
    Office office(std::string("revoke-") + side.name);
    const EchoServer tcp(office.server, side.server, kTaken + 100);
    const EchoServer kept_tcp(office.server, side.server, kKept + 100);
    const std::string kept_rules = rule("kept", kKept) + rule("kept-tcp", kept_tcp.port());
    office.up(rule("taken", kTaken) + rule("taken-tcp", tcp.port()) + kept_rules);
    Stream taken(ends(office, side, kTaken), kRate, 0);
    ASSERT_TRUE(taken.flowing(250)) << office.gateway->dump();
    const Connection connection = tcp_connect(office.laptop, side.server, tcp.port());
    ASSERT_EQ(connection.error, 0) << office.gateway->dump();
    ASSERT_TRUE(tcp_echo(connection.socket, 50'000));

    Window kept(office, side, kKept, kept_tcp);
    const auto revoked = office.gateway->verdicts("revoked");
    kept.around([&] {
      office.gateway->reload(office.config(kept_rules));
      const auto flipped = taken.now();
      expect_ended(office, taken, flipped);
    });
    expect_all_counted(office, taken, revoked);
    EXPECT_FALSE(tcp_echo(connection.socket, 10, 1500ms));
    kept.close();

    // The rule comes back, and so does its traffic.
    office.gateway->reload(office.config(rule("taken", kTaken) + kept_rules));
    Stream again(ends(office, side, kTaken), kRate);
    EXPECT_TRUE(again.flowing(100)) << office.gateway->dump();
  });
}

SCENE(revoke, resurrect) {
  for_both([](const Side& side) {
    Office office(std::string("resurrect-") + side.name);
    const std::string short_timeouts = "dataplane: {timeouts: {udp: 2s}}\n";
    const EchoServer kept_tcp(office.server, side.server, kKept + 100);
    const std::string kept_rules = rule("kept", kKept) + rule("kept-tcp", kept_tcp.port());
    office.up(rule("taken", kTaken) + kept_rules, short_timeouts);
    Stream taken(ends(office, side, kTaken), kRate, 0);
    ASSERT_TRUE(taken.flowing(100)) << office.gateway->dump();
    Window kept(office, side, kKept, kept_tcp);
    const auto revoked = office.gateway->verdicts("revoked");
    kept.around([&] {
      office.gateway->reload(office.config(kept_rules, short_timeouts));
      // Only the LAN server goes on, for twice the timeout of a flow.
      taken.silence_a();
      const auto flipped = taken.now();
      ASSERT_TRUE(eventually([&] {
        const auto now = taken.now();
        return now.b_to_a.sent > flipped.b_to_a.sent + 800 && now.at - flipped.at > 4s;
      }));
      const auto after = taken.now();
      EXPECT_LT(after.b_to_a.highest, flipped.b_to_a.sent) << office.gateway->dump();
      EXPECT_LT(after.a_to_b.highest, flipped.a_to_b.sent) << office.gateway->dump();
    });
    expect_all_counted(office, taken, revoked);
    // And the laptop gets nothing through either, on that flow or another.
    const auto denied = office.gateway->verdicts("no_rule");
    const Fd socket = udp_socket(office.laptop, side.laptop);
    ASSERT_EQ(send_to(socket, side.server, kTaken, std::string(64, 'x')), 0);
    EXPECT_FALSE(receive(socket, 1s));
    EXPECT_EQ(office.gateway->verdicts("no_rule"), denied + 1) << office.gateway->dump();
    kept.close();
  });
}

std::string utc(std::chrono::system_clock::time_point when) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  std::array<char, 32> out{};
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::strftime(out.data(), out.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return out.data();
}

SCENE(revoke, deadline) {
  for_both([](const Side& side) {
    Office office(std::string("deadline-") + side.name);
    const EchoServer kept_tcp(office.server, side.server, kKept + 100);
    const std::string kept_rules = rule("kept", kKept) + rule("kept-tcp", kept_tcp.port());
    office.up(rule("taken", kTaken) + kept_rules);
    Stream taken(ends(office, side, kTaken), kRate, 0);
    ASSERT_TRUE(taken.flowing(200)) << office.gateway->dump();
    // Long enough for a reload on a busy machine, short enough to wait for.
    const auto deadline =
        std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now() + 30s);
    office.gateway->reload(
        office.config(rule("taken", kTaken, ", not_after: '" + utc(deadline) + "'") + kept_rules));
    // Rules with a time are closed until the node has found the clock credible.
    ASSERT_TRUE(eventually([&] {
      const auto answer = office.gateway->json({"rules"});
      for (const auto& rule : answer.at("rules")) {
        if (rule["id"] == "taken" && rule["active"] == true) return true;
      }
      return false;
    })) << office.gateway->dump();
    const auto revoked = office.gateway->verdicts("revoked");
    office.gateway->kill9();
    ASSERT_TRUE(taken.flowing(200)) << "it must not end before its time\n" << taken.now().text();
    ASSERT_LT(std::chrono::system_clock::now(), deadline) << "the reload took too long";

    Window kept(office, side, kKept, kept_tcp);
    kept.around([&] {
      ASSERT_LT(std::chrono::system_clock::now(), deadline) << "the window opened too late";
      ASSERT_TRUE(
          eventually([&] { return std::chrono::system_clock::now() > deadline + 20ms; }, 60s));
      expect_ended(office, taken, taken.now());
    });
    kept.close();
    const auto lost = taken.finish().lost();
    ASSERT_TRUE(office.gateway->start()) << office.gateway->dump();
    EXPECT_EQ(office.gateway->verdicts("revoked"), revoked + lost) << office.gateway->dump();
  });
}

SCENE(allow, next_packet) {
  for_both([](const Side& side) {
    Office office(std::string("allow-") + side.name);
    const EchoServer kept_tcp(office.server, side.server, kKept + 100);
    const std::string kept_rules = rule("kept", kKept) + rule("kept-tcp", kept_tcp.port());
    office.up(kept_rules);
    const auto denied = office.gateway->verdicts("no_rule");
    Stream wanted(ends(office, side, kTaken), kRate, 0);
    Window kept(office, side, kKept, kept_tcp);
    kept.around([&] {
      ASSERT_TRUE(eventually([&] { return wanted.now().a_to_b.sent > 300; }));
      EXPECT_EQ(wanted.now().a_to_b.received, 0U);
      office.gateway->reload(office.config(kept_rules + rule("wanted", kTaken)));
      const uint64_t first = wanted.now().a_to_b.sent;
      ASSERT_TRUE(wanted.flowing(500)) << office.gateway->dump();
      const auto report = wanted.finish();
      // Every packet from the flip on has arrived, and each one before it was counted.
      EXPECT_GE(report.a_to_b.received, report.a_to_b.sent - first) << office.gateway->dump();
      EXPECT_EQ(office.gateway->verdicts("no_rule"), denied + report.lost())
          << report.text() << office.gateway->dump();
    });
    kept.close();
  });
}

// One window for each family around what happens to the agent; counters continue.
void outlived(const std::string& name, const std::function<void(Office&)>& event) {
  Office office(name);
  const EchoServer tcp4(office.server, kV4.server, kKept + 100);
  const EchoServer tcp6(office.server, kV6.server, kKept + 101);
  office.up(rule("kept", kKept) + rule("tcp4", tcp4.port()) + rule("tcp6", tcp6.port()));
  for_both([&](const Side& side) {
    Window window(office, side, kKept, &side == &kV4 ? tcp4 : tcp6);
    const auto before = office.gateway->verdicts("flow");
    window.around([&] { event(office); });
    EXPECT_GT(office.gateway->verdicts("flow"), before + 500) << "counters continue";
    window.close();
  });
}

SCENE(agent, kill9) {
  outlived("kill9", [](Office& office) {
    // The node alone: the agent starts another one.
    const int node = office.gateway->node_pid();
    ASSERT_GT(node, 0);
    ASSERT_EQ(::kill(node, SIGKILL), 0);
    // A pause of 2 s, and then the start of an agent, which is slow in an emulated guest.
    const auto another = [&] {
      return office.gateway->node_pid() > 0 && office.gateway->node_pid() != node;
    };
    ASSERT_TRUE(eventually(another, 60s)) << office.gateway->dump();
    office.gateway->kill9();
    ASSERT_TRUE(office.gateway->start()) << office.gateway->dump();
  });
}

SCENE(agent, upgrade) {
  int times = 0;
  outlived("upgrade", [&](Office& office) {
    // Another file at another place is another binary; systemd would stop the one and start the
    // other.
    const std::string copies = office.net.dir() + "/next" + std::to_string(++times);
    std::filesystem::create_directories(copies);
    for (const std::string& name : {rung().agent(), std::string("sallyport-node")}) {
      std::filesystem::copy_file(program(name), copies + "/" + name);
    }
    EXPECT_EQ(office.gateway->stop(), 0);
    office.gateway->programs = copies;
    ASSERT_TRUE(office.gateway->start()) << office.gateway->dump();
  });
}

SCENE(agent, reload) {
  outlived("reload", [](Office& office) {
    const std::string rules =
        rule("kept", kKept) + rule("tcp4", kKept + 100) + rule("tcp6", kKept + 101);
    const std::string extra = "  - {id: x, from: ['*'], to: [lan], proto: [udp], ports: [1-99]}\n";
    const auto handshake = office.gateway->json({"status"})["peers"][0]["last_handshake_s"];
    EXPECT_FALSE(handshake.is_null());
    office.gateway->reload(office.config(rules));
    office.gateway->reload(office.config(rules + extra));
    // A broken file changes nothing and says where it is broken.
    office.gateway->configure(office.config(rules) + "nonsense: 1\n");
    const Output refused = office.gateway->cli({"reload"});
    EXPECT_EQ(refused.exit, 3) << refused.out << refused.err;
    EXPECT_NE(refused.err.find("config.yaml:"), std::string::npos) << refused.err;
    // Nor does a rule that names nobody; `plan` says so beforehand.
    office.gateway->configure(office.config(rules + "  - {id: y, from: [laptpo], to: [lan]}\n"));
    for (const char* verb : {"plan", "reload"}) {
      const Output unknown = office.gateway->cli({verb});
      EXPECT_EQ(unknown.exit, 3) << verb << unknown.out << unknown.err;
      EXPECT_NE(unknown.err.find("did you mean \"laptop\"?"), std::string::npos) << unknown.err;
    }
    EXPECT_NE(office.gateway->cli({"explain", "laptpo", "10.0.0.2:1"}).err.find("\"laptop\""),
              std::string::npos);
  });
}

}  // namespace
}  // namespace sallyport::scene
