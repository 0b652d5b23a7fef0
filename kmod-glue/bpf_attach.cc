// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/bpf_attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

namespace sallyport {
namespace {

// Newer than the libbpf and the headers of Debian 12. Source: include/uapi/linux/bpf.h of 6.6.
constexpr uint32_t kTcxIngress = 46;
constexpr uint32_t kTcxEgress = 47;
constexpr uint32_t kLinkTypeTcx = 11;
struct TcxLinkInfo {
  uint32_t type;
  uint32_t id;
  uint32_t prog_id;
  uint32_t pad;
  uint32_t ifindex;  // 0: the device is gone
  uint32_t attach_type;
  std::array<uint8_t, 64> rest;
};

// One filter of ours a direction: a handle and a priority that nobody is given by default.
constexpr uint32_t kFilterHandle = 0x5350;
constexpr uint32_t kFilterPriority = 0x5350;

struct HookName {
  Hook hook;
  std::string_view name;
  bool ingress;
};
constexpr std::array kHookNames{
    HookName{Hook::kTailnetIn, "tailnet_in", true},
    HookName{Hook::kTailnetOut, "tailnet_out", false},
    HookName{Hook::kPortIn, "port_in", true},
    HookName{Hook::kPortOut, "port_out", false},
    HookName{Hook::kLoopback, "loopback", false},
};
const HookName& name_of(Hook hook) { return *std::ranges::find(kHookNames, hook, &HookName::hook); }

// File names: PREFIX HOOK-IFINDEX. A BPF file system takes no dots.
constexpr std::string_view kLinkPrefix = "link-";
constexpr std::string_view kFilterPrefix = "filter-";
constexpr std::string_view kOwnQdiscPrefix = "filter+qdisc-";

std::string pin_name(std::string_view prefix, Hook hook, uint32_t ifindex) {
  return fmt::format("{}{}-{}", prefix, name_of(hook).name, ifindex);
}

std::optional<PinnedAttachment> parse_pin(std::string_view file) {
  PinnedAttachment out{.pin = std::string(file)};
  std::string_view rest = file;
  if (rest.starts_with(kLinkPrefix)) {
    rest.remove_prefix(kLinkPrefix.size());
  } else if (rest.starts_with(kOwnQdiscPrefix)) {
    rest.remove_prefix(kOwnQdiscPrefix.size());
    out.kind = HookKind::kClsact;
    out.own_qdisc = true;
  } else if (rest.starts_with(kFilterPrefix)) {
    rest.remove_prefix(kFilterPrefix.size());
    out.kind = HookKind::kClsact;
  } else {
    return std::nullopt;
  }
  for (const HookName& hook : kHookNames) {
    if (rest.size() <= hook.name.size() || !rest.starts_with(hook.name)) continue;
    if (rest[hook.name.size()] != '-') continue;
    out.hook = hook.hook;
    const std::string_view number = rest.substr(hook.name.size() + 1);
    const auto [end, fault] =
        std::from_chars(number.data(), number.data() + number.size(), out.ifindex);
    if (fault == std::errc{} && end == number.data() + number.size()) return out;
  }
  return std::nullopt;
}

Result<std::vector<PinnedAttachment>> list_pins(const std::string& dir) {
  std::vector<PinnedAttachment> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> open_dir(opendir(dir.c_str()), closedir);
  if (!open_dir) {
    if (errno == ENOENT) return out;
    return fail(errno, "reading " + dir);
  }
  while (const dirent* entry = readdir(open_dir.get())) {
    if (auto pin = parse_pin(entry->d_name)) out.push_back(std::move(*pin));
  }
  std::ranges::sort(out, {},
                    [](const PinnedAttachment& a) { return std::pair{a.ifindex, a.hook}; });
  return out;
}

Fd pinned_object(const std::string& path) { return Fd(bpf_obj_get(path.c_str())); }

bpf_tc_hook clsact_hook(uint32_t ifindex, bool ingress) {
  bpf_tc_hook hook{};
  hook.sz = sizeof(hook);
  hook.ifindex = static_cast<int>(ifindex);
  hook.attach_point = ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
  return hook;
}
bpf_tc_opts filter_options(int program_fd) {
  bpf_tc_opts options{};
  options.sz = sizeof(options);
  options.prog_fd = program_fd;
  options.handle = kFilterHandle;
  options.priority = kFilterPriority;
  return options;
}

uint32_t program_id(int program_fd) {
  bpf_prog_info info{};
  uint32_t length = sizeof(info);
  return bpf_obj_get_info_by_fd(program_fd, &info, &length) == 0 ? info.id : 0;
}

// Is the pinned program (still) the filter there?
bool is_filter_there(const PinnedAttachment& at, int program_fd) {
  const bpf_tc_hook hook = clsact_hook(at.ifindex, name_of(at.hook).ingress);
  bpf_tc_opts options = filter_options(0);
  return bpf_tc_query(&hook, &options) == 0 && options.prog_id == program_id(program_fd);
}

// The device a tcx link is on; 0: it is gone.
uint32_t tcx_device(int link_fd) {
  TcxLinkInfo info{};
  uint32_t length = sizeof(info);
  if (bpf_obj_get_info_by_fd(link_fd, &info, &length) != 0) return 0;
  return info.type == kLinkTypeTcx ? info.ifindex : 0;
}

Result<Fd> create_tcx_link(uint32_t ifindex, bool ingress, int program_fd) {
  bpf_attr attr{};
  attr.link_create.prog_fd = static_cast<uint32_t>(program_fd);
  attr.link_create.target_ifindex = ifindex;
  attr.link_create.attach_type = ingress ? kTcxIngress : kTcxEgress;
  const long fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
  if (fd < 0) return fail(errno, fmt::format("attaching to device {} by tcx", ifindex));
  return Fd(static_cast<int>(fd));
}

bool lacks_tcx(const Error& error) { return error.code.value() == EINVAL; }

}  // namespace

std::string BpfAttachments::path_of(std::string_view name) const {
  return fmt::format("{}/{}", pin_dir_, name);
}

Result<void> BpfAttachments::attach(uint32_t ifindex, Hook hook, int program_fd) {
  if (kind_ == HookKind::kClsact || in_use_ == HookKind::kClsact) {
    return attach_clsact(ifindex, hook, program_fd);
  }
  Result<void> done = attach_tcx(ifindex, hook, program_fd);
  if (done || kind_ == HookKind::kTcx || !lacks_tcx(done.error())) return done;
  return attach_clsact(ifindex, hook, program_fd);
}

Result<void> BpfAttachments::attach_tcx(uint32_t ifindex, Hook hook, int program_fd) {
  const std::string path = path_of(pin_name(kLinkPrefix, hook, ifindex));
  if (!pin_dir_.empty()) {
    if (const Fd old = pinned_object(path); old.valid()) {
      if (tcx_device(old.raw()) == ifindex) {
        if (bpf_link_update(old.raw(), program_fd, nullptr) != 0) {
          return fail(errno, "replacing the program of " + path);
        }
        in_use_ = HookKind::kTcx;
        return {};
      }
      unlink(path.c_str());  // the number belonged to a device that is gone
    }
  } else {
    const auto held = std::ranges::find_if(
        held_, [&](const HeldLink& l) { return l.ifindex == ifindex && l.hook == hook; });
    if (held != held_.end()) {
      if (tcx_device(held->link.raw()) == ifindex &&
          bpf_link_update(held->link.raw(), program_fd, nullptr) == 0) {
        return {};
      }
      held_.erase(held);
    }
  }
  Fd link = TRY(create_tcx_link(ifindex, name_of(hook).ingress, program_fd));
  in_use_ = HookKind::kTcx;
  if (pin_dir_.empty()) {
    held_.push_back({ifindex, hook, std::move(link)});
  } else if (bpf_obj_pin(link.raw(), path.c_str()) != 0) {
    return fail(errno, "pinning " + path);
  }
  return {};
}

Result<void> BpfAttachments::attach_clsact(uint32_t ifindex, Hook hook, int program_fd) {
  const std::string plain = pin_name(kFilterPrefix, hook, ifindex);
  const std::string with_qdisc = pin_name(kOwnQdiscPrefix, hook, ifindex);
  bpf_tc_hook at = clsact_hook(ifindex, name_of(hook).ingress);
  const int made = bpf_tc_hook_create(&at);
  if (made != 0 && made != -EEXIST) {
    return fail(-made, fmt::format("making a clsact qdisc on device {}", ifindex));
  }
  bool own_qdisc = made == 0;
  for (const PinnedAttachment& other : TRY(list_pins(pin_dir_))) {
    own_qdisc |= other.ifindex == ifindex && other.own_qdisc;
  }
  bpf_tc_opts options = filter_options(program_fd);
  options.flags = BPF_TC_F_REPLACE;
  if (const int fault = bpf_tc_attach(&at, &options); fault != 0) {
    return fail(-fault, fmt::format("attaching to device {} by clsact", ifindex));
  }
  in_use_ = HookKind::kClsact;
  if (pin_dir_.empty()) return {};
  unlink(path_of(plain).c_str());
  unlink(path_of(with_qdisc).c_str());
  const std::string path = path_of(own_qdisc ? with_qdisc : plain);
  if (bpf_obj_pin(program_fd, path.c_str()) != 0) return fail(errno, "pinning " + path);
  return {};
}

Result<void> BpfAttachments::remove(const PinnedAttachment& attachment) {
  const std::string path = path_of(attachment.pin);
  if (attachment.kind == HookKind::kTcx) {
    const Fd link = pinned_object(path);
    if (link.valid()) bpf_link_detach(link.raw());  // already detached with its device: fine
  } else if (const Fd program = pinned_object(path);
             program.valid() && is_filter_there(attachment, program.raw())) {
    const bpf_tc_hook hook = clsact_hook(attachment.ifindex, name_of(attachment.hook).ingress);
    const bpf_tc_opts options = filter_options(0);
    if (const int fault = bpf_tc_detach(&hook, &options); fault != 0 && fault != -ENOENT) {
      return fail(-fault, fmt::format("detaching from device {}", attachment.ifindex));
    }
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return fail(errno, "removing " + path);
  return {};
}

Result<void> BpfAttachments::detach(uint32_t ifindex, Hook hook) {
  std::erase_if(held_, [&](const HeldLink& l) { return l.ifindex == ifindex && l.hook == hook; });
  if (pin_dir_.empty()) return {};
  bool qdisc_is_ours = false;
  bool others = false;
  for (const PinnedAttachment& pin : TRY(list_pins(pin_dir_))) {
    if (pin.ifindex != ifindex) continue;
    if (pin.hook != hook) {
      others |= pin.kind == HookKind::kClsact;
      continue;
    }
    TRY(remove(pin));
    qdisc_is_ours |= pin.own_qdisc;
  }
  if (qdisc_is_ours && !others) {
    bpf_tc_hook both = clsact_hook(ifindex, true);
    both.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
    bpf_tc_hook_destroy(&both);  // gone with its device: fine
  }
  return {};
}

Result<std::vector<PinnedAttachment>> BpfAttachments::observe() {
  if (pin_dir_.empty()) {
    std::vector<PinnedAttachment> out;
    std::erase_if(held_, [](const HeldLink& l) { return tcx_device(l.link.raw()) != l.ifindex; });
    out.reserve(held_.size());
    for (const HeldLink& link : held_) {
      out.push_back({.pin = {}, .ifindex = link.ifindex, .hook = link.hook});
    }
    return out;
  }
  std::vector<PinnedAttachment> pins = TRY(list_pins(pin_dir_));
  std::erase_if(pins, [&](const PinnedAttachment& pin) {
    const Fd object = pinned_object(path_of(pin.pin));
    if (object.valid()) {
      if (pin.kind == HookKind::kTcx && tcx_device(object.raw()) == pin.ifindex) return false;
      if (pin.kind == HookKind::kClsact && is_filter_there(pin, object.raw())) return false;
    }
    unlink(path_of(pin.pin).c_str());
    return true;
  });
  return pins;
}

}  // namespace sallyport
