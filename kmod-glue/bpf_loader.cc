// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/bpf_loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>

#include "bpf/acl.skel.h"
#include "bpf/path.skel.h"
#include "bpf/port.skel.h"

namespace sallyport {
namespace {

constexpr long kBpfFsMagic = 0xcafe4a11;  // BPF_FS_MAGIC of linux/magic.h, as statfs.f_type has it

// What libbpf said last: the verifier's log, or why a map could not be made.
thread_local std::string libbpf_said;

int keep_what_libbpf_says(libbpf_print_level level, const char* format, va_list args) {
  if (level != LIBBPF_WARN) return 0;
  va_list again;
  va_copy(again, args);
  const int length = std::vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length <= 0) return 0;
  std::string line(static_cast<size_t>(length) + 1, '\0');
  std::vsnprintf(line.data(), line.size(), format, args);
  line.pop_back();
  libbpf_said += line;
  constexpr size_t kMost = 4096;  // the end of a verifier log names the fault
  if (libbpf_said.size() > kMost) libbpf_said.erase(0, libbpf_said.size() - kMost);
  return length;
}

Fail<Error> libbpf_fault(int number, std::string doing) {
  if (!libbpf_said.empty()) doing += ": " + std::exchange(libbpf_said, {});
  return fail(number, std::move(doing));
}

// Maps that are shared and pinned; not the constants of one object.
bool is_shared(const bpf_map* map) {
  return std::string_view(bpf_map__name(map)).find('.') == std::string_view::npos;
}

std::vector<bpf_map*> shared_maps(const bpf_object* object) {
  std::vector<bpf_map*> out;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (is_shared(map)) out.push_back(map);
  }
  return out;
}

Result<void> make_directory(const std::string& path) {
  for (size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return fail(errno, "making the directory " + part);
    }
    if (at == std::string::npos) break;
  }
  struct statfs info{};
  if (statfs(path.c_str(), &info) != 0) return fail(errno, "looking at " + path);
  if (static_cast<long>(info.f_type) != kBpfFsMagic) {
    return fail(ENODEV, path + " is on no BPF file system (mount -t bpf bpf /sys/fs/bpf)");
  }
  return {};
}

std::string pin_of(const std::string& dir, const bpf_map* map) {
  return fmt::format("{}/{}", dir, bpf_map__name(map));
}

bool same_geometry(const bpf_map* wanted, int fd) {
  bpf_map_info found{};
  uint32_t length = sizeof(found);
  return bpf_obj_get_info_by_fd(fd, &found, &length) == 0 && found.type == bpf_map__type(wanted) &&
         found.key_size == bpf_map__key_size(wanted) &&
         found.value_size == bpf_map__value_size(wanted) &&
         found.max_entries == bpf_map__max_entries(wanted) &&
         found.map_flags == bpf_map__map_flags(wanted);
}

bool same_version(int settings_fd) {
  sp_settings settings{};
  const uint32_t zero = 0;
  return bpf_map_lookup_elem(settings_fd, &zero, &settings) == 0 &&
         settings.abi_version == SP_ABI_VERSION;
}

// All or none: flows, counts and policy belong together.
Result<bool> adopt_maps(const bpf_object* object, const std::string& dir) {
  std::vector<std::pair<bpf_map*, Fd>> found;
  for (bpf_map* map : shared_maps(object)) {
    Fd fd(bpf_obj_get(pin_of(dir, map).c_str()));
    if (!fd.valid() || !same_geometry(map, fd.raw())) return false;
    if (std::string_view(bpf_map__name(map)) == "settings" && !same_version(fd.raw())) return false;
    found.emplace_back(map, std::move(fd));
  }
  for (const auto& [map, fd] : found) {
    if (const int fault = bpf_map__reuse_fd(map, fd.raw()); fault != 0) {
      return libbpf_fault(-fault, "adopting " + pin_of(dir, map));
    }
  }
  return true;
}

Result<void> pin_maps(const bpf_object* object, const std::string& dir) {
  for (const bpf_map* map : shared_maps(object)) {
    const std::string path = pin_of(dir, map);
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return fail(errno, "removing " + path);
    if (bpf_obj_pin(bpf_map__fd(map), path.c_str()) != 0) return fail(errno, "pinning " + path);
  }
  return {};
}

Result<void> share_maps(const bpf_object* object, const bpf_object* owner) {
  for (bpf_map* map : shared_maps(object)) {
    const int shared = bpf_object__find_map_fd_by_name(owner, bpf_map__name(map));
    const int fault = shared < 0 ? shared : bpf_map__reuse_fd(map, shared);
    if (fault != 0) {
      return libbpf_fault(-fault, fmt::format("sharing the map {}", bpf_map__name(map)));
    }
  }
  return {};
}

constexpr uint32_t kFirstPeers = 1024;  // slots that are mapped from the start

constexpr uint64_t seconds_ns(uint64_t seconds) { return seconds * 1'000'000'000; }

// In force until the agent has read its configuration.
void set_defaults(sp_settings& s, uint32_t flows) {
  s.abi_version = SP_ABI_VERSION;
  s.wg_mtu = 1420;
  s.flags = SP_DENY_REJECT;
  s.flows_per_peer = std::max(flows / 8, 1U);
  s.timeout_ns[SP_TIMEOUT_TCP_OPENING] = seconds_ns(60);
  s.timeout_ns[SP_TIMEOUT_TCP_OPEN] = seconds_ns(7440);  // RFC 5382 REQ-5: 2 h 4 min at least
  s.timeout_ns[SP_TIMEOUT_TCP_CLOSING] = seconds_ns(60);
  s.timeout_ns[SP_TIMEOUT_UDP] = seconds_ns(180);
  s.timeout_ns[SP_TIMEOUT_ICMP] = seconds_ns(30);
  s.timeout_ns[SP_TIMEOUT_OTHER] = seconds_ns(120);
  s.answer_interval_ns = seconds_ns(1) / 50;
  s.answer_burst_ns = seconds_ns(1) * 20 / 50;
  s.event_interval_ns = seconds_ns(1) / 100;
  s.event_burst_ns = seconds_ns(1);
}

Result<uint32_t> index_of(const std::string& device) {
  const unsigned index = if_nametoindex(device.c_str());
  if (index == 0) return fail(errno, "looking for the device " + device);
  return index;
}

template <class T>
std::vector<T> per_cpu_buffer() {
  return std::vector<T>(static_cast<size_t>(libbpf_num_possible_cpus()));
}

}  // namespace

void DataPlane::Skeleton::operator()(acl_bpf* skeleton) const { acl_bpf__destroy(skeleton); }
void DataPlane::Skeleton::operator()(port_bpf* skeleton) const { port_bpf__destroy(skeleton); }
void DataPlane::Skeleton::operator()(path_bpf* skeleton) const { path_bpf__destroy(skeleton); }
void DataPlane::FreeRing::operator()(ring_buffer* ring) const { ring_buffer__free(ring); }

DataPlane::DataPlane(DataPlaneOptions options, AclPrograms acl, PortPrograms port, bool adopted,
                     MappedArray settings, MappedArray slots, MappedArray peers)
    : options_(std::move(options)),
      acl_(std::move(acl)),
      port_(std::move(port)),
      adopted_(adopted),
      settings_(std::move(settings)),
      slots_(std::move(slots)),
      peers_(std::move(peers)),
      mapped_peers_(std::min(options_.peers, kFirstPeers)),
      policy_(bpf_map__fd(acl_->maps.policies), slots_.as<sp_slot>(), settings_.as<sp_settings>()),
      paths_({.pins_fd = bpf_map__fd(acl_->maps.pins),
              .endpoints_fd = bpf_map__fd(acl_->maps.endpoints),
              .counts_fd = bpf_map__fd(acl_->maps.path_counts),
              .settings = &settings_.as<sp_settings>()->path}),
      attached_(options_.pin_dir, options_.hook) {}

DataPlane::~DataPlane() = default;

Result<std::unique_ptr<DataPlane>> DataPlane::open(const DataPlaneOptions& options) {
  libbpf_set_print(keep_what_libbpf_says);
  libbpf_said.clear();
  if (!options.pin_dir.empty()) TRY(make_directory(options.pin_dir));

  AclPrograms acl(acl_bpf__open());
  if (!acl) return libbpf_fault(errno, "reading the BPF programs");
  acl->rodata->answer_mark = options.answer_mark;
  bpf_map__set_max_entries(acl->maps.flows, options.flows);
  bpf_map__set_max_entries(acl->maps.peers, options.peers);
  bpf_map__set_max_entries(acl->maps.fragments, options.fragments);
  bpf_map__set_max_entries(acl->maps.pins, options.pins);
  bpf_map__set_max_entries(acl->maps.endpoints, options.endpoints);

  const bool pinned = !options.pin_dir.empty();
  const bool adopted = pinned && TRY(adopt_maps(acl->obj, options.pin_dir));
  if (const int fault = acl_bpf__load(acl.get()); fault != 0) {
    return libbpf_fault(-fault, "loading the BPF programs");
  }
  PortPrograms port = TRY(load_port(*acl, options));
  auto settings = TRY(MappedArray::map(bpf_map__fd(acl->maps.settings), sizeof(sp_settings)));
  auto slots =
      TRY(MappedArray::map(bpf_map__fd(acl->maps.slots), sizeof(sp_slot) * SP_POLICY_SLOTS));
  auto peers = TRY(MappedArray::map(bpf_map__fd(acl->maps.peers),
                                    sizeof(sp_peer) * std::min(options.peers, kFirstPeers)));
  if (!adopted) {
    set_defaults(*settings.as<sp_settings>(), options.flows);
    if (pinned) TRY(pin_maps(acl->obj, options.pin_dir));
  }
  std::unique_ptr<DataPlane> plane(new DataPlane(options, std::move(acl), std::move(port), adopted,
                                                 std::move(settings), std::move(slots),
                                                 std::move(peers)));
  TRY(plane->start_reaper());
  TRY(plane->open_ring());
  return plane;
}

Result<void> DataPlane::show_peers(uint32_t count) {
  if (count <= mapped_peers_) return {};
  if (count > options_.peers) return fail(EINVAL, fmt::format("showing {} peers", count));
  const uint32_t more = std::min(options_.peers, std::max(count, 2 * mapped_peers_));
  peers_ = TRY(MappedArray::map(bpf_map__fd(acl_->maps.peers), sizeof(sp_peer) * more));
  mapped_peers_ = more;
  return {};
}

Result<DataPlane::PortPrograms> DataPlane::load_port(const acl_bpf& acl,
                                                     const DataPlaneOptions& options) {
  PortPrograms port(port_bpf__open());
  if (!port) return libbpf_fault(errno, "reading the BPF programs of the ports");
  port->rodata->lookalike_mark = options.lookalike_mark;
  port->rodata->demuxed_mark = options.demuxed_mark;
  TRY(share_maps(port->obj, acl.obj));
  if (const int fault = port_bpf__load(port.get()); fault != 0) {
    return libbpf_fault(-fault, "loading the BPF programs of the ports");
  }
  return port;
}

Result<void> DataPlane::load_path() {
  if (path_) return {};
  libbpf_said.clear();
  PathPrograms path(path_bpf__open());
  if (!path) return libbpf_fault(errno, "reading the BPF programs of the paths");
  path->rodata->lookalike_mark = options_.lookalike_mark;
  TRY(share_maps(path->obj, acl_->obj));
  if (const int fault = path_bpf__load(path.get()); fault != 0) {
    return libbpf_fault(-fault, "loading the BPF programs of the paths");
  }
  path_ = std::move(path);
  return {};
}

Result<void> DataPlane::start_reaper() {
  // The program looks at no packet; the kernel wants an Ethernet header's length of one.
  std::array<uint8_t, 64> packet{};
  bpf_test_run_opts run{};
  run.sz = sizeof(run);
  run.data_in = packet.data();
  run.data_size_in = packet.size();
  const int fault = bpf_prog_test_run_opts(bpf_program__fd(acl_->progs.reaper_start), &run);
  if (fault != 0) return fail(-fault, "starting the reaper of flows");
  if (run.retval != 0) {
    return fail(-static_cast<int>(run.retval), "starting the reaper of flows");
  }
  return {};
}

Result<void> DataPlane::open_ring() {
  ring_.reset(ring_buffer__new(bpf_map__fd(acl_->maps.drop_events), on_ring_event, this, nullptr));
  if (!ring_) return libbpf_fault(errno, "opening the ring of drop events");
  return {};
}

Result<int> DataPlane::program_fd(Hook hook) {
  switch (hook) {
    case Hook::kTailnetIn:
      return bpf_program__fd(acl_->progs.tailnet_in);
    case Hook::kTailnetOut:
      return bpf_program__fd(acl_->progs.tailnet_out);
    case Hook::kPortIn:
      return bpf_program__fd(port_->progs.port_in);
    case Hook::kPortOut:
      TRY(load_path());
      return bpf_program__fd(path_->progs.port_out);
    case Hook::kLoopback:
      TRY(load_path());
      return bpf_program__fd(path_->progs.loopback_out);
  }
  return fail(ENOENT, "no such program");
}

int DataPlane::map_fd(std::string_view name) const {
  return bpf_object__find_map_fd_by_name(acl_->obj, std::string(name).c_str());
}

Result<void> DataPlane::attach(const Attachment& attachment) {
  const int program = TRY(program_fd(attachment.hook));
  return attached_.attach(TRY(index_of(attachment.device)), attachment.hook, program);
}

Result<void> DataPlane::detach(const Attachment& attachment) {
  const unsigned index = if_nametoindex(attachment.device.c_str());
  if (index == 0) return {};  // its attachments went with it
  return attached_.detach(index, attachment.hook);
}

Result<std::vector<Attachment>> DataPlane::attachments() {
  std::vector<Attachment> out;
  for (const PinnedAttachment& pin : TRY(attached_.observe())) {
    std::array<char, IF_NAMESIZE> name{};
    if (if_indextoname(pin.ifindex, name.data()) == nullptr) continue;
    out.push_back({name.data(), pin.hook});
  }
  std::ranges::sort(out);
  return out;
}

Result<void> DataPlane::replace_programs() {
  for (const PinnedAttachment& pin : TRY(attached_.observe())) {
    TRY(attached_.attach(pin.ifindex, pin.hook, TRY(program_fd(pin.hook))));
  }
  return {};
}

Result<VerdictCounts> DataPlane::verdicts() const {
  VerdictCounts out{};
  auto cpus = per_cpu_buffer<sp_count>();
  for (uint32_t hook = 0; hook < SP_HOOK_COUNT; hook++) {
    for (uint32_t verdict = 0; verdict < SP_VERDICT_COUNT; verdict++) {
      const uint32_t index = hook * SP_VERDICT_SLOTS + verdict;
      if (bpf_map_lookup_elem(bpf_map__fd(acl_->maps.verdicts), &index, cpus.data()) != 0) {
        return fail(errno, "reading the counters of verdicts");
      }
      for (const sp_count& one : cpus) {
        out[hook][verdict].packets += one.packets;
        out[hook][verdict].bytes += one.bytes;
      }
    }
  }
  return out;
}

Result<std::vector<sp_rule_hits>> DataPlane::rule_hits(uint32_t count) const {
  std::vector<sp_rule_hits> out(std::min<uint32_t>(count, SP_MAX_RULES));
  auto cpus = per_cpu_buffer<sp_rule_hits>();
  for (uint32_t index = 0; index < out.size(); index++) {
    if (bpf_map_lookup_elem(bpf_map__fd(acl_->maps.rule_hits), &index, cpus.data()) != 0) {
      return fail(errno, "reading the counters of rules");
    }
    for (const sp_rule_hits& one : cpus) {
      out[index].packets += one.packets;
      out[index].bytes += one.bytes;
      out[index].last_ns = std::max(out[index].last_ns, one.last_ns);
    }
  }
  return out;
}

Result<void> DataPlane::clear_rule_hits(uint32_t index) {
  const auto zeros = per_cpu_buffer<sp_rule_hits>();
  if (bpf_map_update_elem(bpf_map__fd(acl_->maps.rule_hits), &index, zeros.data(), BPF_ANY) != 0) {
    return fail(errno, fmt::format("clearing the counter of rule {}", index));
  }
  return {};
}

Result<void> DataPlane::for_each_flow(
    const std::function<void(const sp_flow_key&, const sp_flow&)>& visit) const {
  constexpr uint32_t kBatch = 1024;
  std::vector<sp_flow_key> keys(kBatch);
  std::vector<sp_flow> values(kBatch);
  const int fd = bpf_map__fd(acl_->maps.flows);
  uint32_t at = 0;
  bool first = true;
  while (true) {
    uint32_t count = kBatch;
    uint32_t next = 0;
    const int fault = bpf_map_lookup_batch(fd, first ? nullptr : &at, &next, keys.data(),
                                           values.data(), &count, nullptr);
    if (fault != 0 && errno != ENOENT) return fail(errno, "reading the flows");
    for (uint32_t i = 0; i < count; i++) visit(keys[i], values[i]);
    if (fault != 0) return {};
    at = next;
    first = false;
  }
}

int DataPlane::drop_events_fd() const { return ring_buffer__epoll_fd(ring_.get()); }

int DataPlane::on_ring_event(void* self, void* data, size_t size) {
  const auto* plane = static_cast<DataPlane*>(self);
  if (size < sizeof(sp_drop_event) || plane->on_drop_ == nullptr) return 0;
  sp_drop_event event{};
  std::memcpy(&event, data, sizeof(event));
  (*plane->on_drop_)(event);
  return 0;
}

size_t DataPlane::drain_drop_events(const std::function<void(const sp_drop_event&)>& on_drop) {
  on_drop_ = &on_drop;
  const int count = ring_buffer__consume(ring_.get());
  on_drop_ = nullptr;
  return count > 0 ? static_cast<size_t>(count) : 0;
}

Result<void> DataPlane::set_port(uint32_t ifindex, sp_port_role role) {
  const uint32_t value = role;
  if (bpf_map_update_elem(bpf_map__fd(acl_->maps.ports), &ifindex, &value, BPF_ANY) != 0) {
    return fail(errno, fmt::format("setting the role of port {}", ifindex));
  }
  return {};
}

Result<void> DataPlane::forget_port(uint32_t ifindex) {
  if (bpf_map_delete_elem(bpf_map__fd(acl_->maps.ports), &ifindex) != 0 && errno != ENOENT) {
    return fail(errno, fmt::format("forgetting port {}", ifindex));
  }
  return {};
}

size_t DataPlane::map_bytes() const {
  size_t sum = policy_.bytes();
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, acl_->obj) sum += sallyport::map_bytes(bpf_map__fd(map));
  return sum;
}

Result<void> DataPlane::remove_all() {
  for (const PinnedAttachment& pin : TRY(attached_.observe())) {
    TRY(attached_.detach(pin.ifindex, pin.hook));
  }
  if (options_.pin_dir.empty()) return {};
  for (const bpf_map* map : shared_maps(acl_->obj)) {
    const std::string path = pin_of(options_.pin_dir, map);
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return fail(errno, "removing " + path);
  }
  if (rmdir(options_.pin_dir.c_str()) != 0 && errno != ENOENT) {
    return fail(errno, "removing the directory " + options_.pin_dir);
  }
  // The folder above is shared with other instances: it goes with the last of them.
  const std::string above = options_.pin_dir.substr(0, options_.pin_dir.rfind('/'));
  if (above.ends_with("/sallyport")) ::rmdir(above.c_str());
  return {};
}

}  // namespace sallyport
