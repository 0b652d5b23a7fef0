// SPDX-License-Identifier: BSD-3-Clause
/// What the access rules cost a packet, against one lookup in an LRU hash of the same key, value
/// and size over the same 65,536 flows in the same random order. All three run as
/// BPF_PROG_TEST_RUN; what it costs to put the next flow into the packet is measured alone and
/// taken off both.
///
/// acl.hit: packets of known flows. acl.miss: first packets, which a rule allows, of flows that are
/// not recorded (their peers are at their share), with the table full of others. acl.insert: what
/// recording adds to that.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "agent/policy/compile.h"
#include "kmod-glue/bpf_loader.h"
#include "tests/bench/acl_bench.skel.h"
#include "tests/bench/figure.h"

namespace sallyport::bench {
namespace {

constexpr uint32_t kFlows = 65536;
constexpr uint32_t kPeers = 256;
constexpr uint32_t kRules = 100;
constexpr int kRounds = 9;

struct FlowEnds {  // struct flow_ends of acl_bench.bpf.c
  uint32_t src_be, dst_be;
  uint16_t src_port_be, dst_port_be;
};

struct Destroy {
  void operator()(acl_bench_bpf* programs) const { acl_bench_bpf__destroy(programs); }
};
using Programs = std::unique_ptr<acl_bench_bpf, Destroy>;

[[noreturn]] void give_up(const std::string& why) {
  std::cerr << "bench_acl: " << why << '\n';
  std::exit(1);
}
template <class T>
T need(Result<T> result) {
  if (!result) give_up(result.error().text());
  return std::move(result).value();
}

// Peer i is 10.99.x.y; rule i leads peers of its own group to a port of a server of its own.
PolicyInput policy() {
  PolicyInput out;
  for (uint32_t i = 1; i <= kPeers; i++) {
    out.peers.push_back({i, {Prefix::host(IpAddress::v4(0x0a630000 + i))}});
  }
  for (uint32_t i = 0; i < kRules; i++) {
    Rule& rule = out.rules.emplace_back();
    rule.id = fmt::format("rule{}", i);
    rule.counter = static_cast<uint16_t>(i + 1);
    const uint32_t first = 1 + i * 2;
    const uint32_t last = i + 1 == kRules ? kPeers : first + 20;
    rule.from = {{IpAddress::v4(0x0a630000 + first), IpAddress::v4(0x0a630000 + last)}};
    rule.to = {Prefix::host(IpAddress::v4(0xc0a80700 + i)).range()};
    rule.protos = {IpProto::kUdp};
    rule.ports = {{static_cast<uint16_t>(1000 + i), static_cast<uint16_t>(1000 + i)}};
  }
  return out;
}

// Every one is allowed by a rule. `base`: first source port.
std::vector<FlowEnds> flows(uint16_t base) {
  std::vector<FlowEnds> out;
  for (uint32_t i = 0; i < kFlows; i++) {
    const uint32_t rule = i % kRules;
    const uint32_t peer = 1 + rule * 2 + (i / kRules) % 20;
    out.push_back({__builtin_bswap32(0x0a630000 + peer), __builtin_bswap32(0xc0a80700 + rule),
                   __builtin_bswap16(static_cast<uint16_t>(base + i / (kRules * 20))),
                   __builtin_bswap16(static_cast<uint16_t>(1000 + rule))});
  }
  std::shuffle(out.begin(), out.end(), std::mt19937_64(7));
  return out;
}

sp_flow_key key_of(const FlowEnds& ends) {
  sp_flow_key key{};
  key.peer_addr[10] = key.peer_addr[11] = key.other_addr[10] = key.other_addr[11] = 0xff;
  std::memcpy(key.peer_addr + 12, &ends.src_be, 4);
  std::memcpy(key.other_addr + 12, &ends.dst_be, 4);
  key.peer_port_be = ends.src_port_be;
  key.other_port_be = ends.dst_port_be;
  key.proto = 17;
  return key;
}

class Bench {
 public:
  Bench() {
    plane_ = need(DataPlane::open({.pin_dir = {}, .flows = kFlows, .peers = kPeers + 1}));
    const auto compiled = compile(policy());
    if (!compiled) give_up("the policy is too big");
    const uint32_t slot = need(plane_->policy().load(compiled->blob));
    const std::array chain{PolicyLink{SP_WORD(1, slot), {}}};
    if (auto done = plane_->policy().set_chain(chain); !done) give_up(done.error().text());
    programs_.reset(acl_bench_bpf__open());
    if (!programs_) give_up("cannot open the bench's programs");
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, programs_->obj) {
      const int shared = plane_->map_fd(bpf_map__name(map));
      if (shared >= 0) bpf_map__reuse_fd(map, shared);
    }
    if (acl_bench_bpf__load(programs_.get()) != 0) give_up("cannot load the bench's programs");
    order_ = need(MappedArray::map(bpf_map__fd(programs_->maps.order), kFlows * 16));
    known_ = flows(1000);
    for (const FlowEnds& ends : known_) {
      const sp_flow_key key = key_of(ends);
      const sp_flow flow{};
      if (bpf_map_update_elem(bpf_map__fd(programs_->maps.lru), &key, &flow, BPF_ANY) != 0) {
        give_up("cannot fill the LRU hash");
      }
    }
  }

  DataPlane& plane() { return *plane_; }
  [[nodiscard]] const acl_bench_bpf& programs() const { return *programs_; }
  [[nodiscard]] const std::vector<FlowEnds>& known() const { return known_; }

  void put_in_order(const std::vector<FlowEnds>& list) {
    // Array values lie at multiples of 8 bytes.
    for (size_t i = 0; i < list.size(); i++) {
      std::memcpy(order_.as<uint8_t>() + i * 16, &list[i], sizeof(FlowEnds));
    }
    programs_->bss->cursor = 0;
  }
  void forget_flows() {
    for (const FlowEnds& ends : known_) {
      const sp_flow_key key = key_of(ends);
      bpf_map_delete_elem(plane_->map_fd("flows"), &key);
    }
    for (sp_peer& peer : plane_->peers()) peer.flows = 0;
  }
  /// ns of one run, each flow once.
  double run(const bpf_program* program, int repeat = kFlows) {
    // An UDP packet of 100 bytes over IPv4; addresses and ports are written by the program.
    std::array<uint8_t, 100> packet{0x45, 0, 0, 100, 0, 0, 0x40, 0, 64, 17};
    packet[25] = 80;
    bpf_test_run_opts run{};
    run.sz = sizeof(run);
    run.data_in = packet.data();
    run.data_size_in = packet.size();
    run.repeat = repeat;
    if (bpf_prog_test_run_opts(bpf_program__fd(program), &run) != 0 || run.retval != 0) {
      give_up(fmt::format("a run ended with {}", run.retval));
    }
    return run.duration;
  }
  [[nodiscard]] uint64_t count(sp_verdict verdict) {
    return need(plane_->verdicts())[SP_HOOK_TAILNET_IN][verdict].packets;
  }

 private:
  std::unique_ptr<DataPlane> plane_;
  Programs programs_;
  MappedArray order_;
  std::vector<FlowEnds> known_;
};

int measure(const Filter& filter) {
  constexpr std::array kNames{"acl.hit", "acl.miss", "acl.insert", "acl.reap"};
  if (std::ranges::none_of(kNames, [&](const char* name) { return filter.wants(name); })) return 0;
  Bench bench;
  const auto& programs = bench.programs().progs;
  const std::vector<FlowEnds> unknown = flows(40000);
  Samples lru;
  Samples hit;
  Samples miss;
  Samples insert;
  Samples reap;
  for (int round = 0; round <= kRounds; round++) {
    bench.forget_flows();
    bench.plane().settings().flows_per_peer = kFlows;
    bench.put_in_order(bench.known());
    const double write = bench.run(programs.only_write);
    const double first = bench.run(programs.judge_all) - write;
    const double lookup = bench.run(programs.lru_lookup) - write;
    const double again = bench.run(programs.judge_all) - write;
    const double pass = bench.run(programs.reap_all, 1);
    bench.plane().settings().flows_per_peer = 0;
    bench.put_in_order(unknown);
    const double unrecorded = bench.run(programs.judge_all) - write;
    if (round == 0) continue;  // warm
    lru.add(lookup);
    hit.add(again);
    miss.add(unrecorded);
    insert.add(first - unrecorded);
    reap.add(pass / 1000);
  }
  const uint64_t each = uint64_t{kRounds + 1} * kFlows;
  if (bench.count(SP_ALLOW_RULE) != each || bench.count(SP_ALLOW_FLOW) != each ||
      bench.count(SP_ALLOW_UNRECORDED) != each || bench.programs().bss->found != each) {
    give_up(fmt::format("not measured as meant: {} by rule, {} by flow, {} unrecorded, {} found",
                        bench.count(SP_ALLOW_RULE), bench.count(SP_ALLOW_FLOW),
                        bench.count(SP_ALLOW_UNRECORDED), bench.programs().bss->found));
  }
  const Baseline base{"lru_lookup", lru};
  if (filter.wants("acl.hit")) print({"acl.hit", "ns", hit, base, at_most(3.0)});
  if (filter.wants("acl.miss")) print({"acl.miss", "ns", miss, base, at_most(4.0)});
  if (filter.wants("acl.insert")) print({"acl.insert", "ns", insert, base});
  if (filter.wants("acl.reap")) print({"acl.reap", "us", reap});
  return 0;
}

}  // namespace
}  // namespace sallyport::bench

int main(int argc, char** argv) {
  return sallyport::bench::measure(sallyport::bench::Filter(argc, argv));
}
