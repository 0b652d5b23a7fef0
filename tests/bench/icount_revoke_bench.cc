// SPDX-License-Identifier: BSD-3-Clause
// How fast a rule that is gone is gone: a client sends at a steady rate through the tunnel, the
// rule leaves config.yaml, and SIGHUP is sent. Needs a kernel with WireGuard, and root.
//
// The baseline, over the same tunnel in the same run: `nft replace rule` of a rule that accepts the
// packets by one that drops them, from the start of that program.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include "tests/bench/figure.h"
#include "tests/support/scene/office.h"

namespace sallyport::scene {
namespace {

constexpr int kRounds = 5;
constexpr uint16_t kTaken = 7001;
constexpr uint16_t kFiltered = 7002;
constexpr double kGoalMs = 50;
constexpr double kLeastRate = 1'000;

[[noreturn]] void die(const std::string& why) {
  std::cerr << "icount_revoke_bench: " << why << '\n';
  std::exit(1);
}
void must(bool done, const Office& office, const std::string& what) {
  if (!done) die(what + office.gateway->dump());
}

std::string rule(const std::string& id, uint16_t port) {
  return "  - {id: " + id + ", from: [laptop], to: [lan], proto: [udp], ports: [" +
         std::to_string(port) + "]}\n";
}

double ms(Clock::duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

/// Waits until the LAN server has heard nothing for 200 packets of the laptop's, and says when it
/// heard the last one.
Clock::time_point last_heard(const Office& office, const Stream& stream) {
  auto quiet = stream.now();
  must(eventually([&] {
         const auto now = stream.now();
         if (now.a_to_b.received != quiet.a_to_b.received) quiet = now;
         return now.a_to_b.sent >= quiet.a_to_b.sent + 200;
       }),
       office, "it goes on");
  return quiet.a_to_b.last_received;
}

struct Scene {
  Office office{"latency"};
  std::string with = rule("taken", kTaken) + rule("filtered", kFiltered);
  std::string without = rule("filtered", kFiltered);
  bench::Samples ours, nft, late, rate;

  void start() {
    office.up(with);
    sh("nft add table inet bench && "
       "nft 'add chain inet bench f { type filter hook forward priority 10; }' && "
       "nft add rule inet bench f udp dport " +
           std::to_string(kFiltered) + " accept",
       office.gw);
  }
  Stream::Ends ends(uint16_t port) const {
    return {office.laptop, kV4.laptop, office.server, kV4.server, port};
  }

  void take_our_rule() {
    office.gateway->reload(office.config(with));
    Stream stream(ends(kTaken), 1250, 0);
    const auto before = stream.now();
    must(stream.flowing(1000), office, "nothing flows");
    rate.add(stream.now().rate_since(before));
    office.gateway->configure(office.config(without));
    const auto asked = Clock::now();
    office.gateway->signal(SIGHUP);
    ours.add(ms(last_heard(office, stream) - asked));
    stream.finish();
  }
  /// The answer of `reload` comes after the flip: whatever is sent later may not arrive.
  void count_late_packets() {
    office.gateway->reload(office.config(with));
    Stream stream(ends(kTaken), 1250, 0);
    must(stream.flowing(500), office, "nothing flows");
    office.gateway->reload(office.config(without));
    const auto flipped = stream.now();
    must(eventually([&] { return stream.now().a_to_b.sent > flipped.a_to_b.sent + 2000; }), office,
         "it does not send");
    const auto report = stream.finish();
    const auto late_in = [](uint64_t highest, uint64_t first) {
      return highest < first ? 0.0 : static_cast<double>(highest - first + 1);
    };
    late.add(late_in(report.a_to_b.highest, flipped.a_to_b.sent) +
             late_in(report.b_to_a.highest, flipped.b_to_a.sent));
  }
  void take_nft_rule() {
    const std::string of_port = " udp dport " + std::to_string(kFiltered);
    const std::string handle =
        sh("nft -a list chain inet bench f | sed -n 's/.* dport .* handle //p'", office.gw);
    const std::string replace =
        "nft replace rule inet bench f handle " + handle.substr(0, handle.size() - 1) + of_port;
    Stream stream(ends(kFiltered), 1250, 0);
    must(stream.flowing(1000), office, "nothing flows");
    const auto asked = Clock::now();
    sh(replace + " drop", office.gw);
    nft.add(ms(last_heard(office, stream) - asked));
    sh(replace + " accept", office.gw);
  }
};

}  // namespace
}  // namespace sallyport::scene

int main(int argc, char** argv) {
  using namespace sallyport;
  using namespace sallyport::scene;
  testing::InitGoogleTest();
  const bench::Filter filter(argc, argv);
  const bool wanted = filter.wants("revoke.latency") || filter.wants("revoke.late_packets") ||
                      filter.wants("revoke.rate");
  if (!wanted) return 0;
  Scene scene;
  scene.start();
  for (int round = 0; round < kRounds; ++round) {
    scene.take_our_rule();
    scene.take_nft_rule();
    scene.count_late_packets();
  }
  if (testing::Test::HasFailure()) die("the scene does not stand");
  if (filter.wants("revoke.latency")) {
    bench::print({"revoke.latency", "ms", scene.ours, {}, bench::at_most(kGoalMs)});
  }
  if (filter.wants("revoke.latency.against_nft")) {
    bench::print({"revoke.latency.against_nft",
                  "ms",
                  scene.ours,
                  bench::Baseline{"nft_replace_rule", scene.nft},
                  {}});
  }
  if (filter.wants("revoke.late_packets")) {
    bench::print({"revoke.late_packets", "packets", scene.late, {}, bench::at_most(0)});
  }
  if (filter.wants("revoke.rate")) {
    bench::print({"revoke.rate", "packets/s", scene.rate, {}, bench::at_least(kLeastRate)});
  }
  return 0;
}
