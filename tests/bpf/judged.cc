// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bpf/judged.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <array>
#include <utility>

namespace sallyport::test {
namespace {

constexpr std::array kNames{
#define NAME(id, name, text) name,
    SP_VERDICTS(NAME)
#undef NAME
};

struct Place {
  Hook program;
  sp_hook counted;
};
constexpr std::array<Place, 5> kPlaces{
    Place{Hook::kTailnetIn, SP_HOOK_TAILNET_IN}, Place{Hook::kTailnetOut, SP_HOOK_TAILNET_OUT},
    Place{Hook::kPortIn, SP_HOOK_PORT_IN}, Place{Hook::kPortOut, SP_HOOK_PORT_IN},
    Place{Hook::kLoopback, SP_HOOK_PORT_IN}};
const Place& place_of(Way way) { return kPlaces.at(static_cast<size_t>(way)); }

uint64_t packets(const VerdictCounts& counts, Way way, size_t verdict) {
  return counts.at(place_of(way).counted).at(verdict).packets;
}

std::string risen(const VerdictCounts& before, const VerdictCounts& after, Way way, uint64_t by) {
  std::string out = "none";
  for (size_t i = 0; i < SP_VERDICT_COUNT; i++) {
    const uint64_t rise = packets(after, way, i) - packets(before, way, i);
    if (rise == 0) continue;
    if (out != "none") return fmt::format("{} and {}", out, kNames.at(i));
    out = rise == by ? kNames.at(i) : fmt::format("{} x {}", kNames.at(i), rise);
  }
  return out;
}

template <class Key>
std::vector<Key> keys_of(int fd) {
  Key key{};
  Key next{};
  std::vector<Key> keys;
  for (bool first = true; bpf_map_get_next_key(fd, first ? nullptr : &key, &next) == 0;
       first = false) {
    keys.push_back(next);
    key = next;
  }
  return keys;
}

template <class Key, class Value, class Change>
void change_all(int fd, Change change) {
  for (const Key& one : keys_of<Key>(fd)) {
    Value value{};
    if (bpf_map_lookup_elem(fd, &one, &value) != 0) continue;
    change(value);
    bpf_map_update_elem(fd, &one, &value, BPF_EXIST);
  }
}

}  // namespace

std::string name_of(sp_verdict verdict) { return kNames.at(static_cast<size_t>(verdict)); }

Judged::Judged(const DataPlaneOptions& options) {
  auto opened = DataPlane::open(options);
  if (!opened) {
    why_not_ = opened.error().text();
    return;
  }
  plane_ = std::move(opened).value();
}

uint64_t Judged::load(const std::vector<uint8_t>& blob) {
  const uint64_t generation = plane_->policy().next_generation();
  const auto slot = plane_->policy().load(blob);
  if (!slot) return 0;
  const std::array chain{PolicyLink{SP_WORD(generation, *slot), {}}};
  return plane_->policy().set_chain(chain) ? chain[0].word : 0;
}

Seen Judged::judge(Way way, const Bytes& packet, const Given& given) {
  const auto before = plane_->verdicts();
  std::array<uint8_t, 4096> out{};
  __sk_buff context{};
  context.mark = given.mark;
  context.gso_size = given.gso_size;
  context.gso_segs = given.gso_segs;
  __sk_buff context_out{};
  bpf_test_run_opts run{};
  run.sz = sizeof(run);
  run.data_in = packet.data();
  run.data_size_in = static_cast<uint32_t>(packet.size());
  run.data_out = out.data();
  run.data_size_out = out.size();
  run.ctx_in = &context;
  run.ctx_size_in = sizeof(context);
  run.ctx_out = &context_out;
  run.ctx_size_out = sizeof(context_out);
  const int program = plane_->program_fd(place_of(way).program).value_or(-1);
  if (const int fault = bpf_prog_test_run_opts(program, &run); fault != 0) {
    return {.verdict = fmt::format("test run failed: {}", fault), .packet = {}};
  }
  const auto after = plane_->verdicts();
  Seen seen;
  if (before && after) {
    seen.verdict = risen(*before, *after, way, given.gso_segs == 0 ? 1 : given.gso_segs);
  }
  seen.passed = run.retval == 0xffffffff;  // TCX_NEXT
  seen.redirected = run.retval == TC_ACT_REDIRECT;
  seen.packet.assign(out.begin(), out.begin() + run.data_size_out);
  seen.mark = context_out.mark;
  return seen;
}

void Judged::forget() {
  for (const auto& key : keys_of<sp_flow_key>(plane_->map_fd("flows"))) {
    bpf_map_delete_elem(plane_->map_fd("flows"), &key);
  }
  for (const auto& key : keys_of<sp_fragment_key>(plane_->map_fd("fragments"))) {
    bpf_map_delete_elem(plane_->map_fd("fragments"), &key);
  }
  // struct event_limit of bpf/lib/count.h, for each CPU
  const std::vector<uint64_t> fresh(2 * static_cast<size_t>(libbpf_num_possible_cpus()));
  const uint32_t zero = 0;
  bpf_map_update_elem(plane_->map_fd("event_limits"), &zero, fresh.data(), BPF_ANY);
  for (sp_peer& peer : plane_->peers()) {
    const uint32_t flags = peer.flags;
    peer = {};
    peer.flags = flags;
  }
}

void Judged::age(Duration by) {
  const auto ns = static_cast<uint64_t>(by.count());
  change_all<sp_flow_key, sp_flow>(plane_->map_fd("flows"),
                                   [&](sp_flow& flow) { flow.last_ns -= ns; });
  change_all<sp_fragment_key, sp_fragment>(plane_->map_fd("fragments"),
                                           [&](sp_fragment& first) { first.until_ns -= ns; });
}

std::optional<sp_flow> Judged::flow_of(uint16_t peer_port) const {
  std::optional<sp_flow> out;
  const auto done = plane_->for_each_flow([&](const sp_flow_key& key, const sp_flow& flow) {
    if (__builtin_bswap16(key.peer_port_be) == peer_port) out = flow;
  });
  return done ? out : std::nullopt;
}

size_t Judged::flow_count() const {
  size_t count = 0;
  const auto done = plane_->for_each_flow([&](const sp_flow_key&, const sp_flow&) { count++; });
  return done ? count : SIZE_MAX;
}

}  // namespace sallyport::test
