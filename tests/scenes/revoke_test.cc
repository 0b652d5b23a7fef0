// SPDX-License-Identifier: BSD-3-Clause
// A rule goes away while traffic runs. The topology is drawn in tests/support/scene/office.h; the
// second stream of each scene belongs to another rule and must not notice anything.
#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <ctime>
#include <filesystem>

#include "tests/support/scene/office.h"

namespace sallyport::scene {
namespace {

constexpr uint16_t kTaken = 7001;
constexpr uint16_t kKept = 7002;

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

void expect_lossless(const Office& office, Stream& stream) {
  const Stream::Report report = stream.finish();
  EXPECT_EQ(report.lost(), 0U) << report.text() << office.gateway->dump();
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
    office.up(rule("taken", kTaken) + rule("taken-tcp", tcp.port()) + rule("kept", kKept));
    Stream taken(ends(office, side, kTaken), 1000, 0);
    Stream kept(ends(office, side, kKept));
    ASSERT_TRUE(taken.flowing(500)) << office.gateway->dump();
    ASSERT_TRUE(kept.flowing(500)) << office.gateway->dump();
    const Connection connection = tcp_connect(office.laptop, side.server, tcp.port());
    ASSERT_EQ(connection.error, 0) << office.gateway->dump();
    ASSERT_TRUE(tcp_echo(connection.socket, 50'000));

    const auto before = kept.now();
    office.gateway->reload(office.config(rule("kept", kKept)));
    const auto flipped = taken.now();
    expect_ended(office, taken, flipped);
    EXPECT_FALSE(tcp_echo(connection.socket, 10, 1500ms));
    EXPECT_GE(office.gateway->verdicts("revoked"), 800U);

    ASSERT_TRUE(kept.flowing(500));
    expect_lossless(office, kept);
    EXPECT_GT(kept.now().a_to_b.sent, before.a_to_b.sent + 800);
  });
}

SCENE(revoke, resurrect) {
  for_both([](const Side& side) {
    Office office(std::string("resurrect-") + side.name);
    const std::string short_timeouts = "dataplane: {timeouts: {udp: 2s}}\n";
    office.up(rule("taken", kTaken) + rule("kept", kKept), short_timeouts);
    Stream taken(ends(office, side, kTaken), 200, 0);
    Stream kept(ends(office, side, kKept));
    ASSERT_TRUE(taken.flowing(100)) << office.gateway->dump();
    ASSERT_TRUE(kept.flowing(100)) << office.gateway->dump();
    office.gateway->reload(office.config(rule("kept", kKept), short_timeouts));
    // Only the LAN server goes on, for twice the timeout of a flow.
    taken.silence_a();
    const auto flipped = taken.now();
    ASSERT_TRUE(eventually([&] { return taken.now().b_to_a.sent > flipped.b_to_a.sent + 800; }));
    const auto after = taken.now();
    EXPECT_LT(after.b_to_a.highest, flipped.b_to_a.sent) << office.gateway->dump();
    EXPECT_LT(after.a_to_b.highest, flipped.a_to_b.sent) << office.gateway->dump();
    // And the laptop gets nothing through either.
    const Fd socket = udp_socket(office.laptop, side.laptop);
    ASSERT_EQ(send_to(socket, side.server, kTaken, std::string(64, 'x')), 0);
    EXPECT_FALSE(receive(socket, 1s));
    expect_lossless(office, kept);
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
  Office office("deadline");
  office.up(rule("taken", kTaken) + rule("kept", kKept));
  Stream taken(ends(office, kV4, kTaken), 200, 0);
  Stream taken6(ends(office, kV6, kTaken), 200, 0);
  Stream kept(ends(office, kV4, kKept));
  ASSERT_TRUE(taken.flowing(200)) << office.gateway->dump();
  ASSERT_TRUE(taken6.flowing(200)) << office.gateway->dump();
  ASSERT_TRUE(kept.flowing(200)) << office.gateway->dump();
  // Long enough for a reload on a busy machine, short enough to wait for.
  const auto deadline =
      std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now() + 30s);
  office.gateway->reload(office.config(
      rule("taken", kTaken, ", not_after: '" + utc(deadline) + "'") + rule("kept", kKept)));
  // Rules with a time are closed until the node has found the clock credible.
  ASSERT_TRUE(eventually([&] {
    const auto answer = office.gateway->json({"rules"});
    for (const auto& rule : answer.at("rules")) {
      if (rule["id"] == "taken" && rule["active"] == true) return true;
    }
    return false;
  })) << office.gateway->dump();
  office.gateway->kill9();
  ASSERT_TRUE(taken.flowing(200)) << "it must not end before its time\n" << taken.now().text();
  ASSERT_LT(std::chrono::system_clock::now(), deadline) << "the reload took too long";

  ASSERT_TRUE(eventually([&] { return std::chrono::system_clock::now() > deadline + 20ms; }, 60s));
  expect_ended(office, taken, taken.now());
  expect_ended(office, taken6, taken6.now());
  expect_lossless(office, kept);
}

SCENE(allow, next_packet) {
  for_both([](const Side& side) {
    Office office(std::string("allow-") + side.name);
    office.up(rule("kept", kKept));
    Stream wanted(ends(office, side, kTaken), 1000, 0);
    Stream kept(ends(office, side, kKept));
    ASSERT_TRUE(kept.flowing(200)) << office.gateway->dump();
    ASSERT_TRUE(eventually([&] { return wanted.now().a_to_b.sent > 300; }));
    EXPECT_EQ(wanted.now().a_to_b.received, 0U);

    office.gateway->reload(office.config(rule("kept", kKept) + rule("wanted", kTaken)));
    const uint64_t first = wanted.now().a_to_b.sent;
    ASSERT_TRUE(wanted.flowing(500)) << office.gateway->dump();
    const auto report = wanted.finish();
    // Every packet from the flip on has arrived.
    EXPECT_GE(report.a_to_b.received, report.a_to_b.sent - first) << office.gateway->dump();
    expect_lossless(office, kept);
  });
}

SCENE(agent, kill9) {
  Office office("kill9");
  office.up(rule("kept", kKept));
  Stream v4(ends(office, kV4, kKept));
  Stream v6(ends(office, kV6, kKept));
  ASSERT_TRUE(v4.flowing(500)) << office.gateway->dump();
  ASSERT_TRUE(v6.flowing(500)) << office.gateway->dump();
  const auto before = office.gateway->verdicts("flow");

  // The node alone: the agent starts another one.
  const int node = office.gateway->node_pid();
  ASSERT_GT(node, 0);
  ASSERT_EQ(::kill(node, SIGKILL), 0);
  ASSERT_TRUE(eventually([&] {
    return office.gateway->node_pid() > 0 && office.gateway->node_pid() != node;
  })) << office.gateway->dump();

  office.gateway->kill9();
  ASSERT_TRUE(v4.flowing(300)) << "the data plane outlives the agent";
  ASSERT_TRUE(office.gateway->start()) << office.gateway->dump();
  ASSERT_TRUE(v4.flowing(500));
  ASSERT_TRUE(v6.flowing(500));
  EXPECT_GT(office.gateway->verdicts("flow"), before + 1000) << "counters continue";
  expect_lossless(office, v4);
  expect_lossless(office, v6);
}

SCENE(agent, reload) {
  Office office("reload");
  const EchoServer tcp4(office.server, kV4.server, kKept + 10);
  office.up(rule("kept", kKept) + rule("tcp", tcp4.port()));
  Stream v4(ends(office, kV4, kKept));
  Stream v6(ends(office, kV6, kKept));
  ASSERT_TRUE(v4.flowing(300)) << office.gateway->dump();
  ASSERT_TRUE(v6.flowing(300)) << office.gateway->dump();
  const Connection connection = tcp_connect(office.laptop, kV4.server, tcp4.port());
  ASSERT_EQ(connection.error, 0);
  ASSERT_TRUE(tcp_echo(connection.socket, 20'000));
  const uint64_t retransmits = tcp_retransmits(office.laptop);
  const auto handshake = office.gateway->json({"status"})["peers"][0]["last_handshake_s"];

  for (const char* extra :
       {"", "  - {id: x, from: ['*'], to: [lan], proto: [udp], ports: [1-99]}\n"}) {
    office.gateway->reload(office.config(rule("kept", kKept) + rule("tcp", tcp4.port()) + extra));
    ASSERT_TRUE(v4.flowing(300)) << office.gateway->dump();
    ASSERT_TRUE(tcp_echo(connection.socket, 20'000));
  }
  // A broken file changes nothing and says where it is broken.
  office.gateway->configure(office.config(rule("kept", kKept)) + "nonsense: 1\n");
  const Output refused = office.gateway->cli({"reload"});
  EXPECT_EQ(refused.exit, 3) << refused.out << refused.err;
  EXPECT_NE(refused.err.find("config.yaml:"), std::string::npos) << refused.err;
  ASSERT_TRUE(v4.flowing(300)) << office.gateway->dump();
  ASSERT_TRUE(tcp_echo(connection.socket, 20'000));

  EXPECT_EQ(tcp_retransmits(office.laptop), retransmits);
  EXPECT_FALSE(handshake.is_null());
  expect_lossless(office, v4);
  expect_lossless(office, v6);
}

SCENE(agent, upgrade) {
  Office office("upgrade");
  office.up(rule("kept", kKept));
  Stream v4(ends(office, kV4, kKept));
  Stream v6(ends(office, kV6, kKept));
  ASSERT_TRUE(v4.flowing(300)) << office.gateway->dump();
  ASSERT_TRUE(v6.flowing(300)) << office.gateway->dump();
  const auto before = office.gateway->verdicts("flow");
  // Another file at another place is another binary; systemd would stop the one and start the
  // other.
  const std::string copies = office.net.dir() + "/next";
  std::filesystem::create_directories(copies);
  for (const std::string& name : {rung().agent(), std::string("sallyport-node")}) {
    std::filesystem::copy_file(program(name), copies + "/" + name);
  }
  EXPECT_EQ(office.gateway->stop(), 0);
  ASSERT_TRUE(v4.flowing(200)) << "SIGTERM leaves the data plane";
  office.gateway->programs = copies;
  ASSERT_TRUE(office.gateway->start()) << office.gateway->dump();
  ASSERT_TRUE(v4.flowing(300));
  ASSERT_TRUE(v6.flowing(300));
  EXPECT_GT(office.gateway->verdicts("flow"), before + 500);
  expect_lossless(office, v4);
  expect_lossless(office, v6);
}

}  // namespace
}  // namespace sallyport::scene
