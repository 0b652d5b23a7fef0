// SPDX-License-Identifier: BSD-3-Clause
// policy.compile: how long the agent takes to turn rules into tables, for a common policy and for
// one that shares nothing: each rule has sets, ports and protocols of its own.
#include <chrono>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "agent/policy/compile.h"
#include "tests/bench/figure.h"

namespace sallyport {
namespace {

IpRange host(uint32_t address) { return {IpAddress::v4(address), IpAddress::v4(address)}; }

/// `rules` rules over `sources` peers; destinations fall into at most `nets` networks.
PolicyInput policy(uint32_t rules, uint32_t sources, uint32_t nets, bool shared) {
  std::mt19937_64 random(11);
  PolicyInput out;
  for (uint32_t i = 0; i < sources; ++i) {
    out.peers.push_back({i + 1, {Prefix::host(IpAddress::v4(0x0a080002 + i))}});
  }
  for (uint32_t i = 0; i < rules; ++i) {
    Rule& rule = out.rules.emplace_back();
    rule.id = "r" + std::to_string(i);
    // Names the counter range twice over when there are more rules than counters: only time counts.
    rule.counter = static_cast<uint16_t>(2 + i % (SP_MAX_RULES - 2));
    for (uint32_t n = 0; n < (shared ? 1 : 50); ++n) {
      rule.from.push_back(host(static_cast<uint32_t>(0x0a080002 + random() % sources)));
    }
    rule.from = normalise(std::move(rule.from));
    const auto net = static_cast<uint32_t>(0xac100000 + (random() % nets) * 256);
    rule.to = {{IpAddress::v4(net), IpAddress::v4(net + 255)}};
    const auto port = static_cast<uint16_t>(shared ? 80 + random() % 20 : random());
    rule.ports = {{port, port}};
  }
  return out;
}

double seconds_of(const PolicyInput& input, std::string& note) {
  const auto start = std::chrono::steady_clock::now();
  const auto out = compile(input);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  note = out ? std::to_string(out->blob.size()) + " bytes, " + std::to_string(out->stats.rows) +
                   " rows"
             : out.error().text();
  return took.count();
}

}  // namespace
}  // namespace sallyport

int main(int argc, char** argv) {
  using namespace sallyport;
  const bench::Filter filter{argc, argv};
  struct Row {
    const char* name;
    uint32_t rules, sources, nets;
    bool shared;
  };
  constexpr Row kRows[] = {{"policy.compile.100", 100, 100, 20, true},
                           {"policy.compile.10000", 10'000, 1'000, 400, true},
                           {"policy.compile.10000.adversarial", 10'000, 1'000, 400, false},
                           {"policy.compile.10000.refused", 10'000, 1'000, 4'000, false}};
  for (const Row& row : kRows) {
    if (!filter.wants(row.name)) continue;
    const PolicyInput input = policy(row.rules, row.sources, row.nets, row.shared);
    bench::Samples samples;
    std::string note;
    for (int i = 0; i < 5; ++i) samples.add(seconds_of(input, note));
    std::cerr << row.name << ": " << note << "\n";
    bench::print({.name = row.name, .unit = "s", .samples = samples, .goal = bench::at_most(2)});
  }
}
